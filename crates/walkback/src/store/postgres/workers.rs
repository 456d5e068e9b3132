//! Who works here, and on what. A worker says that it lives, by the server's clock; whoever is
//! silent for too long is dead, and its runs go to the others.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tracing::{info, warn};

use crate::id::{ClaimId, SagaId};
use crate::store::postgres::codec::{
    RUN, claim_id, damaged, moment, saga_id, signed, unsigned, uuid,
};
use crate::store::postgres::connect::{Connection, Database, Trouble, Value};
use crate::store::postgres::read;
use crate::store::{Claim, Claimed, News, Wanted, WorkerId, WorkerInfo, WorkerSeen};

/// A worker says that it lives so many times while its lease lasts.
const BEATS: u32 = 4;

/// Says that a worker lives, until it is dropped.
pub(super) struct Keeper {
    lost: Arc<AtomicBool>,
    _task: JoinSet<()>,
}

impl Keeper {
    /// Keeps a worker that was just enlisted; `hint` is told when runs of a dead one are free.
    pub(super) fn keep(
        database: Arc<Database>,
        worker: WorkerId,
        lease: Duration,
        hint: Arc<Notify>,
    ) -> Self {
        let lost = Arc::new(AtomicBool::new(false));
        let mut task = JoinSet::new();
        task.spawn(keep(database, worker, lease, Arc::clone(&lost), hint));
        Self { lost, _task: task }
    }

