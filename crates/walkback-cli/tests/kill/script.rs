//! What bodies do: a line in the record outside the store at their start and at their end, and a file
//! that is made or removed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use walkback::{SagaId, StepRef};

/// A command step that appends to the record, makes a file and, when it is undone, removes it.
pub(crate) fn body(folder: &Path, name: &str) -> StepRef {
    let script = folder.join("body.sh").display().to_string();
    let program = json!([script, folder.display().to_string()]);
    StepRef::new("command").with("execute", program.clone()).with("compensate", program).named(name)
}

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
