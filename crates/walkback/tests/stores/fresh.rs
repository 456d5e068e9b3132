//! Fresh stores on a disk and on a server, for one case each.

use walkback::SqliteStore;
use walkback::store::PostgresStore;
use walkback::testing::conformance::Fresh;
use walkback::testing::postgres::Server;

pub(crate) fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("walkback.db");
    let store = SqliteStore::open(&file).unwrap();
    Fresh::new(store).reopening(move || SqliteStore::open(&file).unwrap()).keeping(folder)
}

pub(crate) fn postgres() -> Fresh {
    let url = Server::shared().place();
    let store = PostgresStore::new(&url).unwrap();
    Fresh::new(store).reopening(move || PostgresStore::new(&url).unwrap())
}
