//! Rows of SQLite to values and back.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, Params, Row as SqlRow};

use crate::id::{ClaimId, SagaId};
use crate::json::Json;
use crate::ledger::{Row, RowHash};
use crate::machine::Status;
use crate::store::{Head, Spec, sent};
use crate::time::Timestamp;

/// Runs a statement that is prepared once for each connection.
pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    with: impl Params,
) -> rusqlite::Result<usize> {
    prepare(connection, sql)?.execute(with)
}

/// A statement, prepared once for each connection.
pub(super) fn prepare<'a>(
    connection: &'a Connection,
    sql: &str,
) -> rusqlite::Result<CachedStatement<'a>> {
    connection.prepare_cached(&sent::as_sent(sql))
}

fn damaged(column: usize, what: impl std::fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.to_string().into())
}

pub(super) fn saga_id(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<SagaId> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error| damaged(column, error))
}

pub(super) fn moment(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_micros))
}

pub(super) fn micros(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_micros)
}

/// Numbers are kept as SQLite's signed 64 bits; ours never come near the sign.
#[expect(clippy::cast_possible_wrap, reason = "lengths and counters stay far below 2^63")]
pub(super) fn signed(number: u64) -> i64 {
    number as i64
}

pub(super) fn unsigned(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| damaged(column, error))
}

pub(super) fn claim_id(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Option<ClaimId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(ClaimId::from_bytes))
}

/// The columns of [`spec`], from `run_specs AS s`.
pub(super) const SPEC: &str = "s.id, s.kind, s.step_modules, s.inputs, s.idempotency_key, s.labels, \
     s.queue, s.priority, s.deadline, s.created_at";
/// How many they are.
pub(super) const SPEC_COLUMNS: usize = 10;

pub(super) fn spec(row: &SqlRow<'_>) -> rusqlite::Result<Spec> {
    let text = |column| row.get_ref(column)?.as_str().map(Arc::from).map_err(rusqlite::Error::from);
    let labels: String = row.get(5)?;
    Ok(Spec {
        id: saga_id(row, 0)?,
        kind: text(1)?,
        steps: text(2)?,
        inputs: Json::parse(row.get::<_, String>(3)?).map_err(|error| damaged(3, error))?,
        key: row.get(4)?,
        labels: serde_json::from_str(&labels).map_err(|error| damaged(5, error))?,
        queue: text(6)?,
        priority: row.get(7)?,
        deadline: moment(row, 8)?,
        created_at: moment(row, 9)?.unwrap_or_default(),
    })
}

/// The columns of [`head`], from `run_heads AS h`.
pub(super) const HEAD: &str = "h.status, h.current_step_idx, h.steps, h.cancel_requested, h.error, \
     h.parked, h.attention, h.wake_at, h.started_at, h.finished_at, h.ledger_len, h.ledger_head, \
     h.call_at";
/// How many they are.
pub(super) const HEAD_COLUMNS: usize = 13;

pub(super) fn status(row: &SqlRow<'_>, column: usize) -> rusqlite::Result<Status> {
    let name: String = row.get(column)?;
    Status::named(&name).ok_or_else(|| damaged(column, name))
}

/// The head whose first column is `at`.
pub(super) fn head(row: &SqlRow<'_>, at: usize) -> rusqlite::Result<Head> {
    Ok(Head {
        status: status(row, at)?,
        current_step: row.get(at + 1)?,
        steps: row.get(at + 2)?,
        cancel_requested: row.get(at + 3)?,
        error: row.get(at + 4)?,
        parked: row.get(at + 5)?,
        attention: row.get(at + 6)?,
        wake_at: moment(row, at + 7)?,
        started_at: moment(row, at + 8)?,
        finished_at: moment(row, at + 9)?,
        len: unsigned(row, at + 10)?,
        hash: RowHash(row.get(at + 11)?),
        call_at: moment(row, at + 12)?,
    })
}

/// The columns of [`ledger_row`], from `ledger_rows AS l`.
pub(super) const LEDGER: &str = "l.seq, l.kind, l.step_idx, l.attempt, l.actor, l.claim_id, l.fence, \
     l.at, l.payload, l.previous";

pub(super) fn ledger_row(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        seq: unsigned(row, 0)?,
        kind: row.get::<_, String>(1)?.into(),
        step_idx: row.get(2)?,
        attempt: row.get(3)?,
        actor: row.get(4)?,
        claim: claim_id(row, 5)?.unwrap_or(ClaimId::NONE),
        fence: unsigned(row, 6)?,
        at: moment(row, 7)?.unwrap_or_default(),
        payload: row.get(8)?,
        previous: RowHash(row.get(9)?),
    })
}
