//! The measurements as a person reads them.

use crate::commands::bench::load::{Latency, Measured};
use crate::commands::bench::{Report, WAITING, postgres};

pub(super) fn lines(report: &Report) -> Vec<String> {
    let settings = &report.pragmas;
    let mut lines = vec![
        format!(
            "SQLite {}, journal_mode={}, synchronous={}, page_size={}, wal_autocheckpoint={}",
            settings.sqlite,
            settings.journal_mode,
            settings.synchronous,
            settings.page_size,
            settings.wal_autocheckpoint
        ),
        String::new(),
        throughput("W1  echo, echo, echo", &report.w1),
        throughput("W2  echo, echo, fail and back", &report.w2),
    ];
    let raw = &report.raw;
    lines.push(format!(
        "raw inserts of W1's rows        {:>9.0} sagas/s  {:.0} rows/s, {} rows a commit",
        raw.sagas_per_second, raw.rows_per_second, raw.rows_per_commit
    ));
    lines.push(format!("    W1 of the raw inserts       {:>9.0} %", report.w1_of_raw * 100.0));
    lines.push(format!(
        "    each saga: {:.1} rows, {:.0} bytes, {:.4} commits; {:.0} kB at the peak for each in flight",
        raw.rows_per_saga, raw.bytes_per_saga, report.w1.commits_per_saga,
        report.w1.peak_memory_kb_per_saga_in_flight
    ));
    lines.push(format!(
        "one-row commits                 {:>9.0} /s       p50 {:.3} ms",
        raw.one_row_commits_per_second, raw.one_row_commit_p50_ms
    ));
    lines.push(latency("W3  one at a time, empty file", &report.w3));
    lines.push(format!("    p50 of its commits' time    {:>9.2} times", report.w3_of_commits));
    let beside = format!("W3  beside {WAITING} waiting, {} done", report.finished);
    lines.push(latency(&beside, &report.w3_loaded));
    lines.push(format!("    p50 of that in an empty file{:>9.2} times", report.w3_loaded_of_empty));
    let verify = &report.verify;
    lines.push(format!(
        "verify of W1's file             {:>9.0} runs/s   {} runs, {} rows, {} violations",
        verify.runs_per_second, verify.runs, verify.rows, verify.violations
    ));
    let memory = &report.memory;
    lines.push(format!(
        "{} runs in an awaiting body  {:>9.0} MB       {:.1} kB a run",
        memory.runs, memory.resident_mb, memory.kb_per_run
    ));
    lines
}

/// The same of a server.
pub(super) fn server_lines(report: &postgres::Report) -> Vec<String> {
    let (verify, memory) = (&report.verify, &report.memory);
    vec![
        report.server.clone(),
        String::new(),
        format!(
            "pgbench -N -c 16 -j 2           {:>9.0} /s       median of {}",
            report.pgbench_per_second,
            rounded(&report.pgbench_all, 0)
        ),
        throughput("W1  echo, echo, echo", &report.w1),
        throughput("W2  echo, echo, fail and back", &report.w2),
        format!("W1's guarded updates            {:>9.0} /s", report.w1.updates_per_second),
        format!("    of pgbench's transactions   {:>9.2} times", report.updates_of_pgbench),
        format!("    each saga: {:.4} commits", report.w1.commits_per_saga),
        format!(
            "one-row commits                           mean {:.3} ms",
            report.one_row_commit_ms
        ),
        latency("W3  one at a time", &report.w3),
        format!(
            "    p50 of its commits' time    {:>9.2} times    median of {}",
            report.w3_of_commits,
            rounded(&report.w3_of_commits_all, 2)
        ),
        throughput(&format!("W1  beside {} finished", report.finished), &report.w1_loaded),
        format!(
            "    of that in new tables       {:>9.2} times    median of {}",
            report.w1_loaded_of_new,
            rounded(&report.w1_loaded_of_new_all, 2)
        ),
        format!(
            "prune                           {:>9.0} sagas/s  {:.2} for each that W1 makes",
            report.pruned_per_second, report.pruned_of_w1
        ),
        format!(
            "one worker process, and four    {:>9.0} and {:.0} sagas/s, {:.2} times: median of {}",
            report.processes[0],
            report.processes[1],
            report.four_of_one_process,
            rounded(&report.four_of_one_process_all, 2)
        ),
        format!(
            "    medians of {}; {}",
            rounded(&report.processes_all[0], 0),
            rounded(&report.processes_all[1], 0)
        ),
        format!(
            "verify                          {:>9.0} runs/s   {} runs, {} rows, {} violations",
            verify.runs_per_second, verify.runs, verify.rows, verify.violations
        ),
        format!(
            "{} runs in an awaiting body  {:>9.0} MB       {:.1} kB a run",
            memory.runs, memory.resident_mb, memory.kb_per_run
        ),
    ]
}

/// Figures to so many places, one after the other.
fn rounded(figures: &[f64], places: usize) -> String {
    let all: Vec<String> = figures.iter().map(|figure| format!("{figure:.places$}")).collect();
    all.join(", ")
}

fn throughput(name: &str, measured: &Measured) -> String {
    format!(
        "{name:<32}{:>9.0} sagas/s  median of {}; peak {:.0} MB",
        measured.sagas_per_second,
        rounded(&measured.all, 0),
        measured.peak_memory_mb
    )
}

fn latency(name: &str, latency: &Latency) -> String {
    format!(
        "{name:<38} p50 {:.3} ms, p99 {:.3} ms, {:.2} commits a saga",
        latency.p50_ms, latency.p99_ms, latency.commits_per_saga
    )
}
