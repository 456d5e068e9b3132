//! The public views, read as a stranger reads them: by SQL, beside the engine.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};
use serde_json::{Value, json};
use walkback::describe::SagaView;

/// Checks `saga_runs`, `saga_step_results` and `saga_ledger` against what the engine folds.
pub(crate) fn agree(file: &Path, saga: &SagaView) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let views = Connection::open_with_flags(file, flags).unwrap();
    let mut folded = serde_json::to_value(saga).unwrap();
    let steps = folded["steps"].take();
    let run = views.query_row("SELECT * FROM saga_runs", [], |row| {
        assert_eq!(text(row, "id"), folded["id"]);
        assert_eq!(text(row, "kind"), folded["kind"]);
        assert_eq!(text(row, "status"), folded["status"]);
        assert_eq!(number(row, "current_step_idx"), folded["current_step_idx"]);
        assert_eq!(object(row, "inputs"), folded["inputs"]);
        assert_eq!(object(row, "context"), folded["context"]);
        assert_eq!(object(row, "error"), folded["error"]);
        assert_eq!(object(row, "labels"), folded["labels"]);
        assert_eq!(number(row, "cancel_requested"), i64::from(saga.cancel_requested));
        assert_eq!(text(row, "parked"), folded["parked"]["reason"]);
        for moment in ["created_at", "started_at", "finished_at"] {
            assert_eq!(text(row, moment), folded[moment], "{moment}");
        }
        row.get::<_, i64>("ledger_len")
    });
    let rows = "SELECT count(*), min(seq), max(seq) FROM saga_ledger";
    let rows = views.query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let len = run.unwrap();
    assert_eq!(rows.unwrap(), (len, 0, len - 1), "the ledger is gapless");
    let sql = "SELECT * FROM saga_step_results ORDER BY step_idx";
    let mut shown = views.prepare(sql).unwrap();
    let shown = shown.query_map([], |row| Ok(step(row))).unwrap();
    assert_eq!(Value::Array(shown.map(Result::unwrap).collect()), steps);
}

fn step(row: &Row<'_>) -> Value {
    json!({
        "step_idx": number(row, "step_idx"),
        "step": text(row, "step"),
        "scope": text(row, "scope"),
        "status": text(row, "status"),
        "output": object(row, "output"),
        "error": text(row, "error"),
        "attempts": number(row, "attempts"),
        "compensation_attempts": number(row, "compensation_attempts"),
        "started_at": text(row, "started_at"),
        "finished_at": text(row, "finished_at"),
        "compensated_at": text(row, "compensated_at"),
    })
}

fn text(row: &Row<'_>, column: &str) -> Value {
    row.get::<_, Option<String>>(column).unwrap().into()
}

fn number(row: &Row<'_>, column: &str) -> Value {
    row.get::<_, i64>(column).unwrap().into()
}

fn object(row: &Row<'_>, column: &str) -> Value {
    let text: Option<String> = row.get(column).unwrap();
    text.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
}
