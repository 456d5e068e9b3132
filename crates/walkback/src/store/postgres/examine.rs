//! How a server is: its durability, its replicas, its rubbish, its clock.

use tokio_postgres::Row;

use crate::clock::{Clock, SystemClock};
use crate::store::Finding;
use crate::store::postgres::connect::{Connection, Trouble};
use crate::store::postgres::migrate::MIGRATIONS;
use crate::time::Timestamp;

/// Clocks that differ by more than this, in seconds, are worth a look: timers go by the worker's.
const SKEW: f64 = 1.0;
/// A table with more dead rows than this, and more than living ones, is worth a look.
const DEAD_ROWS: i64 = 100_000;
/// A transaction that is open for longer than this, in seconds, keeps dead rows from going.
const LONG: f64 = 600.0;
/// A replica that is so many seconds behind is worth a look.
const LAG: f64 = 10.0;

const SETTINGS: &str = "SELECT current_setting('server_version'), current_setting('fsync'), \
    current_setting('full_page_writes'), current_setting('synchronous_commit'), \
    current_setting('max_connections')::int8, (SELECT count(*) FROM pg_stat_activity \
    WHERE datid IS NOT NULL), extract(epoch FROM clock_timestamp())::float8, \
    (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 \
     FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'), \
    pg_has_role('pg_read_all_stats', 'USAGE')";

/// Runs that move, that nobody owns, and that no claim would find.
const STRANDED: &str = "SELECT count(*), min(id::text) FROM run_heads WHERE owner IS NULL \
    AND due_at IS NULL AND wake_at IS NOT NULL AND status IN ('pending', 'running', 'compensating')";

const REPLICAS: &str = "SELECT coalesce(application_name, ''), coalesce(sync_state, ''), \
    extract(epoch FROM replay_lag)::float8 FROM pg_stat_replication ORDER BY 1";

const TABLES: &str = "SELECT relname::text, n_live_tup, n_dead_tup FROM pg_stat_user_tables \
    WHERE relid IN (SELECT to_regclass(name) FROM unnest(ARRAY['run_heads', 'run_specs', 'ledger_rows', \
    'run_labels', 'workers', 'run_locks', 'cloud_provisioned', 'cloud_resources']) AS name) ORDER BY 1";

pub(super) async fn examine(connection: &mut Connection) -> Result<Vec<Finding>, Trouble> {
    let before = SystemClock.now();
    let rows = connection.query(SETTINGS, &[]).await?;
    let after = SystemClock.now();
    let Some(row) = rows.first() else { return Ok(Vec::new()) };
    let version: String = row.try_get(0)?;
    let mut found = vec![
        Finding::good("engine", format!("PostgreSQL {version}")),
        Finding::good("schema", format!("version {}", MIGRATIONS.len())),
        durability(row)?,
        connections(row)?,
        clocks(row.try_get(6)?, before, after),
    ];
    let (longest, sees_all): (f64, bool) = (row.try_get(7)?, row.try_get(8)?);
    found.push(if longest > LONG {
        Finding::look(
            "transactions",
            format!(
                "one is open for {} minutes: expected none so long; it keeps dead rows from going",
                (longest / 60.0).round()
            ),
        )
    } else {
        Finding::good("transactions", format!("none is open for long{}", unseen(sees_all)))
    });
    found.push(queue(&connection.query(STRANDED, &[]).await?)?);
    let waits_for: String = row.try_get(3)?;
    let rows = connection.query(REPLICAS, &[]).await?;
    found.push(if rows.is_empty() || sees_all {
        replicas(&rows, &waits_for)?
    } else {
        let says = format!("{} there{}", rows.len(), unseen(false));
        Finding::look("replicas", format!("{says}: expected a role that has `pg_monitor`"))
    });
    found.push(rubbish(&connection.query(TABLES, &[]).await?)?);
    Ok(found)
}

/// What is said of answers that leave out what belongs to other roles.
const fn unseen(sees_all: bool) -> &'static str {
    if sees_all { "" } else { ", as far as this role may see" }
}

