//! Claiming due runs, and telling owners that somebody else wrote.

use rusqlite::{Connection, params};

use crate::id::{ClaimId, SagaId};
use crate::store::sqlite::codec::{execute, moment, prepare, saga_id, signed, unsigned};
use crate::store::sqlite::read;
use crate::store::{Claim, Claimed, News, Party, Wanted, WorkerId};

/// The runs of this dead worker, or of all, are due at once for the next.
pub(super) fn orphan(connection: &Connection, worker: Option<WorkerId>) -> rusqlite::Result<usize> {
    let sql = "UPDATE run_heads SET owner = NULL, claim_id = NULL, orphaned = 1, nudged = 0, due_at = 0 \
               WHERE owner IS NOT NULL AND (?1 IS NULL OR owner = ?1)";
    execute(connection, sql, params![worker.map(|worker| signed(worker.0))])
}

/// Claims due runs: the highest priority first, of one priority the one that is due longest, or in turns.
pub(super) fn claim(connection: &Connection, wanted: &Wanted) -> rusqlite::Result<Vec<Claimed>> {
    let (queues, cannot) = (json_list(&wanted.queues), cannot(wanted));
    let now = wanted.now.as_micros();
    let mut due: Vec<(i64, bool)> = Vec::new();
    let mut below = i64::MAX;
    while due.len() < wanted.limit {
        // Priority by priority, so that the index gives just what is due and not what waits.
        let next = "SELECT max(priority) FROM run_heads WHERE due_at IS NOT NULL AND priority < ?1";
        let priority = prepare(connection, next)?;
        let priority: Option<i64> = { priority }.query_row([below], |row| row.get(0))?;
        let Some(priority) = priority else { break };
        below = priority;
        let parties = match wanted.turns_after {
            None => vec![None],
            Some(after) => parties(connection, priority, after, wanted.limit)?,
        };
        let share = wanted.limit.div_ceil(parties.len().max(1));
        // One that asks for no party looks at the index of what is due alone.
        let of_party = if wanted.turns_after.is_some() { "party = ?6" } else { "?6 IS NULL" };
        let sql = format!(
            "SELECT run_no, orphaned FROM run_heads WHERE priority = ?1 AND due_at <= ?2 AND {of_party} \
             AND (?3 = '[]' OR queue IN (SELECT value FROM json_each(?3))) \
             AND needs NOT IN (SELECT value FROM json_each(?5)) ORDER BY due_at LIMIT ?4"
        );
        let mut runs = prepare(connection, &sql)?;
        for party in parties {
            let left = share.min(wanted.limit - due.len());
            let values = params![priority, now, queues, left, cannot, party];
            let found = runs.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
            for run in found {
                due.push(run?);
            }
        }
    }
    let claimed =
        due.into_iter().map(|(run_no, orphaned)| take(connection, wanted.worker, run_no, orphaned));
    claimed.collect()
}

/// At most so many of those for whom something may be due, from the one behind `after` on and round about.
fn parties(
    connection: &Connection,
    priority: i64,
    after: Party,
    most: usize,
) -> rusqlite::Result<Vec<Option<i64>>> {
    let mut next = prepare(
        connection,
        "SELECT min(party) FROM run_heads \
         WHERE due_at IS NOT NULL AND priority = ?1 AND party > ?2 AND party <= ?3",
    )?;
    let mut found = Vec::new();
    for (mut behind, last) in [(after.0, i64::MAX), (i64::MIN, after.0)] {
        while found.len() < most {
            let party: Option<i64> = next.query_row([priority, behind, last], |row| row.get(0))?;
            let Some(party) = party else { break };
            found.push(Some(party));
            behind = party;
        }
    }
    Ok(found)
}

fn take(
    connection: &Connection,
    worker: WorkerId,
    run_no: i64,
    orphaned: bool,
) -> rusqlite::Result<Claimed> {
    let id = ClaimId::random();
    let fence: i64 = prepare(
        connection,
        "UPDATE run_heads SET owner = ?2, claim_id = ?3, fence = fence + 1, orphaned = 0, \
             nudged = 0, due_at = NULL WHERE run_no = ?1 RETURNING fence",
    )?
    .query_row(params![run_no, signed(worker.0), id.as_bytes()], |row| row.get(0))?;
    let run = read::run(connection, run_no)?;
    let claim = Claim::new(run.spec.id, id, fence.cast_unsigned(), run_no);
    Ok(Claimed { claim, run, orphaned })
}

/// What others have done that concerns this worker.
pub(super) fn news(connection: &Connection, wanted: &Wanted) -> rusqlite::Result<News> {
    let sql = "SELECT (SELECT min(due_at) FROM run_heads WHERE due_at IS NOT NULL \
               AND (?1 = '[]' OR queue IN (SELECT value FROM json_each(?1))) \
               AND needs NOT IN (SELECT value FROM json_each(?2))), \
               (SELECT min(call_at) FROM run_heads WHERE call_at IS NOT NULL)";
    let lists = [json_list(&wanted.queues), cannot(wanted)];
    let news = prepare(connection, sql)?;
    let (next_due, next_call) =
        { news }.query_row(lists, |row| Ok((moment(row, 0)?, moment(row, 1)?)))?;
    // One process works at a time.
    let others_work = false;
    let (nudged, was_away) = (nudged(connection, wanted.worker)?, false);
    Ok(News { nudged, next_due, next_call, others_work, was_away })
}

/// How many runs somebody owns.
pub(super) fn owned(connection: &Connection) -> rusqlite::Result<u64> {
    let owned = prepare(connection, "SELECT count(*) FROM run_heads WHERE owner IS NOT NULL");
    owned?.query_row([], |row| unsigned(row, 0))
}

/// The runs of this worker to which somebody else wrote; they count as told.
fn nudged(connection: &Connection, worker: WorkerId) -> rusqlite::Result<Vec<SagaId>> {
    let mut runs = prepare(
        connection,
        "SELECT s.id FROM run_heads h JOIN run_specs s USING (run_no) WHERE h.owner = ?1 AND h.nudged",
    )?;
    let worker = signed(worker.0);
    let ids = runs.query_map([worker], |row| saga_id(row, 0))?.collect::<rusqlite::Result<_>>()?;
    execute(connection, "UPDATE run_heads SET nudged = 0 WHERE owner = ?1 AND nudged", [worker])?;
    Ok(ids)
}

/// The runs of this worker, with their claims.
pub(super) fn owned_by(
    connection: &Connection,
    worker: WorkerId,
) -> rusqlite::Result<Vec<(SagaId, ClaimId)>> {
    let mut runs = prepare(
        connection,
        "SELECT s.id, h.claim_id FROM run_heads h JOIN run_specs s USING (run_no) WHERE h.owner = ?1",
    )?;
    let owned = runs.query_map([signed(worker.0)], |row| {
        Ok((saga_id(row, 0)?, ClaimId::from_bytes(row.get(1)?)))
    });
    owned?.collect()
}

/// The needs that the worker cannot meet, as a JSON list.
fn cannot(wanted: &Wanted) -> String {
    let needs: Vec<i64> = wanted.cannot.iter().map(|needs| needs.0).collect();
    serde_json::to_string(&needs).unwrap_or_default()
}

fn json_list(names: &[String]) -> String {
    serde_json::to_string(names).unwrap_or_default()
}
