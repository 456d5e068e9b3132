//! Removing whole runs: all there is of them before, and the stones that they leave.

use rusqlite::{Connection, OptionalExtension, params};

use crate::desired::Provisioned;
use crate::id::SagaId;
use crate::ledger::RowHash;
use crate::store::sqlite::codec::{execute, moment, prepare, saga_id, signed, status, unsigned};
use crate::store::sqlite::{read, records};
use crate::store::{Appended, StoredRun, Tombstone};

/// Whether nobody needs run `s` with head `h` any more.
pub(super) const PRUNABLE: &str = "h.status IN ('completed', 'rolled_back') AND h.owner IS NULL \
     AND NOT EXISTS (SELECT 1 FROM cloud_provisioned p WHERE p.saga_id = s.id AND p.closed_at IS NULL)";

/// Everything about those of these runs that are there, each with what it has provisioned, in this order.
pub(super) fn archive(
    connection: &Connection,
    ids: &[SagaId],
) -> rusqlite::Result<Vec<(StoredRun, Vec<Provisioned>)>> {
    let runs = ids.iter().filter_map(|id| read::load(connection, *id).transpose());
    let with_records = runs.map(|run| {
        let run = run?;
        let provisioned = records::provisioned(connection, Some(run.spec.id))?;
        Ok((run, provisioned))
    });
    with_records.collect()
}

/// Removes the run whole, if it still is as the stone says and nobody needs it.
pub(super) fn prune(connection: &Connection, stone: &Tombstone) -> rusqlite::Result<Appended> {
    let id = stone.id.to_string();
    let sql = format!(
        "DELETE FROM run_heads WHERE run_no = (SELECT run_no FROM run_specs s JOIN run_heads h \
         USING (run_no) WHERE s.id = ?1 AND h.ledger_head = ?2 AND {PRUNABLE}) \
         RETURNING run_no"
    );
    let run_no: Option<i64> = prepare(connection, &sql)?
        .query_row(params![id, stone.hash.0], |row| row.get(0))
        .optional()?;
    let Some(run_no) = run_no else { return Ok(Appended::Refused) };
    execute(connection, "DELETE FROM ledger_rows WHERE run_no = ?1", [run_no])?;
    execute(
        connection,
        "DELETE FROM run_labels WHERE run_no = ?1 AND (name, value) IN \
         (SELECT key, value FROM run_specs, json_each(labels) WHERE run_no = ?1)",
        [run_no],
    )?;
    execute(connection, "DELETE FROM cloud_provisioned WHERE saga_id = ?1", [&id])?;
    execute(connection, "DELETE FROM run_specs WHERE run_no = ?1", [run_no])?;
    execute(
        connection,
        "INSERT INTO run_tombstones (id, kind, status, created_at, finished_at, ledger_len, \
         ledger_head, pruned_at, pruned_by, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            id,
            stone.kind,
            stone.status.name(),
            stone.created_at.as_micros(),
            stone.finished_at.as_micros(),
            signed(stone.len),
            stone.hash.0,
            stone.pruned_at.as_micros(),
            stone.pruned_by,
            stone.reason
        ],
    )?;
    Ok(Appended::Applied)
}

/// What is left of a run that was pruned.
pub(super) fn tombstone(
    connection: &Connection,
    id: SagaId,
) -> rusqlite::Result<Option<Tombstone>> {
    let sql = "SELECT id, kind, status, created_at, finished_at, ledger_len, ledger_head, pruned_at, \
               pruned_by, reason FROM run_tombstones WHERE id = ?1";
    let stone = prepare(connection, sql)?;
    { stone }
        .query_row([id.to_string()], |row| {
            Ok(Tombstone {
                id: saga_id(row, 0)?,
                kind: row.get::<_, String>(1)?.into(),
                status: status(row, 2)?,
                created_at: moment(row, 3)?.unwrap_or_default(),
                finished_at: moment(row, 4)?.unwrap_or_default(),
                len: unsigned(row, 5)?,
                hash: RowHash(row.get(6)?),
                pruned_at: moment(row, 7)?.unwrap_or_default(),
                pruned_by: row.get(8)?,
                reason: row.get(9)?,
            })
        })
        .optional()
}
