//! Stand-ins for parts of the library that are on their way; each goes when its original comes.

use std::path::Path;

use walkback::{MemoryStore, Mistakes, Order, StoreError};

/// For `walkback::SqliteStore::open`.
pub(crate) async fn sqlite(path: &Path) -> Result<MemoryStore, StoreError> {
    std::future::ready(()).await;
    Err(StoreError::Unusable {
        place: format!("sqlite:{}", path.display()),
        why: "SQLite is not in this build".to_owned(),
    })
}

/// For `walkback::Definition`.
pub(crate) struct Definition;

impl Definition {
    pub(crate) fn read(path: &Path) -> Result<Self, Mistakes> {
        Err(Mistakes(vec![format!("definition `{}`: not in this build", path.display())]))
    }

    /// `Order::definition(&definition)`, then the name.
    pub(crate) fn order(&self, name: Option<String>) -> Order {
        Order::kind(name.unwrap_or_default())
    }
}

/// For `SqliteStore::open(from)?.backup(to)`.
pub(crate) async fn backup(from: &Path, _to: &Path) -> Result<(), StoreError> {
    sqlite(from).await.map(drop)
}

/// For `walkback::verify`.
pub(crate) mod verify {
    use std::io::BufRead;
    use std::time::Duration;

    use walkback::store::Store;
    use walkback::{SagaId, StoreError};

    pub(crate) struct Report {
        pub(crate) runs: u64,
        pub(crate) rows: u64,
        pub(crate) violations: Vec<Violation>,
        pub(crate) late: Vec<Violation>,
        pub(crate) elapsed: Duration,
    }

    pub(crate) struct Violation {
        pub(crate) promise: &'static str,
        pub(crate) saga: SagaId,
        pub(crate) what: String,
    }

    pub(crate) async fn verify(
        _store: &dyn Store,
        _saga: Option<SagaId>,
        _effects: Option<Box<dyn BufRead + Send>>,
    ) -> Result<Report, StoreError> {
        std::future::ready(()).await;
        Err(StoreError::Unusable {
            place: "this one".to_owned(),
            why: "`verify` is not in this build".to_owned(),
        })
    }
}
