//! What only SQLite can go through: a disk without room, threads that outlive their store.

use super::*;
use crate::machine::Status;
use crate::{Engine, Error, Order, Registry};

fn open() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("walkback.db")).unwrap();
    (folder, store)
}

/// Lets the file grow no further than by so many pages.
async fn room_for(store: &SqliteStore, pages: i64) {
    let limit = move |connection: &Connection| {
        let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        let now = connection.pragma_query_value(None, "page_count", number)?;
        connection.pragma_update_and_check(None, "max_page_count", now + pages, number)
    };
    store.0.writer.submit(limit).await.unwrap();
}

fn engine(store: &SqliteStore) -> Engine {
    Engine::new(Registry::with_builtins(), store.clone()).unwrap()
}

#[tokio::test]
async fn a_full_disk_ends_the_worker_and_loses_nothing() {
    let (_folder, store) = open();
    let input = format!(r#"{{"message":"{}"}}"#, "x".repeat(60_000));
    let order = Order::steps(["echo", "echo", "echo"]).input(input);
    let id = engine(&store).start_saga(order.clone()).await.unwrap().id;
    room_for(&store, 20).await;
    let full = engine(&store).work_until_idle().await;
    assert!(matches!(full, Err(Error::Store(StoreError::Full { .. }))), "{full:?}");
    let refused = engine(&store).start_saga(order).await;
    assert!(matches!(refused, Err(Error::Store(StoreError::Full { .. }))), "{refused:?}");
    assert_eq!(engine(&store).show_saga(id).await.unwrap().status, Status::Running);
    room_for(&store, 1_000_000).await;
    engine(&store).work_until_idle().await.unwrap();
    assert_eq!(engine(&store).show_saga(id).await.unwrap().status, Status::Completed);
    let report = crate::verify::verify(&store, None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}

#[tokio::test]
async fn a_closed_store_has_written_all_it_was_sent() {
    let (folder, store) = open();
    let table = "CREATE TABLE seen (n INTEGER)";
    store.0.writer.submit(move |connection| connection.execute_batch(table)).await.unwrap();
    for n in 0..500 {
        let sent = store
            .0
            .writer
            .submit(move |connection| connection.execute("INSERT INTO seen VALUES (?1)", [n]));
        drop(sent);
    }
    drop(store);
    let reader = Connection::open(folder.path().join("walkback.db")).unwrap();
    let count = reader.query_row("SELECT count(*) FROM seen", [], |row| row.get::<_, i64>(0));
    assert_eq!(count.unwrap(), 500);
}

#[tokio::test]
async fn a_file_of_the_first_version_is_brought_to_this_one() {
    let (folder, store) = open();
    let id = engine(&store).start_saga(Order::steps(["echo"])).await.unwrap().id;
    let asked = crate::engine::Asked { actor: "ada".to_owned(), reason: None };
    let pause = crate::engine::Operation::Pause;
    assert!(engine(&store).operate(id, &pause, &asked).await.unwrap());
    let held = store.load(id).await.unwrap();
    drop(store);
    let file = folder.path().join("walkback.db");
    let first = "DROP TABLE shared_budgets; DROP INDEX runs_by_party; \
                 ALTER TABLE run_heads DROP COLUMN party; DROP TABLE run_locks; DROP VIEW saga_tombstones; DROP TABLE run_tombstones; DROP INDEX calls_due; \
                 ALTER TABLE run_heads DROP COLUMN call_at; ALTER TABLE run_heads DROP COLUMN needs; \
                 ALTER TABLE cloud_provisioned DROP COLUMN changed_by; \
                 ALTER TABLE cloud_resources DROP COLUMN missing_since; PRAGMA user_version = 1;";
    Connection::open(&file).unwrap().execute_batch(first).unwrap();
    let store = SqliteStore::open(&file).unwrap();
    assert_eq!(store.load(id).await.unwrap(), held);
    assert_eq!(store.calls(9).await.unwrap(), [(id, Timestamp::default())]);
    let report = crate::verify::verify(&store, None, None).await.unwrap();
    assert!(report.is_clean(), "{report}");
}
