//! The oracle: reads a whole store and says which promises it finds broken.
//!
//! It judges the machine too, so what it says about order, attempts and undoing it works out from
//! the raw events; only I4 and I6 ask the machine's own fold.

use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::id::SagaId;
use crate::machine::Event;
use crate::plan::Plan;
use crate::store::{Store, StoreError, StoredRun};

mod effects;
mod fold;
mod keys;
mod ledger;
mod limits;
mod order;
mod outside;
#[cfg(test)]
mod tests;
mod track;

/// Runs read in one go.
const PAGE: usize = 256;
/// Violations that are kept; the rest is counted.
const KEPT: usize = 1_000;
/// Plans kept, by the text of their steps.
const PLANS: usize = 1_000;

/// What a store was found to be like.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Runs that were read.
    pub runs: u64,
    /// Ledger rows that were read.
    pub rows: u64,
    /// Promises that are broken, at most 1,000 of them.
    pub violations: Vec<Violation>,
    /// Bodies that were still under way, or began, when their run had gone on without them, as their
    /// process was stopped or cut off while its claim ended (promise I13). No violation; what they made
    /// can be left.
    pub late: Vec<Violation>,
    /// Violations and late bodies beyond those that are listed.
    pub unlisted: u64,
}

/// A promise that is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which: `I5`.
    pub promise: &'static str,
    /// Of which run; the nil id where it is of none.
    #[serde(serialize_with = "shown")]
    pub saga: SagaId,
    /// What was found.
    pub what: String,
}

fn shown<S: Serializer>(saga: &SagaId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(saga)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} saga {}: {}", self.promise, self.saga, self.what)
    }
}

impl Report {
    /// Whether no promise was found broken.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    pub(crate) fn add(&mut self, promise: &'static str, saga: SagaId, what: impl fmt::Display) {
        let violation = Violation { promise, saga, what: what.to_string() };
        keep(&mut self.violations, violation, &mut self.unlisted);
    }

    fn add_late(&mut self, promise: &'static str, saga: SagaId, what: String) {
        keep(&mut self.late, Violation { promise, saga, what }, &mut self.unlisted);
    }
}

fn keep(list: &mut Vec<Violation>, violation: Violation, unlisted: &mut u64) {
    if list.len() < KEPT {
        list.push(violation);
    } else {
        *unlisted += 1;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(f, "{violation}")?;
        }
        for late in &self.late {
            writeln!(f, "late: {late}")?;
        }
        if self.unlisted > 0 {
            writeln!(f, "and {} more", self.unlisted)?;
        }
        let (runs, rows, found) = (self.runs, self.rows, self.violations.len());
        write!(f, "{runs} runs, {rows} rows, {found} violations, {} late", self.late.len())
    }
}

/// Checks every run of `store`, or only one, against the promises of chapter 5 of the contract:
/// I2, I4 to I6, I8 to I15 and I18 as far as a store shows them; with `effects`, an outside record
/// as JSON lines in order of happening, also I3 and the real I9, I10 and I13. Of a run whose store was
/// set back to a backup the outside record is not compared: it knows more than the store.
///
/// Reads page by page: memory holds one page, one hash per idempotency key and, of the outside
/// record, some 48 bytes a line. Reading the record blocks the thread.
///
/// # Errors
/// If the store cannot be read.
///
/// ```
/// use walkback::{Engine, MemoryStore, Order, Registry, verify::verify};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), walkback::Error> {
/// let engine = Engine::new(Registry::with_builtins(), MemoryStore::new())?;
/// engine.start_saga(Order::steps(["echo", "fail"])).await?;
/// engine.work_until_idle().await?;
/// let report = verify(engine.store(), None, None).await?;
/// assert!(report.is_clean(), "{report}");
/// assert_eq!(report.runs, 1);
/// # Ok(()) }
/// ```
pub async fn verify(
    store: &dyn Store,
    only: Option<SagaId>,
    effects: Option<Box<dyn BufRead + Send>>,
) -> Result<Report, StoreError> {
    let mut oracle = Oracle::default();
    if let Some(record) = effects {
        oracle.effects = Some(effects::Record::read(record, only, &mut oracle.report));
    }
    if let Some(id) = only {
        if let Some(run) = store.load(id).await? {
            oracle.judge(&run);
        }
    } else {
        let mut after = None;
        loop {
            let page = store.scan(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.spec.id);
            for run in &page {
                oracle.judge(run);
            }
        }
    }
    Ok(oracle.finish())
}

#[derive(Default)]
struct Oracle {
    report: Report,
    keys: keys::Keys,
    plans: HashMap<Arc<str>, Arc<Plan>>,
    effects: Option<effects::Record>,
}

/// One run, as the checks read it.
struct Case<'a> {
    run: &'a StoredRun,
    plan: &'a Arc<Plan>,
    /// What its rows say, up to the first that says nothing.
    events: &'a [Event],
}

impl Case<'_> {
    fn id(&self) -> SagaId {
        self.run.spec.id
    }
}

impl Oracle {
    fn judge(&mut self, run: &StoredRun) {
        let id = run.spec.id;
        self.report.runs += 1;
        self.report.rows += run.rows.len() as u64;
        self.keys.check(&run.spec, &mut self.report);
        ledger::check(run, &mut self.report);
        let plan = match self.plan(&run.spec.steps) {
            Ok(plan) => plan,
            Err(error) => return self.report.add("I6", id, format_args!("its steps: {error}")),
        };
        let events = self.events(run, plan.len());
        let case = Case { run, plan: &plan, events: &events };
        let report = &mut self.report;
        limits::check(&case, report);
        let rounds = fold::check(&case, report);
        let tracks = order::check(&case, report);
        // What was done since the backup is on record outside only.
        let set_back = events.contains(&Event::Restored);
        let lines = self.effects.as_mut().and_then(|record| record.take(id));
        if let Some(lines) = lines.filter(|_| !set_back) {
            outside::check(&case, &tracks, &rounds, &lines, report);
        }
    }

    /// What the rows say; a row that says nothing, or speaks of a step that is not there, ends it.
    fn events(&mut self, run: &StoredRun, steps: usize) -> Vec<Event> {
        let mut events = Vec::with_capacity(run.rows.len());
        for row in &run.rows {
            match row.event() {
                Ok(event) if event.step().is_none_or(|step| step < steps) => events.push(event),
                Ok(event) => {
                    let what = format!("row {} speaks of a step that is not there", row.seq);
                    self.report.add("I6", run.spec.id, format_args!("{what}: {event:?}"));
                    break;
                }
                Err(error) => {
                    self.report.add("I6", run.spec.id, error);
                    break;
                }
            }
        }
        events
    }

    fn plan(&mut self, steps: &Arc<str>) -> Result<Arc<Plan>, serde_json::Error> {
        if let Some(plan) = self.plans.get(steps) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::parse(steps)?);
        if self.plans.len() >= PLANS {
            self.plans.clear();
        }
        self.plans.insert(Arc::clone(steps), Arc::clone(&plan));
        Ok(plan)
    }

    fn finish(mut self) -> Report {
        for saga in self.effects.iter().flat_map(effects::Record::rest) {
            self.report.add("I3", saga, "a body ran outside, but the store has no such run");
        }
        self.report
    }
}
