//! Documents for programs that the library does not already have.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::value::RawValue;
use walkback::desired::Provisioned;
use walkback::engine::Archived;
use walkback::ledger::Row;
use walkback::{Json, SagaId, time::Timestamp};

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

/// A saga that was pruned, whole: from `kind`, `steps`, `inputs` and the rows its hashes can be
/// computed again.
#[derive(Debug, Serialize)]
pub(crate) struct ArchivedSaga<'a> {
    id: SagaId,
    kind: &'a str,
    status: &'static str,
    error: Option<&'a RawValue>,
    steps: &'a RawValue,
    inputs: &'a Json,
    key: Option<&'a str>,
    labels: &'a BTreeMap<String, String>,
    queue: &'a str,
    priority: i32,
    deadline: Option<Timestamp>,
    created_at: Timestamp,
    finished_at: Timestamp,
    pruned_at: Timestamp,
    pruned_by: &'a str,
    reason: Option<&'a str>,
    ledger_head: String,
    ledger: Vec<LedgerRow<'a>>,
    provisioned: &'a [Provisioned],
}

impl<'a> ArchivedSaga<'a> {
    /// The document of what is pruned.
    ///
    /// # Errors
    /// If what is stored is damaged.
    pub(crate) fn new(archived: &'a Archived) -> Result<Self, serde_json::Error> {
        let Archived { run, provisioned, stone } = archived;
        let (spec, id) = (&run.spec, stone.id);
        let rows = run.rows.iter().map(|row| LedgerRow::new(id, row));
        Ok(Self {
            id,
            kind: &spec.kind,
            status: stone.status.name(),
            error: run.head.error.as_deref().map(serde_json::from_str).transpose()?,
            steps: serde_json::from_str(&spec.steps)?,
            inputs: &spec.inputs,
            key: spec.key.as_deref(),
            labels: &spec.labels,
            queue: &spec.queue,
            priority: spec.priority,
            deadline: spec.deadline,
            created_at: spec.created_at,
            finished_at: stone.finished_at,
            pruned_at: stone.pruned_at,
            pruned_by: &stone.pruned_by,
            reason: stone.reason.as_deref(),
            ledger_head: hex(&stone.hash.0),
            ledger: rows.collect::<Result<_, _>>()?,
            provisioned,
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