    /// Whether it was taken for dead.
    pub(super) fn lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn keep(
    database: Arc<Database>,
    worker: WorkerId,
    lease: Duration,
    lost: Arc<AtomicBool>,
    hint: Arc<Notify>,
) {
    // Whoever was away itself cannot say who is dead, as the others may have been away with it: they
    // get the time to say that they live.
    let (mut watching, mut last) = (Instant::now(), Instant::now());
    loop {
        tokio::time::sleep(lease / BEATS).await;
        let beaten = database.read(move |connection| Box::pin(beat(connection, worker, lease)));
        let (alive, late) = match beaten.await {
            Ok(answer) => answer,
            Err(error) => {
                warn!(%error, "cannot say that this worker lives");
                continue;
            }
        };
        if !alive {
            warn!("this worker was taken for dead: others have its sagas");
            lost.store(true, Ordering::SeqCst);
            hint.notify_one();
            return;
        }
        if last.elapsed() > lease * 3 / 4 {
            watching = Instant::now();
        }
        last = Instant::now();
        if late && watching.elapsed() >= lease / 2 {
            match database.write(|connection| Box::pin(bury(connection))).await {
                Ok(0) => {}
                Ok(runs) => {
                    info!(runs, "took over the sagas of a worker that is dead");
                    hint.notify_one();
                }
                Err(trouble) => {
                    warn!(error = %trouble.told(&database), "cannot take over from a dead worker");
                }
            }
        }
    }
}

/// Says that this worker lives. Answers whether it still counts as alive, and whether somebody else
/// has been silent for too long.
async fn beat(
    connection: &mut Connection,
    worker: WorkerId,
    lease: Duration,
) -> Result<(bool, bool), Trouble> {
    let sql = "WITH beat AS (UPDATE workers SET seen_at = clock_timestamp(), \
               expires_at = clock_timestamp() + make_interval(secs => $2) \
               WHERE id = $1 AND NOT dead RETURNING 1) \
               SELECT EXISTS (SELECT FROM beat), EXISTS (SELECT FROM workers \
               WHERE id <> $1 AND (dead OR expires_at < clock_timestamp()))";
    let id = signed(worker.0);
    let values: [Value<'_>; 2] = [(&id, Type::INT8), (&lease.as_secs_f64(), Type::FLOAT8)];
    let row = connection.query(sql, &values).await?.pop().ok_or_else(|| damaged("no beat"))?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Marks the silent as dead, and then gives their runs to the others. These are two commits: a claim
/// that was under way when its worker died is there before the second one, which finds it.
async fn bury(connection: &mut Connection) -> Result<u64, Trouble> {
    let silent = "WITH silent AS MATERIALIZED (SELECT id FROM workers \
                  WHERE NOT dead AND expires_at < clock_timestamp() FOR UPDATE SKIP LOCKED) \
                  UPDATE workers w SET dead = true FROM silent WHERE w.id = silent.id";
    connection.query(silent, &[]).await?;
    orphan(connection).await
}

/// The runs of the dead are due at once for the next.
async fn orphan(connection: &mut Connection) -> Result<u64, Trouble> {
    let sql = "UPDATE run_heads SET owner = NULL, claim_id = NULL, orphaned = true, nudged = false, \
               due_at = 0 WHERE owner IN (SELECT id FROM workers WHERE dead) RETURNING 1";
    let runs = connection.query(sql, &[]).await?.len();
    let sql = "DELETE FROM workers w WHERE dead \
               AND NOT EXISTS (SELECT FROM run_heads h WHERE h.owner = w.id)";
    connection.query(sql, &[]).await?;
    Ok(runs as u64)
}

pub(super) async fn enlist(
    connection: &mut Connection,
    info: &WorkerInfo,
    worker: WorkerId,
) -> Result<(), Trouble> {
    let sql = "INSERT INTO workers (id, pid, host, version, steps, queues, since, seen_at, expires_at, dead) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), \
               clock_timestamp() + make_interval(secs => $8), false) \
               ON CONFLICT (id) DO UPDATE SET dead = false, seen_at = excluded.seen_at, \
               expires_at = excluded.expires_at";
    let list = |of: &[String]| serde_json::to_string(of).map_err(damaged);
    let (steps, queues) = (list(&info.steps)?, list(&info.queues)?);
    let values: [Value<'_>; 8] = [
        (&signed(worker.0), Type::INT8),
        (&i64::from(info.pid), Type::INT8),
        (&info.host, Type::TEXT),
        (&info.version, Type::TEXT),
        (&steps, Type::TEXT),
        (&queues, Type::TEXT),
        (&info.since.as_micros(), Type::INT8),
        (&info.lease.time().as_secs_f64(), Type::FLOAT8),
    ];
    connection.query(sql, &values).await?;
    Ok(())
}

/// The worker gets nothing more, and what it has goes to the others.
pub(super) async fn retire(connection: &mut Connection, worker: WorkerId) -> Result<(), Trouble> {
    // Whoever is just claiming for it is waited for.
    let sql = "WITH leaving AS MATERIALIZED (SELECT id FROM workers WHERE id = $1 FOR UPDATE) \
               UPDATE workers w SET dead = true FROM leaving WHERE w.id = leaving.id";
    connection.query(sql, &[(&signed(worker.0), Type::INT8)]).await?;
    orphan(connection).await?;
    Ok(())
}

pub(super) async fn workers(connection: &mut Connection) -> Result<Vec<WorkerSeen>, Trouble> {
    let sql = "SELECT id, pid, host, version, steps, queues, since, \
               (extract(epoch FROM seen_at) * 1000000)::bigint, \
               (SELECT count(*) FROM run_heads h WHERE h.owner = w.id), \
               expires_at < clock_timestamp() \
               FROM workers w WHERE NOT dead ORDER BY since, id";
    let rows = connection.query(sql, &[]).await?;
    let worker = |row: &tokio_postgres::Row| {
        let pid: i64 = row.try_get(1)?;
        let info = WorkerInfo {
            id: Some(WorkerId(unsigned(row, 0)?)),
            pid: pid.try_into().map_err(damaged)?,
            host: row.try_get(2)?,
            version: row.try_get(3)?,
            steps: serde_json::from_str(row.try_get(4)?).map_err(damaged)?,
            queues: serde_json::from_str(row.try_get(5)?).map_err(damaged)?,
            since: moment(row, 6)?.unwrap_or_default(),
            ..WorkerInfo::default()
        };
        let seen_at = moment(row, 7)?.unwrap_or_default();
        Ok(WorkerSeen { info, seen_at, runs: unsigned(row, 8)?, silent: row.try_get(9)? })
    };
    rows.iter().map(worker).collect()
}

/// The runs of this worker, with their claims.
pub(super) async fn owned(
    connection: &mut Connection,
    worker: WorkerId,
) -> Result<Vec<(SagaId, ClaimId)>, Trouble> {
    let sql = "SELECT id, claim_id FROM run_heads WHERE owner = $1 AND claim_id IS NOT NULL";
    let rows = connection.query(sql, &[(&signed(worker.0), Type::INT8)]).await?;
    let owned =
        rows.iter().map(|row| Ok((saga_id(row, 0)?, claim_id(row, 1)?.unwrap_or(ClaimId::NONE))));
    owned.collect()
}

/// The queues as the statements want them: none named means all.
fn queues(named: &[String]) -> Option<&[String]> {
    Some(named).filter(|named| !named.is_empty())
}

/// Claims due runs; nothing is said if the worker is none any more.
pub(super) async fn claim(
    connection: &mut Connection,
    wanted: &Wanted,
) -> Result<Option<Vec<Claimed>>, Trouble> {
    let found = match wanted.turns_after {
        None => include_str!("claim_longest_due.sql"),
        Some(_) => include_str!("claim_in_turns.sql"),
    };
    let sql = include_str!("claim.sql").replace("{FOUND}", found).replace("{RUN}", RUN);
    let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
    let cannot: Vec<i64> = wanted.cannot.iter().map(|needs| needs.0).collect();
    let (worker, now) = (signed(wanted.worker.0), wanted.now.as_micros());
    let (queues, after) = (queues(&wanted.queues), wanted.turns_after.map(|party| party.0));
    let mut values: Vec<Value<'_>> = vec![
        (&worker, Type::INT8),
        (&now, Type::INT8),
        (&queues, Type::TEXT_ARRAY),
        (&cannot, Type::INT8_ARRAY),
        (&limit, Type::INT8),
    ];
    values.extend(after.as_ref().map(|after| (after as _, Type::INT8)));
    let rows = connection.query(&sql, &values).await?;
    let working: i64 = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    if working == 0 {
        return Ok(None);
    }
    let (mut claims, mut runs) = (HashMap::new(), Vec::new());
    for row in &rows {
        if row.try_get(1)? {
            let id = claim_id(row, 4)?.ok_or_else(|| damaged("a claim without an id"))?;
            let (orphaned, fence) = (row.try_get(2)?, unsigned(row, 3)?);
            let run = read::run(row, 4)?;
            claims.insert(run.spec.id, (Claim::new(run.spec.id, id, fence, 0), orphaned));
            runs.push(run);
        }
    }
    let runs = read::with_rows(connection, runs).await?.into_iter();
    let claimed = runs.filter_map(|run| {
        let (claim, orphaned) = claims.remove(&run.spec.id)?;
        Some(Claimed { claim, run, orphaned })
    });
    Ok(Some(claimed.collect()))
}

/// What others have done that concerns this worker; its nudged runs, and how long their ledgers are.
pub(super) async fn news(
    connection: &mut Connection,
    wanted: &Wanted,
) -> Result<(News, Vec<(SagaId, u64)>), Trouble> {
    let sql = "SELECT (SELECT due_at FROM run_heads WHERE due_at IS NOT NULL \
               AND ($2::text[] IS NULL OR queue = ANY ($2)) AND needs <> ALL ($3::bigint[]) \
               ORDER BY due_at LIMIT 1), \
               (SELECT min(call_at) FROM run_heads WHERE call_at IS NOT NULL), \
               EXISTS (SELECT FROM run_heads WHERE owner = $1 AND nudged), \
               EXISTS (SELECT FROM workers w WHERE id <> $1 \
               AND EXISTS (SELECT FROM run_heads h WHERE h.owner = w.id))";
    let cannot: Vec<i64> = wanted.cannot.iter().map(|needs| needs.0).collect();
    let values: [Value<'_>; 3] = [
        (&signed(wanted.worker.0), Type::INT8),
        (&queues(&wanted.queues), Type::TEXT_ARRAY),
        (&cannot, Type::INT8_ARRAY),
    ];
    let row = connection.query(sql, &values).await?.pop().ok_or_else(|| damaged("no news"))?;
    let (next_due, next_call) = (moment(&row, 0)?, moment(&row, 1)?);
    let nudged = if row.try_get(2)? { nudged(connection, wanted.worker).await? } else { vec![] };
    let others_work = row.try_get(3)?;
    Ok((News { nudged: Vec::new(), next_due, next_call, others_work, was_away: false }, nudged))
}

/// The worker knows of these nudges, unless somebody wrote since.
pub(super) async fn told(
    connection: &mut Connection,
    worker: WorkerId,
    nudged: &[(SagaId, u64)],
) -> Result<(), Trouble> {
    let sql = "UPDATE run_heads h SET nudged = false \
               FROM unnest($2::uuid[], $3::bigint[]) AS told (id, ledger_len) \
               WHERE h.id = told.id AND h.owner = $1 AND h.ledger_len = told.ledger_len";
    let (ids, lens): (Vec<_>, Vec<_>) =
        nudged.iter().map(|(id, len)| (uuid(*id), signed(*len))).unzip();
    let worker = signed(worker.0);
    let values: [Value<'_>; 3] =
        [(&worker, Type::INT8), (&ids, Type::UUID_ARRAY), (&lens, Type::INT8_ARRAY)];
    connection.query(sql, &values).await?;
    Ok(())
}

/// The runs of this worker to which somebody else wrote, and how long their ledgers are.
async fn nudged(
    connection: &mut Connection,
    worker: WorkerId,
) -> Result<Vec<(SagaId, u64)>, Trouble> {
    let sql = "SELECT id, ledger_len FROM run_heads WHERE owner = $1 AND nudged";
    let rows = connection.query(sql, &[(&signed(worker.0), Type::INT8)]).await?;
    rows.iter().map(|row| Ok((saga_id(row, 0)?, unsigned(row, 1)?))).collect()
}
