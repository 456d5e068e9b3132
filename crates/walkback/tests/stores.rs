//! T11: every store conforms.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

use walkback::testing::conformance::Fresh;
use walkback::{MemoryStore, SqliteStore};

fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("walkback.db")).unwrap();
    Fresh::new(store).keeping(folder)
}

walkback::store_conformance!(memory, Fresh::new(MemoryStore::new()));
walkback::store_conformance!(sqlite_file, sqlite());
