//! The record outside the store: one line at the start and at the end of every body.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A body: run, step, phase.
pub(crate) type Body = ((String, u64), &'static str);

pub(crate) struct Record {
    file: PathBuf,
    /// Where the newest worker's lines begin.
    mark: u64,
    worker: u64,
}

impl Record {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { file: folder.join("effects.jsonl"), mark: 0, worker: 0 }
    }

    /// From now on `worker` is the newest.
    pub(crate) fn mark(&mut self, worker: usize) {
        self.mark = std::fs::metadata(&self.file).unwrap().len();
        self.worker = worker as u64;
    }

    fn lines_from(&self, place: u64) -> Vec<Value> {
        let mut file = std::fs::File::open(&self.file).unwrap();
        file.seek(SeekFrom::Start(place)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The newest worker's lines.
    fn new_lines(&self) -> Vec<Value> {
        let mut lines = self.lines_from(self.mark);
        lines.retain(|line| line["worker"].as_u64() == Some(self.worker));
        lines
    }

    pub(crate) fn len(&self) -> usize {
        self.lines_from(0).len()
    }

    /// The bodies of the newest worker that have begun and not ended.
    pub(crate) fn under_way(&self) -> Vec<Body> {
        let mut open: BTreeMap<(String, u64), &'static str> = BTreeMap::new();
        for line in self.new_lines() {
            let body = (text(&line, "saga_id"), line["step_idx"].as_u64().unwrap());
            let phase = if line["phase"] == "execute" { "execute" } else { "compensate" };
            if line["event"] == "start" {
                open.insert(body, phase);
            } else {
                open.remove(&body);
            }
        }
        open.into_iter().collect()
    }

    /// Lines that a body of an older worker wrote after a newer worker began one of the same run.
    pub(crate) fn overlaps(&self) -> Vec<String> {
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        let mut overlaps = Vec::new();
        for line in self.lines_from(0) {
            let worker = line["worker"].as_u64().unwrap();
            let known = newest.entry(text(&line, "saga_id")).or_default();
            if worker < *known {
                overlaps.push(line.to_string());
            }
            *known = worker.max(*known);
        }
        overlaps
    }
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap().to_owned()
}
