//! What runs hold, and what they wait for: within a transaction, key by key one after the other.

use tokio_postgres::types::Type;

use crate::id::SagaId;
use crate::machine::Lock;
use crate::store::postgres::codec::{saga_id, uuid};
use crate::store::postgres::connect::{Connection, Trouble, Value};
use crate::store::{Holder, Locks};

/// Whether lock `l` of a run with head `h` keeps others out. Of the settled only a failed one needs attention.
const HELD: &str = "l.held AND (h.status NOT IN ('completed', 'rolled_back', 'failed') \
     OR l.alone AND h.attention)";

/// Whether all that is to be taken is free, and nothing that is to be waited for. Until the transaction
/// ends nobody else takes these keys, and none of their holders lets go.
pub(super) async fn fits(
    connection: &mut Connection,
    id: SagaId,
    locks: &Locks,
) -> Result<bool, Trouble> {
    if locks.is_empty() {
        return Ok(true);
    }
    let all = || locks.take.iter().chain(&locks.wait_for);
    let mut keys: Vec<&str> = all().map(|lock| lock.key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let sql = "INSERT INTO lock_keys (key) SELECT unnest($1::text[]) \
               ON CONFLICT (key) DO UPDATE SET key = excluded.key";
    connection.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    let sql = format!(
        "SELECT l.key FROM run_locks l JOIN run_heads h USING (id) \
         WHERE l.key = ANY ($1) AND l.id <> $2 AND {HELD} ORDER BY h.id FOR SHARE OF h"
    );
    let values: [Value<'_>; 2] = [(&keys, Type::TEXT_ARRAY), (&uuid(id), Type::UUID)];
    let rows = connection.query(&sql, &values).await?;
    let held: Vec<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    let is_free =
        |lock: &Lock| held.iter().filter(|key| **key == lock.key).count() < lock.room() as usize;
    Ok(locks.take.iter().all(is_free) && !locks.wait_for.iter().any(is_free))
}

pub(super) async fn change(
    connection: &mut Connection,
    id: SagaId,
    locks: &Locks,
) -> Result<(), Trouble> {
    let both = [(&locks.take, true), (&locks.wait_for, false)];
    for (locks, held) in both.into_iter().filter(|(locks, _)| !locks.is_empty()) {
        let keys: Vec<&str> = locks.iter().map(|lock| lock.key.as_str()).collect();
        let alone: Vec<bool> = locks.iter().map(|lock| lock.at_most.is_none()).collect();
        let sql = "INSERT INTO run_locks (key, id, held, alone) \
                   SELECT DISTINCT ON (key) key, $2, $3, alone \
                   FROM unnest($1::text[], $4::bool[]) AS lock (key, alone) \
                   ON CONFLICT (key, id) DO UPDATE SET held = run_locks.held OR excluded.held";
        let values: [Value<'_>; 4] = [
            (&keys, Type::TEXT_ARRAY),
            (&uuid(id), Type::UUID),
            (&held, Type::BOOL),
            (&alone, Type::BOOL_ARRAY),
        ];
        connection.query(sql, &values).await?;
    }
    Ok(())
}

pub(super) async fn holders(
    connection: &mut Connection,
    keys: &[String],
) -> Result<Vec<Holder>, Trouble> {
    let sql = format!(
        "SELECT l.key, l.id FROM unnest($1::text[]) WITH ORDINALITY AS wanted (key, at) \
         JOIN run_locks l USING (key) JOIN run_heads h USING (id) WHERE {HELD} \
         ORDER BY wanted.at, l.id"
    );
    let rows = connection.query(&sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| Ok(Holder { key: row.try_get(0)?, saga: saga_id(row, 1)? })).collect()
}

/// Forgets what the run holds no longer or waits for no longer, and wakes who is next.
pub(super) async fn let_go(connection: &mut Connection, id: SagaId) -> Result<(), Trouble> {
    let sql = format!(
        "DELETE FROM run_locks l USING run_heads h WHERE l.id = $1 AND h.id = l.id \
         AND CASE WHEN l.held THEN NOT ({HELD}) \
         ELSE h.status IN ('completed', 'rolled_back', 'failed') END RETURNING l.key"
    );
    let rows = connection.query(&sql, &[(&uuid(id), Type::UUID)]).await?;
    let keys: Vec<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Ok(());
    }
    let sql = "WITH next AS MATERIALIZED (SELECT DISTINCT ON (l.key) l.id FROM run_locks l \
               JOIN run_heads h USING (id) WHERE l.key = ANY ($1) AND NOT l.held \
               AND h.status IN ('pending', 'running') ORDER BY l.key, l.id) \
               UPDATE run_heads SET due_at = CASE WHEN owner IS NULL THEN 0 END, \
               nudged = owner IS NOT NULL WHERE id IN (SELECT id FROM next)";
    connection.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    let sql = "DELETE FROM lock_keys k WHERE key = ANY ($1) \
               AND NOT EXISTS (SELECT FROM run_locks l WHERE l.key = k.key)";
    connection.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    Ok(())
}
