//! Stand-ins for parts of the library that are on their way; each goes when its original comes.

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
