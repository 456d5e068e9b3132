//! Removing whole runs: all there is of them before, and the stones that they leave.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::desired::Provisioned;
use crate::id::SagaId;
use crate::store::postgres::codec::{
    EACH_ID, hash, moment, saga_id, signed, status, unsigned, uuid,
};
use crate::store::postgres::connect::{Connection, Trouble, Working};
use crate::store::postgres::lane::{Job, Jobs};
use crate::store::postgres::{read, records};
use crate::store::{Appended, StoredRun, Tombstone};

/// Whether nobody needs run `s` with head `h` any more.
pub(super) const PRUNABLE: &str = "h.status IN ('completed', 'rolled_back') AND h.owner IS NULL \
     AND NOT EXISTS (SELECT FROM cloud_provisioned p WHERE p.saga_id = s.id AND p.closed_at IS NULL)";

/// A run that is to be removed as the stone says.
pub(super) struct Pruning(pub(super) Tombstone);

impl Job for Pruning {
    type End = Appended;
    const AT_ONCE: usize = 1;

    fn run(&self) -> SagaId {
        self.0.id
    }

    /// Nothing of it is sent, but each row takes its time.
    fn bytes(&self) -> usize {
        /// Roughly a row's, so that a statement removes some ten thousands of them at once.
        const ROW: usize = 100;
        usize::try_from(self.0.len).unwrap_or(usize::MAX).saturating_mul(ROW)
    }

    fn all(connection: &mut Connection, jobs: Jobs<Self>) -> Working<'_, Vec<Option<Appended>>> {
        Box::pin(async move {
            connection.begin().await?;
            let gone = prune(connection, &jobs).await?;
            connection.commit().await?;
            let end = |job: &Arc<Self>| {
                if gone.contains(&uuid(job.0.id)) { Appended::Applied } else { Appended::Refused }
            };
            Ok(jobs.iter().map(|job| Some(end(job))).collect())
        })
    }
}

/// Everything about those of these runs that are there, each with what it has provisioned, in this order. Heads
/// come first: of a run that changes after its own was read, the stone fits no more.
pub(super) async fn archive(
    connection: &mut Connection,
    ids: &[SagaId],
) -> Result<Vec<(StoredRun, Vec<Provisioned>)>, Trouble> {
    let runs = read::load_each(connection, ids).await?;
    let mut runs: HashMap<SagaId, StoredRun> =
        runs.into_iter().map(|run| (run.spec.id, run)).collect();
    let mut records: HashMap<SagaId, Vec<Provisioned>> = HashMap::new();
    for record in records::provisioned_by(connection, ids).await? {
        records.entry(record.saga_id).or_default().push(record);
    }
    let found = ids
        .iter()
        .filter_map(|id| Some((runs.remove(id)?, records.remove(id).unwrap_or_default())));
    Ok(found.collect())
}

/// Removes those runs whole that still are as their stones say and that nobody needs; says which.
async fn prune(
    connection: &mut Connection,
    jobs: &[Arc<Pruning>],
) -> Result<HashSet<Uuid>, Trouble> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| uuid(job.0.id)).collect();
    let hashes: Vec<&[u8]> = jobs.iter().map(|job| &job.0.hash.0[..]).collect();
    let sql = format!(
        "DELETE FROM run_heads h USING run_specs s, \
         unnest((SELECT $1)::uuid[], (SELECT $2)::bytea[]) AS stone (id, hash) \
         WHERE s.id = h.id AND h.id = stone.id AND h.ledger_head = stone.hash AND {PRUNABLE} \
         RETURNING h.id"
    );
    let stands = [(&ids as _, Type::UUID_ARRAY), (&hashes as _, Type::BYTEA_ARRAY)];
    let gone = connection.query(&sql, &stands).await?;
    let gone = gone.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
    if gone.is_empty() {
        return Ok(HashSet::new());
    }
    for sql in [
        "DELETE FROM ledger_rows WHERE id =",
        "DELETE FROM run_labels l USING run_specs s, json_each_text(s.labels::json) one \
         WHERE l.id = s.id AND l.name = one.key AND l.value = one.value AND s.id =",
        "DELETE FROM run_locks WHERE id =",
        "DELETE FROM cloud_provisioned WHERE saga_id =",
        "DELETE FROM run_specs WHERE id =",
    ] {
        connection.query(&format!("{sql} {EACH_ID}"), &[(&gone, Type::UUID_ARRAY)]).await?;
    }
    let gone: HashSet<Uuid> = gone.into_iter().collect();
    let stones: Vec<&Tombstone> =
        jobs.iter().map(|job| &job.0).filter(|stone| gone.contains(&uuid(stone.id))).collect();
    lay(connection, &stones).await?;
    Ok(gone)
}

/// Lays the stones.
async fn lay(connection: &mut Connection, stones: &[&Tombstone]) -> Result<(), Trouble> {
    fn each<'a, T>(stones: &[&'a Tombstone], of: impl Fn(&'a Tombstone) -> T) -> Vec<T> {
        stones.iter().map(|stone| of(stone)).collect()
    }
    let sql = "INSERT INTO run_tombstones (id, kind, status, created_at, finished_at, ledger_len, \
               ledger_head, pruned_at, pruned_by, reason) \
               SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], \
               $6::bigint[], $7::bytea[], $8::bigint[], $9::text[], $10::text[])";
    let values = [
        (&each(stones, |stone| uuid(stone.id)) as _, Type::UUID_ARRAY),
        (&each(stones, |stone| &*stone.kind) as _, Type::TEXT_ARRAY),
        (&each(stones, |stone| stone.status.name()) as _, Type::TEXT_ARRAY),
        (&each(stones, |stone| stone.created_at.as_micros()) as _, Type::INT8_ARRAY),
        (&each(stones, |stone| stone.finished_at.as_micros()) as _, Type::INT8_ARRAY),
        (&each(stones, |stone| signed(stone.len)) as _, Type::INT8_ARRAY),
        (&each(stones, |stone| &stone.hash.0[..]) as _, Type::BYTEA_ARRAY),
        (&each(stones, |stone| stone.pruned_at.as_micros()) as _, Type::INT8_ARRAY),
        (&each(stones, |stone| &*stone.pruned_by) as _, Type::TEXT_ARRAY),
        (&each(stones, |stone| stone.reason.as_deref()) as _, Type::TEXT_ARRAY),
    ];
    connection.query(sql, &values).await?;
    Ok(())
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
