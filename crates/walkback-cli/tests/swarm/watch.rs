//! Which bodies are under way, read off the record as it grows.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkback::SagaId;

pub(crate) struct Watch {
    file: PathBuf,
    place: u64,
    /// Bodies that have begun and not ended, by run and step: whose they are.
    open: BTreeMap<(SagaId, u64), u64>,
}

impl Watch {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("effects.jsonl"), place: 0, open: BTreeMap::new() }
    }

    /// The runs of which this worker has a body under way.
    pub(crate) fn under_way(&mut self, worker: usize) -> Vec<SagaId> {
        let mut file = std::fs::File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(self.place)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.place += whole as u64;
        for line in text[..whole].lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let saga = line["saga_id"].as_str().unwrap().parse().unwrap();
            let body = (saga, line["step_idx"].as_u64().unwrap());
            let worker = line["worker"].as_u64().unwrap();
            if line["event"] == "start" {
                self.open.insert(body, worker);
            } else if self.open.get(&body) == Some(&worker) {
                self.open.remove(&body);
            }
        }
        let ours = self.open.iter().filter(|(_, of)| **of == worker as u64);
        let mut runs: Vec<SagaId> = ours.map(|((saga, _), _)| *saga).collect();
        runs.dedup();
        runs
    }
}
