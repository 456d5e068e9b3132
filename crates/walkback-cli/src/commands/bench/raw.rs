//! What the disk can do at most: the same rows, as bare inserts in batches of the same size.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::Serialize;

use crate::commands::bench::{Stopwatch, median};
use crate::failure::Failure;

/// How often the inserts are measured; the median counts.
const REPEAT: usize = 3;
/// One-row commits to measure.
const COMMITS: usize = 2_000;
const TABLES: [&str; 3] = ["run_specs", "run_heads", "ledger_rows"];

#[derive(Clone, Debug, Serialize)]
pub(super) struct Raw {
    pub(super) rows_per_saga: f64,
    pub(super) bytes_per_saga: f64,
    pub(super) rows_per_commit: usize,
    pub(super) rows_per_second: f64,
    pub(super) sagas_per_second: f64,
    pub(super) one_row_commits_per_second: f64,
    pub(super) one_row_commit_p50_ms: f64,
}

fn failed(error: rusqlite::Error) -> Failure {
    Failure::from(std::io::Error::other(error))
}

/// Inserts the rows of the store in `from` into new files at `to`.
pub(super) fn insert(from: &Path, to: &Path, sagas_per_commit: f64) -> Result<Raw, Failure> {
    let source = Connection::open(from).map_err(failed)?;
    let count = |table: &str| -> rusqlite::Result<usize> {
        source.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
    };
    let sagas = count(TABLES[0]).map_err(failed)?;
    let rows =
        TABLES.iter().map(|table| count(table)).sum::<rusqlite::Result<usize>>().map_err(failed)?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (sagas, all) = (sagas.max(1) as f64, rows as f64);
    let rows_per_saga = all / sagas;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a batch size")]
    let rows_per_commit = (sagas_per_commit * rows_per_saga).max(1.0) as usize;
    let mut seconds = Vec::new();
    for _ in 0..REPEAT {
        seconds.push(copy(&source, to, rows_per_commit).map_err(failed)?.as_secs_f64());
    }
    let seconds = median(seconds, |seconds| *seconds).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let bytes_per_saga = std::fs::metadata(from)?.len() as f64 / sagas;
    let (one_row_commits_per_second, p50) = one_row_commits(to).map_err(failed)?;
    Ok(Raw {
        rows_per_saga,
        bytes_per_saga,
        rows_per_commit,
        rows_per_second: all / seconds,
        sagas_per_second: sagas / seconds,
        one_row_commits_per_second,
        one_row_commit_p50_ms: p50.as_secs_f64() * 1e3,
    })
}

/// A new file with the same tables and indexes, and the same settings.
fn target(source: &Connection, to: &Path) -> rusqlite::Result<Connection> {
    for suffix in ["", "-wal", "-shm"] {
        let mut path = to.to_owned().into_os_string();
        path.push(suffix);
        // At first they are not there.
        std::fs::remove_file(path).ok();
    }
    let target = Connection::open(to)?;
    target.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    target.pragma_update(None, "synchronous", "FULL")?;
    let mut made = source.prepare(
        "SELECT sql FROM sqlite_schema WHERE type IN ('table', 'index') AND sql IS NOT NULL",
    )?;
    let statements: Vec<String> =
        made.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    statements.iter().try_for_each(|sql| target.execute_batch(sql))?;
    Ok(target)
}

/// Copies every row, batch by batch; only the writing is timed. Each batch takes of each table its
/// part, as the engine's batches do.
fn copy(source: &Connection, to: &Path, batch: usize) -> rusqlite::Result<Duration> {
    let target = target(source, to)?;
    let mut readers = Vec::new();
    for table in TABLES {
        let count: usize =
            source.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        readers.push((table, count, 0_usize, 0_i64));
    }
    let all: usize = readers.iter().map(|reader| reader.1).sum();
    let mut took = Duration::ZERO;
    while readers.iter().any(|reader| reader.2 < reader.1) {
        let mut rows: Vec<(&str, Vec<Value>)> = Vec::with_capacity(batch);
        for (table, count, done, last) in &mut readers {
            let part = (batch * *count).div_ceil(all.max(1));
            read(source, table, last, part, &mut rows)?;
            *done += part;
        }
        let clock = Stopwatch::start();
        let writing = target.unchecked_transaction()?;
        for (table, values) in &rows {
            let marks = vec!["?"; values.len()].join(",");
            let sql = format!("INSERT INTO {table} VALUES ({marks})");
            target.prepare_cached(&sql)?.execute(params_from_iter(values))?;
        }
        writing.commit()?;
        took += clock.read();
    }
    Ok(took)
}

/// The next rows of a table in the order in which they were written.
fn read<'a>(
    source: &Connection,
    table: &'a str,
    last: &mut i64,
    part: usize,
    rows: &mut Vec<(&'a str, Vec<Value>)>,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT rowid, * FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2");
    let mut statement = source.prepare_cached(&sql)?;
    let columns = statement.column_count();
    let mut found = statement.query(rusqlite::params![*last, part])?;
    while let Some(row) = found.next()? {
        *last = row.get(0)?;
        let values = (1..columns).map(|column| row.get(column)).collect::<rusqlite::Result<_>>()?;
        rows.push((table, values));
    }
    Ok(())
}

/// Commits of one ledger row each: how many a second, and how long the median takes.
fn one_row_commits(file: &Path) -> rusqlite::Result<(f64, Duration)> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    let mut took = Vec::with_capacity(COMMITS);
    let sql = "INSERT INTO ledger_rows SELECT run_no, seq + 1000000 + ?1, kind, step_idx, attempt, \
               actor, claim_id, fence, at, payload, previous FROM ledger_rows WHERE rowid = 1";
    let clock = Stopwatch::start();
    for at in 0..COMMITS {
        let one = Stopwatch::start();
        connection.prepare_cached(sql)?.execute([at])?;
        took.push(one.read());
    }
    let seconds = clock.read().as_secs_f64();
    took.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = COMMITS as f64 / seconds;
    Ok((rate, took[COMMITS / 2]))
}
