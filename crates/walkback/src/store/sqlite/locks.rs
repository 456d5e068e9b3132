//! What runs hold, and what they wait for.

use rusqlite::{Connection, OptionalExtension, params};

use crate::id::SagaId;
use crate::machine::Lock;
use crate::store::sqlite::codec::{execute, prepare, saga_id};
use crate::store::{Holder, Locks};

/// Whether lock `l` of a run with head `h` keeps others out. Of the settled only a failed one needs attention.
const HELD: &str = "l.held AND (h.status NOT IN ('completed', 'rolled_back', 'failed') \
     OR l.alone AND h.attention)";

fn is_free(connection: &Connection, run_no: i64, lock: &Lock) -> rusqlite::Result<bool> {
    let sql = format!(
        "SELECT count(*) < ?3 FROM run_locks l JOIN run_heads h USING (run_no) \
         WHERE l.key = ?1 AND l.run_no <> ?2 AND {HELD}"
    );
    let others = prepare(connection, &sql);
    others?.query_row(params![lock.key, run_no, lock.room()], |row| row.get(0))
}

/// Whether all that is to be taken is free, and nothing that is to be waited for.
pub(super) fn fits(connection: &Connection, run_no: i64, locks: &Locks) -> rusqlite::Result<bool> {
    for (locks, wanted_free) in [(&locks.take, true), (&locks.wait_for, false)] {
        for lock in locks {
            if is_free(connection, run_no, lock)? != wanted_free {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The run of this id, where it has to be known before it is written to.
pub(super) fn run_no(connection: &Connection, id: SagaId) -> rusqlite::Result<Option<i64>> {
    let run = prepare(connection, "SELECT run_no FROM run_specs WHERE id = ?1");
    run?.query_row([id.to_string()], |row| row.get(0)).optional()
}

pub(super) fn change(connection: &Connection, run_no: i64, locks: &Locks) -> rusqlite::Result<()> {
    for (locks, held) in [(&locks.take, true), (&locks.wait_for, false)] {
        for lock in locks {
            let sql = "INSERT INTO run_locks (key, run_no, held, alone) VALUES (?1, ?2, ?3, ?4) \
                       ON CONFLICT DO UPDATE SET held = held OR excluded.held";
            execute(connection, sql, params![lock.key, run_no, held, lock.at_most.is_none()])?;
        }
    }
    Ok(())
}

pub(super) fn holders(connection: &Connection, keys: &[String]) -> rusqlite::Result<Vec<Holder>> {
    let sql = format!(
        "SELECT l.key, s.id FROM run_locks l JOIN run_heads h USING (run_no) \
         JOIN run_specs s USING (run_no) WHERE l.key = ?1 AND {HELD} ORDER BY l.run_no"
    );
    let mut of_key = prepare(connection, &sql)?;
    let mut holders = Vec::new();
    for key in keys {
        let found = of_key
            .query_map([key], |row| Ok(Holder { key: row.get(0)?, saga: saga_id(row, 1)? }))?;
        holders.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
    }
    Ok(holders)
}

/// Forgets what the run holds no longer or waits for no longer, and wakes who is next.
pub(super) fn let_go(connection: &Connection, id: SagaId) -> rusqlite::Result<()> {
    let Some(run_no) = run_no(connection, id)? else { return Ok(()) };
    let sql = format!(
        "DELETE FROM run_locks AS l WHERE run_no = ?1 AND EXISTS (SELECT 1 FROM run_heads h \
         WHERE h.run_no = l.run_no AND CASE WHEN l.held THEN NOT ({HELD}) \
         ELSE h.status IN ('completed', 'rolled_back', 'failed') END) RETURNING key"
    );
    let mut gone = prepare(connection, &sql)?;
    let keys: Vec<String> =
        gone.query_map([run_no], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for key in keys {
        let sql = "UPDATE run_heads SET due_at = CASE WHEN owner IS NULL THEN 0 END, \
                   nudged = owner IS NOT NULL WHERE run_no = (SELECT min(l.run_no) FROM run_locks l \
                   JOIN run_heads h USING (run_no) WHERE l.key = ?1 AND NOT l.held \
                   AND h.status IN ('pending', 'running'))";
        execute(connection, sql, [key])?;
    }
    Ok(())
}
