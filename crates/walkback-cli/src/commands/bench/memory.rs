//! What runs cost in memory, as the kernel counts it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Semaphore;
use walkback::{Attempt, Context, DynamicStep, Options, Order, Registry, StepError};

use crate::commands::bench::load::{Load, Under};
use crate::failure::Failure;

/// Runs inside an awaiting body at once.
const RUNS: usize = 10_000;

/// The memory of a worker with many runs inside an awaiting body.
#[derive(Debug, Serialize)]
pub(super) struct Awaiting {
    pub(super) runs: usize,
    pub(super) resident_mb: f64,
    pub(super) kb_per_run: f64,
}

fn status_kb(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default()
}

pub(super) fn resident_kb() -> u64 {
    status_kb("VmRSS")
}

pub(super) fn peak_kb() -> u64 {
    status_kb("VmHWM")
}

/// Begins to count the peak anew; where the kernel does not allow it, it is that of the process.
pub(super) fn reset_peak() {
    std::fs::write("/proc/self/clear_refs", "5").ok();
}

/// Awaits until the measurement is over.
struct Await {
    inside: Arc<Semaphore>,
    over: Arc<Semaphore>,
}

impl DynamicStep for Await {
    fn name(&self) -> &'static str {
        "await"
    }

    fn options(&self) -> Options {
        Options::new().read_only()
    }

    async fn execute(&self, _: &Attempt, _: &mut Context) -> Result<(), StepError> {
        self.inside.add_permits(1);
        self.over.acquire().await?.forget();
        Ok(())
    }
}

pub(super) async fn awaiting(store: Under) -> Result<Awaiting, Failure> {
    let (inside, over) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let step = Await { inside: Arc::clone(&inside), over: Arc::clone(&over) };
    let before = resident_kb();
    let load = Load::with(store, RUNS, Registry::with_builtins().dynamic(step)).await?;
    for _ in 0..RUNS {
        load.engine().start_saga(Order::steps(["await"])).await?;
    }
    let all = inside.acquire_many(u32::try_from(RUNS).unwrap_or(u32::MAX)).await;
    drop(all.map_err(std::io::Error::other)?);
    let resident = resident_kb();
    over.add_permits(RUNS);
    load.close().await?;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let (resident_mb, kb_per_run) =
        (resident as f64 / 1e3, resident.saturating_sub(before) as f64 / RUNS as f64);
    Ok(Awaiting { runs: RUNS, resident_mb, kb_per_run })
}
