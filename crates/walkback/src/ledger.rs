//! The ledger of a run: its events with their place, time, writer and hash.

use sha2::{Digest, Sha256};

mod hash;

pub use crate::id::ClaimId;
use crate::id::SagaId;
use crate::machine::Event;
use crate::plan::StepIdx;
use crate::time::Timestamp;
pub use hash::{RowHash, root_hash};

/// One row of a ledger, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place, from zero, without gaps.
    pub seq: u64,
    /// The event's name.
    pub kind: std::borrow::Cow<'static, str>,
    /// The step it is about.
    pub step_idx: Option<StepIdx>,
    /// The attempt that begins here.
    pub attempt: Option<u32>,
    /// Who asked for it; `None` is the engine.
    pub actor: Option<String>,
    /// The claim under which it was written; [`ClaimId::NONE`] for operators and signals.
    pub claim: ClaimId,
    /// The claim's counter; zero without a claim.
    pub fence: u64,
    /// When.
    pub at: Timestamp,
    /// What the event says, as JSON; for a person's request also the `reason`, of a program its `stderr`.
    pub payload: String,
    /// The hash of the row before; of the first row, of what the run was started with.
    pub previous: RowHash,
}

/// A stored row that is no event.
#[derive(Debug, thiserror::Error)]
#[error("ledger row {seq} of kind `{kind}` cannot be read: {source}")]
pub struct BadRow {
    seq: u64,
    kind: String,
    source: serde_json::Error,
}

impl Row {
    /// The event that the row records.
    ///
    /// # Errors
    /// If its kind or its payload is unknown to this version, or damaged.
    pub fn event(&self) -> Result<Event, BadRow> {
        let bad = |source| BadRow { seq: self.seq, kind: self.kind.to_string(), source };
        // An event without data of its own: `{}`, or the reason that somebody gave.
        let bare = self.payload == "{}" || self.payload.starts_with("{\"reason\":");
        let payload = if bare { "null" } else { &self.payload };
        serde_json::from_str(&format!("{{\"{}\":{payload}}}", self.kind)).map_err(bad)
    }

    /// The hash that the next row holds.
    pub fn hash(&self, saga: SagaId) -> RowHash {
        let mut hash = Sha256::new();
        hash.update(self.previous.0);
        hash.update(saga.as_bytes());
        hash.update(self.seq.to_be_bytes());
        hash.update(self.claim.as_bytes());
        hash.update(self.fence.to_be_bytes());
        hash.update(self.at.as_micros().to_be_bytes());
        hash.update(self.step_idx.map_or(u64::MAX, |idx| idx as u64).to_be_bytes());
        hash.update(self.attempt.unwrap_or(u32::MAX).to_be_bytes());
        for text in [&self.kind, self.actor.as_deref().unwrap_or_default(), &self.payload] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        RowHash(hash.finalize().into())
    }
}

/// Who writes: the claim (or none), the moment, and whoever asked.
#[derive(Clone, Debug)]
pub(crate) struct Writer<'a> {
    pub(crate) claim: ClaimId,
    pub(crate) fence: u64,
    pub(crate) at: Timestamp,
    pub(crate) actor: Option<&'a str>,
    /// Added to the payload: a person's `reason`, or the `stderr` of a body's program.
    pub(crate) remark: Option<(&'a str, &'a str)>,
}

/// The end of a ledger, to which rows are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) len: u64,
    pub(crate) hash: RowHash,
}

impl Tip {
    /// The row of `event` after this tip; the tip moves onto it.
    pub(crate) fn row(
        &mut self,
        saga: SagaId,
        event: &Event,
        writer: &Writer<'_>,
    ) -> Result<Row, serde_json::Error> {
        let row = Row {
            seq: self.len,
            kind: event.kind().into(),
            step_idx: event.step(),
            attempt: event.attempt(),
            actor: writer.actor.map(str::to_owned),
            claim: writer.claim,
            fence: writer.fence,
            at: writer.at,
            payload: payload(event, writer.remark)?,
            previous: self.hash,
        };
        *self = Self { len: self.len + 1, hash: row.hash(saga) };
        Ok(row)
    }
}

/// What `event` says, without its name; a remark is added as its last member.
fn payload(event: &Event, remark: Option<(&str, &str)>) -> Result<String, serde_json::Error> {
    let tagged = serde_json::to_string(event)?;
    let unit = tagged.starts_with('"');
    let bare = if unit { "{}" } else { &tagged[event.kind().len() + 4..tagged.len() - 1] };
    let Some((name, text)) = remark else { return Ok(bare.to_owned()) };
    let comma = if unit { "" } else { "," };
    let open = &bare[..bare.len() - 1];
    Ok(format!("{open}{comma}\"{name}\":{}}}", serde_json::to_string(text)?))
}
