//! Rows of PostgreSQL to values and back.

use std::sync::Arc;

use tokio_postgres::Row as SqlRow;
use uuid::Uuid;

use crate::id::{ClaimId, SagaId};
use crate::json::Json;
use crate::ledger::{Row, RowHash};
use crate::machine::Status;
use crate::plan::StepIdx;
use crate::store::postgres::connect::Trouble;
use crate::store::{Head, Spec};
use crate::time::Timestamp;

/// One of many ids, which are `$1`. Of an array that it has to compute the planner expects ten: however many
/// there are each is looked up, and the whole table is never read.
pub(super) const EACH_ID: &str = "ANY ((SELECT $1)::uuid[])";

pub(super) fn damaged(what: impl std::fmt::Display) -> Trouble {
    Trouble::Damaged(what.to_string())
}

pub(super) fn uuid(id: SagaId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(super) fn claim_uuid(id: ClaimId) -> Uuid {
    Uuid::from_bytes(*id.as_bytes())
}

pub(super) fn saga_id(row: &SqlRow, column: usize) -> Result<SagaId, Trouble> {
    Ok(SagaId::from_bytes(row.try_get::<_, Uuid>(column)?.into_bytes()))
}

pub(super) fn claim_id(row: &SqlRow, column: usize) -> Result<Option<ClaimId>, Trouble> {
    Ok(row.try_get::<_, Option<Uuid>>(column)?.map(|id| ClaimId::from_bytes(id.into_bytes())))
}

pub(super) fn moment(row: &SqlRow, column: usize) -> Result<Option<Timestamp>, Trouble> {
    Ok(row.try_get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

/// Numbers are kept as signed 64 bits; ours never come near the sign.
pub(super) fn signed(number: u64) -> i64 {
    number.cast_signed()
}

/// A step's index; there are at most a thousand.
pub(super) fn index(step: StepIdx) -> i32 {
    i32::try_from(step).unwrap_or(i32::MAX)
}

pub(super) fn unsigned(row: &SqlRow, column: usize) -> Result<u64, Trouble> {
    row.try_get::<_, i64>(column)?.try_into().map_err(damaged)
}

pub(super) fn step_idx(row: &SqlRow, column: usize) -> Result<StepIdx, Trouble> {
    row.try_get::<_, i32>(column)?.try_into().map_err(damaged)
}

pub(super) fn hash(row: &SqlRow, column: usize) -> Result<RowHash, Trouble> {
    row.try_get::<_, &[u8]>(column)?.try_into().map(RowHash).map_err(damaged)
}

/// The columns of [`spec`], from `run_specs s`, and of [`head`], from `run_heads h`; before them who
/// owns the run.
pub(super) const RUN: &str = "CASE WHEN h.owner IS NOT NULL THEN h.claim_id END, s.id, s.kind, \
     s.step_modules, s.inputs, s.idempotency_key, s.labels, s.queue, s.priority, s.deadline, \
     s.created_at, h.status, h.current_step_idx, h.steps, h.cancel_requested, h.error, h.parked, \
     h.attention, h.wake_at, h.started_at, h.finished_at, h.ledger_len, h.ledger_head, h.call_at";
/// The columns of [`head`] alone.
pub(super) const HEAD: &str = "h.status, h.current_step_idx, h.steps, h.cancel_requested, h.error, \
     h.parked, h.attention, h.wake_at, h.started_at, h.finished_at, h.ledger_len, h.ledger_head, \
     h.call_at";
/// Columns of a spec.
pub(super) const SPEC_COLUMNS: usize = 10;

/// The spec whose first column is `at`.
pub(super) fn spec(row: &SqlRow, at: usize) -> Result<Spec, Trouble> {
    let text = |column| Ok::<_, Trouble>(Arc::from(row.try_get::<_, &str>(column)?));
    let labels: &str = row.try_get(at + 5)?;
    Ok(Spec {
        id: saga_id(row, at)?,
        kind: text(at + 1)?,
        steps: text(at + 2)?,
        inputs: Json::parse(row.try_get::<_, String>(at + 3)?).map_err(damaged)?,
        key: row.try_get(at + 4)?,
        labels: serde_json::from_str(labels).map_err(damaged)?,
        queue: text(at + 6)?,
        priority: row.try_get(at + 7)?,
        deadline: moment(row, at + 8)?,
        created_at: moment(row, at + 9)?.unwrap_or_default(),
    })
}

pub(super) fn status(row: &SqlRow, column: usize) -> Result<Status, Trouble> {
    let name: &str = row.try_get(column)?;
    Status::named(name).ok_or_else(|| damaged(format_args!("`{name}` is no status")))
}

/// The head whose first column is `at`.
pub(super) fn head(row: &SqlRow, at: usize) -> Result<Head, Trouble> {
    Ok(Head {
        status: status(row, at)?,
        current_step: step_idx(row, at + 1)?,
        steps: row.try_get(at + 2)?,
        cancel_requested: row.try_get(at + 3)?,
        error: row.try_get(at + 4)?,
        parked: row.try_get(at + 5)?,
        attention: row.try_get(at + 6)?,
        wake_at: moment(row, at + 7)?,
        started_at: moment(row, at + 8)?,
        finished_at: moment(row, at + 9)?,
        len: unsigned(row, at + 10)?,
        hash: hash(row, at + 11)?,
        call_at: moment(row, at + 12)?,
    })
}

/// The columns of [`ledger_row`], from `ledger_rows l`.
pub(super) const LEDGER: &str = "l.id, l.seq, l.kind, l.step_idx, l.attempt, l.actor, l.claim_id, \
     l.fence, l.at, l.payload, l.previous";

pub(super) fn ledger_row(row: &SqlRow) -> Result<Row, Trouble> {
    let attempt: Option<i32> = row.try_get(4)?;
    let step: Option<i32> = row.try_get(3)?;
    Ok(Row {
        seq: unsigned(row, 1)?,
        kind: row.try_get::<_, String>(2)?.into(),
        step_idx: step.map(StepIdx::try_from).transpose().map_err(damaged)?,
        attempt: attempt.map(u32::try_from).transpose().map_err(damaged)?,
        actor: row.try_get(5)?,
        claim: claim_id(row, 6)?.unwrap_or(ClaimId::NONE),
        fence: unsigned(row, 7)?,
        at: moment(row, 8)?.unwrap_or_default(),
        payload: row.try_get(9)?,
        previous: hash(row, 10)?,
    })
}
