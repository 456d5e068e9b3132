//! The record outside the store: one line at the start and at the end of every body.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkback::SagaId;

/// What every body runs: a line, a little work, a file made or removed, a line.
const SCRIPT: &str = r#"#!/bin/sh
line() {
    printf '{"saga_id":"%s","step_idx":%s,"phase":"%s","attempt":%s,"key":"%s","event":"%s","worker":%s}\n' \
        "$WALKBACK_SAGA_ID" "$WALKBACK_STEP_IDX" "$WALKBACK_PHASE" "$WALKBACK_ATTEMPT" \
        "$WALKBACK_IDEMPOTENCY_KEY" "$1" "$KILL_TEST_WORKER" >> "$folder/effects.jsonl"
}
folder=$1
line start
sleep 0.02
case $WALKBACK_PHASE in
    execute) : > "$folder/made/$WALKBACK_SAGA_ID.$WALKBACK_EXECUTE_KEY" ;;
    compensate) rm -f "$folder/made/$WALKBACK_SAGA_ID.$WALKBACK_EXECUTE_KEY" ;;
esac
line end
"#;

pub(crate) fn write_script(folder: &Path) {
    let script = folder.join("body.sh");
    std::fs::create_dir(folder.join("made")).unwrap();
    std::fs::write(&script, SCRIPT).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(folder.join("effects.jsonl"), "").unwrap();
}

/// Files that this run made and nobody removed.
pub(crate) fn made(folder: &Path, saga: SagaId) -> usize {
    let files = std::fs::read_dir(folder.join("made")).unwrap();
    let ours = files.filter(|file| {
        let name = file.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(&saga.to_string())
    });
    ours.count()
}

/// A body: run, step, phase.
pub(crate) type Body = ((String, u64), &'static str);

pub(crate) struct Record(PathBuf);

impl Record {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.join("effects.jsonl"))
    }

    fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines().len()
    }

    /// The bodies of the newest worker that have begun and not ended.
    pub(crate) fn under_way(&self) -> Vec<Body> {
        let mut open: BTreeMap<(String, u64), (u64, &'static str)> = BTreeMap::new();
        let mut newest = 0;
        for line in self.lines() {
            let body = (text(&line, "saga_id"), line["step_idx"].as_u64().unwrap());
            let phase = if line["phase"] == "execute" { "execute" } else { "compensate" };
            let worker = line["worker"].as_u64().unwrap();
            newest = newest.max(worker);
            if line["event"] == "start" {
                open.insert(body, (worker, phase));
            } else {
                open.remove(&body);
            }
        }
        open.retain(|_, (worker, _)| *worker == newest);
        open.into_iter().map(|(body, (_, phase))| (body, phase)).collect()
    }

    /// Whether each of these runs has ended a body since line `seen`.
    pub(crate) fn progressed(&self, runs: &[SagaId], seen: usize) -> bool {
        let since = self.lines().into_iter().skip(seen);
        let ended: BTreeSet<String> = since
            .filter(|line| line["event"] == "end")
            .map(|line| text(&line, "saga_id"))
            .collect();
        runs.iter().all(|run| ended.contains(&run.to_string()))
    }

    /// Lines that a body of an older worker wrote after a newer worker began one of the same run.
    pub(crate) fn overlaps(&self) -> Vec<String> {
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        let mut overlaps = Vec::new();
        for line in self.lines() {
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
