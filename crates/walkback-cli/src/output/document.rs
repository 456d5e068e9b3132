//! Documents for programs that the library does not already have.

use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;
use walkback::ledger::Row;
use walkback::{SagaId, time::Timestamp};

/// A row of a ledger; the payload byte for byte as it is stored.
#[derive(Debug, Serialize)]
pub(crate) struct LedgerRow<'a> {
    saga_id: SagaId,
    seq: u64,
    at: Timestamp,
    kind: &'a str,
    step_idx: Option<usize>,
    attempt: Option<u32>,
    actor: Option<&'a str>,
    claim: Option<String>,
    fence: u64,
    payload: &'a RawValue,
    previous_hash: String,
    hash: String,
}

impl<'a> LedgerRow<'a> {
    /// The document of `row`.
    ///
    /// # Errors
    /// If its payload is damaged.
    pub(crate) fn new(saga: SagaId, row: &'a Row) -> Result<Self, serde_json::Error> {
        Ok(Self {
            saga_id: saga,
            seq: row.seq,
            at: row.at,
            kind: &row.kind,
            step_idx: row.step_idx,
            attempt: row.attempt,
            actor: row.actor.as_deref(),
            claim: (row.fence > 0).then(|| hex(row.claim.as_bytes())),
            fence: row.fence,
            payload: serde_json::from_str(&row.payload)?,
            previous_hash: hex(&row.previous.0),
            hash: hex(&row.hash(saga).0),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}
