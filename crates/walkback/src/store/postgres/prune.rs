//! Removing whole runs, and the stones that they leave.

use tokio_postgres::types::Type;

use crate::id::SagaId;
use crate::store::postgres::codec::{hash, moment, saga_id, signed, status, unsigned, uuid};
use crate::store::postgres::connect::{Connection, Trouble};
use crate::store::{Appended, Tombstone};

/// Whether nobody needs run `s` with head `h` any more.
pub(super) const PRUNABLE: &str = "h.status IN ('completed', 'rolled_back') AND h.owner IS NULL \
     AND NOT EXISTS (SELECT FROM cloud_provisioned p WHERE p.saga_id = s.id AND p.closed_at IS NULL)";

/// Removes the run whole, if it still is as the stone says and nobody needs it.
pub(super) async fn prune(
    connection: &mut Connection,
    stone: &Tombstone,
) -> Result<Appended, Trouble> {
    let id = uuid(stone.id);
    let sql = format!(
        "DELETE FROM run_heads h USING run_specs s WHERE s.id = h.id AND h.id = $1 \
         AND h.ledger_head = $2 AND {PRUNABLE} RETURNING h.id"
    );
    let stands = [(&id as _, Type::UUID), (&stone.hash.0.as_slice() as _, Type::BYTEA)];
    if connection.query(&sql, &stands).await?.is_empty() {
        return Ok(Appended::Refused);
    }
    for sql in [
        "DELETE FROM ledger_rows WHERE id = $1",
        "DELETE FROM run_labels l USING run_specs s, json_each_text(s.labels::json) one \
         WHERE s.id = $1 AND l.id = s.id AND l.name = one.key AND l.value = one.value",
        "DELETE FROM run_locks WHERE id = $1",
        "DELETE FROM cloud_provisioned WHERE saga_id = $1",
        "DELETE FROM run_specs WHERE id = $1",
    ] {
        connection.query(sql, &[(&id, Type::UUID)]).await?;
    }
    let sql = "INSERT INTO run_tombstones (id, kind, status, created_at, finished_at, ledger_len, \
               ledger_head, pruned_at, pruned_by, reason) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        (&id as _, Type::UUID),
        (&&*stone.kind as _, Type::TEXT),
        (&stone.status.name() as _, Type::TEXT),
        (&stone.created_at.as_micros() as _, Type::INT8),
        (&stone.finished_at.as_micros() as _, Type::INT8),
        (&signed(stone.len) as _, Type::INT8),
        (&stone.hash.0.as_slice() as _, Type::BYTEA),
        (&stone.pruned_at.as_micros() as _, Type::INT8),
        (&stone.pruned_by as _, Type::TEXT),
        (&stone.reason as _, Type::TEXT),
    ];
    connection.query(sql, &values).await?;
    Ok(Appended::Applied)
}

/// What is left of a run that was pruned.
pub(super) async fn tombstone(
    connection: &mut Connection,
    id: SagaId,
) -> Result<Option<Tombstone>, Trouble> {
    let sql = "SELECT id, kind, status, created_at, finished_at, ledger_len, ledger_head, pruned_at, \
               pruned_by, reason FROM run_tombstones WHERE id = $1";
    let found = connection.query(sql, &[(&uuid(id), Type::UUID)]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    Ok(Some(Tombstone {
        id: saga_id(row, 0)?,
        kind: row.try_get::<_, &str>(1)?.into(),
        status: status(row, 2)?,
        created_at: moment(row, 3)?.unwrap_or_default(),
        finished_at: moment(row, 4)?.unwrap_or_default(),
        len: unsigned(row, 5)?,
        hash: hash(row, 6)?,
        pruned_at: moment(row, 7)?.unwrap_or_default(),
        pruned_by: row.try_get(8)?,
        reason: row.try_get(9)?,
    }))
}
