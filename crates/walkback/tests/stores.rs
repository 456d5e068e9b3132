//! T11: every store conforms.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use walkback::testing::conformance::Fresh;
use walkback::{MemoryStore, SqliteStore};

fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("walkback.db");
    let store = SqliteStore::open(&file).unwrap();
    Fresh::new(store).reopening(move || SqliteStore::open(file).unwrap()).keeping(folder)
}

walkback::store_conformance!(memory, Fresh::new(MemoryStore::new()));
walkback::store_conformance!(sqlite_file, sqlite());
