//! Stand-ins for parts of the library that are on their way; each goes when its original comes.

use std::path::Path;

use serde::Deserialize;
use walkback::{Mistakes, Order, Steps};

/// For `walkback::Definition`, JSON only.
#[derive(Deserialize)]
pub(crate) struct Definition {
    kind: Option<String>,
    steps: Steps,
}

impl Definition {
    pub(crate) fn read(path: &Path) -> Result<Self, Mistakes> {
        let wrong = |why: String| Mistakes(vec![format!("definition `{}`: {why}", path.display())]);
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    }

    /// `Order::definition(&definition)`, then the name.
    pub(crate) fn order(self, name: Option<String>) -> Order {
        Order::list(name.or(self.kind).unwrap_or_else(|| "adhoc".to_owned()), self.steps)
    }
}

/// For `walkback::verify`.
pub(crate) mod verify {
    use std::io::BufRead;

    use serde::Serialize;
    use walkback::store::Store;
    use walkback::{SagaId, StoreError};

    #[derive(Serialize)]
    pub(crate) struct Report {
        pub(crate) runs: u64,
        pub(crate) rows: u64,
        pub(crate) violations: Vec<Violation>,
        pub(crate) late: Vec<Violation>,
        pub(crate) unlisted: u64,
    }

    #[derive(Serialize)]
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
