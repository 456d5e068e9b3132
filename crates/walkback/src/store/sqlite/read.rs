//! Statements that only read.

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, ToSql, params};

use crate::id::SagaId;
use crate::ledger::Row;
use crate::store::sqlite::codec::{
    HEAD, HEAD_COLUMNS, LEDGER, SPEC, SPEC_COLUMNS, claim_id, head as decode_head, ledger_row,
    moment, prepare, saga_id, signed, spec,
};
use crate::store::{Filter, Head, StoredRun};
use crate::time::Timestamp;

fn run_no(connection: &Connection, id: SagaId) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT run_no FROM run_specs WHERE id = ?1";
    prepare(connection, sql)?.query_row([id.to_string()], |row| row.get(0)).optional()
}

/// Everything about run `run_no`.
pub(super) fn run(connection: &Connection, run_no: i64) -> rusqlite::Result<StoredRun> {
    let sql = format!(
        "SELECT {SPEC}, {HEAD}, CASE WHEN h.owner IS NOT NULL THEN h.claim_id END \
         FROM run_specs s JOIN run_heads h USING (run_no) WHERE run_no = ?1"
    );
    let (spec, head, owner) = prepare(connection, &sql)?.query_row([run_no], |row| {
        let owner = claim_id(row, SPEC_COLUMNS + HEAD_COLUMNS)?;
        Ok((spec(row)?, decode_head(row, SPEC_COLUMNS)?, owner))
    })?;
    let rows = rows_from(connection, run_no, 0)?;
    Ok(StoredRun { spec, head, rows, owner })
}

fn rows_from(connection: &Connection, run_no: i64, from: u64) -> rusqlite::Result<Vec<Row>> {
    let sql =
        format!("SELECT {LEDGER} FROM ledger_rows l WHERE run_no = ?1 AND seq >= ?2 ORDER BY seq");
    let mut rows = prepare(connection, &sql)?;
    rows.query_map(params![run_no, signed(from)], ledger_row)?.collect()
}

pub(super) fn load(connection: &Connection, id: SagaId) -> rusqlite::Result<Option<StoredRun>> {
    run_no(connection, id)?.map(|run_no| run(connection, run_no)).transpose()
}

pub(super) fn head(connection: &Connection, id: SagaId) -> rusqlite::Result<Option<Head>> {
    let sql =
        format!("SELECT {HEAD} FROM run_specs s JOIN run_heads h USING (run_no) WHERE s.id = ?1");
    prepare(connection, &sql)?.query_row([id.to_string()], |row| decode_head(row, 0)).optional()
}

pub(super) fn rows(connection: &Connection, id: SagaId, from: u64) -> rusqlite::Result<Vec<Row>> {
    run_no(connection, id)?.map_or(Ok(Vec::new()), |run_no| rows_from(connection, run_no, from))
}

/// The runs that fit, newest first: ids sort by the time of their making.
pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<SagaId>> {
    let mut sql =
        String::from("SELECT s.id FROM run_specs s JOIN run_heads h USING (run_no) WHERE 1");
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut fit = |sql: &mut String, condition: &str, with: Vec<Box<dyn ToSql>>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        values.extend(with);
    };
    if !filter.statuses.is_empty() {
        let marks = vec!["?"; filter.statuses.len()].join(", ");
        let names = filter.statuses.iter().map(|status| Box::new(status.name()) as Box<dyn ToSql>);
        fit(&mut sql, &format!("h.status IN ({marks})"), names.collect());
    }
    if let Some(kind) = &filter.kind {
        fit(&mut sql, "s.kind = ?", vec![Box::new(kind.clone())]);
    }
    for (name, value) in &filter.labels {
        let has = "EXISTS (SELECT 1 FROM run_labels l WHERE l.name = ? AND l.value = ? AND l.run_no = s.run_no)";
        fit(&mut sql, has, vec![Box::new(name.clone()), Box::new(value.clone())]);
    }
    if let Some(why) = &filter.parked {
        fit(&mut sql, "h.attention AND h.parked = ?", vec![Box::new(why.clone())]);
    }
    if filter.attention {
        fit(&mut sql, "h.attention", Vec::new());
    }
    if let Some(before) = filter.prunable_before {
        let old = format!("h.finished_at < ? AND {}", super::prune::PRUNABLE);
        fit(&mut sql, &old, vec![Box::new(before.as_micros())]);
    }
    if let Some(after) = filter.after {
        fit(&mut sql, "s.id < ?", vec![Box::new(after.to_string())]);
    }
    sql.push_str(" ORDER BY s.id DESC LIMIT ?");
    values.push(Box::new(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    let mut runs = prepare(connection, &sql)?;
    let values: Vec<&dyn ToSql> = values.iter().map(AsRef::as_ref).collect();
    runs.query_map(values.as_slice(), |row| saga_id(row, 0))?.collect()
}

pub(super) fn scan(
    connection: &Connection,
    after: Option<SagaId>,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRun>> {
    let after = after.map(|id| id.to_string()).unwrap_or_default();
    let sql = "SELECT run_no FROM run_specs WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut runs = prepare(connection, sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<i64> = runs
        .query_map(params![after, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    found.into_iter().map(|run_no| run(connection, run_no)).collect()
}

/// The runs for which the hook is to be called, the soonest first.
pub(super) fn calls(
    connection: &Connection,
    limit: usize,
) -> rusqlite::Result<Vec<(SagaId, Timestamp)>> {
    let sql = "SELECT s.id, h.call_at FROM run_heads h JOIN run_specs s USING (run_no) \
               WHERE h.call_at IS NOT NULL ORDER BY h.call_at LIMIT ?1";
    let mut calls = prepare(connection, sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let call = |row: &SqlRow<'_>| Ok((saga_id(row, 0)?, moment(row, 1)?.unwrap_or_default()));
    calls.query_map([limit], call)?.collect()
}
