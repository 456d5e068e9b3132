//! The public views, read as a stranger reads them: by SQL, beside the engine.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};
use tokio_postgres::NoTls;
use walkback::describe::SagaView;

/// What the views show of a store with one saga in it.
struct Shown {
    run: Value,
    /// How many rows its ledger has, and the first and the last one's place.
    rows: Value,
    steps: Vec<Value>,
}

const RUN: &str = "SELECT * FROM saga_runs";
const ROWS: &str = "SELECT count(*) AS count, min(seq) AS first, max(seq) AS last FROM saga_ledger";
const STEPS: &str = "SELECT * FROM saga_step_results ORDER BY step_idx";

/// Checks the views of the file against what the engine folds.
pub(crate) fn agree(file: &Path, saga: &SagaView) {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let views = Connection::open_with_flags(file, flags).unwrap();
    let all = |sql: &str| -> Vec<Value> {
        let mut shown = views.prepare(sql).unwrap();
        let names: Vec<String> = shown.column_names().map(str::to_owned).collect();
        let row = |row: &rusqlite::Row<'_>| {
            let value = |name: &String| (name.clone(), value(row.get_ref_unwrap(&**name), name));
            Ok(Value::Object(names.iter().map(value).collect::<Map<_, _>>()))
        };
        shown.query_map([], row).unwrap().map(Result::unwrap).collect()
    };
    let one = |sql| all(sql).remove(0);
    compare(&Shown { run: one(RUN), rows: one(ROWS), steps: all(STEPS) }, saga);
}

/// A column as JSON: what is JSON text in it is read.
fn value(of: ValueRef<'_>, name: &str) -> Value {
    let documents = ["inputs", "context", "error", "labels", "output"];
    match of {
        ValueRef::Integer(number) if name == "cancel_requested" => (number != 0).into(),
        ValueRef::Integer(number) => number.into(),
        ValueRef::Text(text) => {
            let text = String::from_utf8(text.to_vec()).unwrap();
            let document = documents.contains(&name).then(|| serde_json::from_str(&text).ok());
            document.flatten().unwrap_or(Value::String(text))
        }
        _ => Value::Null,
    }
}

/// Checks the views of the database against what the engine folds.
pub(crate) fn agree_on_server(url: &str, saga: &SagaView) {
    let read = async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(connection);
        let all = async |sql: &str| -> Vec<Value> {
            let sql = format!("SELECT row_to_json(shown)::text FROM ({sql}) AS shown");
            let rows = client.query(&sql, &[]).await.unwrap();
            rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect()
        };
        Shown {
            run: all(RUN).await.remove(0),
            rows: all(ROWS).await.remove(0),
            steps: all(STEPS).await,
        }
    };
    // Beside the runtime that the engine is used in.
    let reading = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(read)
    };
    let shown = std::thread::scope(|scope| scope.spawn(reading).join().unwrap());
    compare(&shown, saga);
}

fn compare(shown: &Shown, saga: &SagaView) {
    let mut folded = serde_json::to_value(saga).unwrap();
    let steps = folded["steps"].take();
    for column in [
        "id",
        "kind",
        "status",
        "current_step_idx",
        "inputs",
        "context",
        "error",
        "labels",
        "cancel_requested",
        "created_at",
        "started_at",
        "finished_at",
    ] {
        assert_eq!(shown.run[column], folded[column], "{column}");
    }
    assert_eq!(shown.run["parked"], folded["parked"]["reason"]);
    let len = shown.run["ledger_len"].as_i64().unwrap();
    let gapless = json!({"count": len, "first": 0, "last": len - 1});
    assert_eq!(shown.rows, gapless, "the ledger is gapless");
    let known: Vec<Value> = shown.steps.iter().map(step).collect();
    assert_eq!(Value::Array(known), steps);
}

/// The columns that the engine tells of, too.
fn step(shown: &Value) -> Value {
    let columns = [
        "step_idx",
        "step",
        "scope",
        "status",
        "output",
        "error",
        "attempts",
        "compensation_attempts",
        "started_at",
        "finished_at",
        "compensated_at",
    ];
    columns.iter().map(|column| ((*column).to_owned(), shown[column].clone())).collect()
}