fn durability(row: &Row) -> Result<Finding, Trouble> {
    let mut says = Vec::new();
    let mut off = false;
    for (at, name) in [(1, "fsync"), (2, "full_page_writes"), (3, "synchronous_commit")] {
        let value: String = row.try_get(at)?;
        off |= value == "off";
        says.push(format!("{name}={value}"));
    }
    let says = says.join(", ");
    Ok(if off {
        Finding::bad(
            "durability",
            format!("{says}: expected all on; a loss of power can lose what was acknowledged"),
        )
    } else {
        Finding::good("durability", says)
    })
}

fn connections(row: &Row) -> Result<Finding, Trouble> {
    let (most, open): (i64, i64) = (row.try_get(4)?, row.try_get(5)?);
    let says = format!("{open} of at most {most}");
    Ok(if open * 5 > most * 4 {
        Finding::look(
            "connections",
            format!("{says}: expected room for workers; each has up to ten"),
        )
    } else {
        Finding::good("connections", says)
    })
}

/// The server's clock against this machine's, which was asked before and after.
fn clocks(server: f64, before: Timestamp, after: Timestamp) -> Finding {
    let seconds = |at: Timestamp| at.since(Timestamp::default()).as_secs_f64();
    let (before, after) = (seconds(before), seconds(after));
    let skew = if server < before { before - server } else { (server - after).max(0.0) };
    let says = format!("the server's and this machine's differ by {skew:.1} s");
    if skew > SKEW {
        Finding::look(
            "clocks",
            format!("{says}: expected less than a second; timers go by the workers'"),
        )
    } else {
        Finding::good("clocks", says)
    }
}

fn queue(rows: &[Row]) -> Result<Finding, Trouble> {
    let stranded: i64 = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
    let first: Option<String> = rows.first().map(|row| row.try_get(1)).transpose()?.flatten();
    Ok(if stranded == 0 {
        Finding::good("queue", "whatever has something to do will be found")
    } else {
        let first = first.unwrap_or_default();
        Finding::bad(
            "queue",
            format!("{stranded} sagas are never claimed, {first} first: expected none"),
        )
    })
}

/// `waits_for`: the setting that says what a commit waits for.
fn replicas(rows: &[Row], waits_for: &str) -> Result<Finding, Trouble> {
    let (mut says, mut safe, mut behind) = (Vec::new(), false, false);
    for row in rows {
        let (name, state): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let lag: Option<f64> = row.try_get(2)?;
        safe |= matches!(state.as_str(), "sync" | "quorum");
        behind |= lag.is_some_and(|lag| lag > LAG);
        let lag = lag.map(|lag| format!(", {lag:.1} s behind")).unwrap_or_default();
        says.push(format!("`{name}` {state}{lag}"));
    }
    let says = says.join("; ");
    Ok(match (rows.is_empty(), safe, behind) {
        (true, ..) => Finding::good("replicas", "none"),
        (_, true, _) if matches!(waits_for, "local" | "off") => Finding::look(
            "replicas",
            format!(
                "{says}: synchronous_commit={waits_for} waits for none; a failover can lose acknowledged starts"
            ),
        ),
        (_, false, _) => Finding::look(
            "replicas",
            format!("{says}: none is synchronous; a failover can lose acknowledged starts"),
        ),
        (_, _, true) => Finding::look("replicas", format!("{says}: expected less than {LAG} s")),
        _ => Finding::good("replicas", says),
    })
}

fn rubbish(rows: &[Row]) -> Result<Finding, Trouble> {
    let (mut most, mut all) = (None, (0, 0));
    for row in rows {
        let (name, living, dead): (String, i64, i64) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        all = (all.0 + living, all.1 + dead);
        if dead > DEAD_ROWS && dead > living {
            most = Some(format!("`{name}` has {dead} dead rows and {living} living ones"));
        }
    }
    Ok(match most {
        Some(says) => Finding::look("bloat", format!("{says}: expected autovacuum to keep up")),
        None => Finding::good("bloat", format!("{} dead rows and {} living ones", all.1, all.0)),
    })
}
