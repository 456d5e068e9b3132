//! What the next commit of a run says: outcomes first, then whatever ought to begin. Decides
//! nothing that the machine or its policies do not decide.

use std::collections::HashSet;
use std::time::Duration;

use crate::builtin::goes_on;
use crate::desired::{Change, RecordChange};
use crate::erased::Done;
use serde_json::Value;

use crate::context::Context;
use crate::error::{Error, Kind, StepError};
use crate::id::{ClaimId, Phase, chance};
use crate::json::Json;
use crate::ledger::{Row, Writer};
use crate::limits;
use crate::machine::{
    By, Class, Command, Effect, Event, Failure, Finding, Lock, Locking, ParkReason, Then, UndoThen,
    Wait, after_failure, after_undo_failure,
};
use crate::options::Options;
use crate::plan::StepIdx;
use crate::recipe::{Part, kind_of};
use crate::registry::Registry;
use crate::run::Run;
use crate::step::Probe;
use crate::store::Locks;
use crate::time::Timestamp;
use crate::worker::perform::{Ended, Outcome, Start};

/// How soon a step that waits for a lock looks again by itself, at first and at most: whoever lets it go
/// wakes it, unless that one's process dies just then.
pub(crate) const LOOK_AGAIN: (Duration, Duration) =
    (Duration::from_secs(30), Duration::from_mins(15));
/// How long a step waits for a lock at most, if its entry does not say. For a limit it waits as long as
/// it takes.
const LOCK_WITHIN: Duration = Duration::from_hours(1);

/// A commit in the making, on a run that already stands as it will after it.
pub(crate) struct Draft<'a> {
    pub(super) run: &'a mut Run,
    pub(crate) rows: Vec<Row>,
    pub(super) records: Vec<RecordChange>,
    pub(crate) locks: Locks,
    /// Keys that cannot be had, as others hold them.
    pub(super) taken: HashSet<String>,
    /// Whether somebody may have let go what a step waits for.
    pub(super) woken: bool,
    registry: &'a Registry,
    /// The claim that writes, and its fence.
    claim: (ClaimId, u64),
    now: Timestamp,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(
        run: &'a mut Run,
        registry: &'a Registry,
        claim: (ClaimId, u64),
        now: Timestamp,
    ) -> Self {
        let (rows, records, locks) = (Vec::new(), Vec::new(), Locks::default());
        let (taken, woken) = (HashSet::new(), false);
        Self { run, rows, records, locks, taken, woken, registry, claim, now }
    }

    pub(super) fn record(&mut self, event: &Event) -> Result<(), Error> {
        self.record_with(event, None)
    }

    fn record_with(&mut self, event: &Event, stderr: Option<&str>) -> Result<(), Error> {
        let writer = Writer {
            claim: self.claim.0,
            fence: self.claim.1,
            at: self.now,
            actor: None,
            remark: stderr.map(|text| ("stderr", text)),
        };
        let row = self.run.record(event, &writer)?;
        self.rows.push(row);
        Ok(())
    }

    /// Takes in how a body ended.
    pub(super) fn ended(&mut self, start: Start, ended: &Ended) -> Result<(), Error> {
        let step = start.step;
        let event = match &ended.outcome {
            Outcome::Executed(Ok(done)) => self.completed(step, done, By::Execute),
            Outcome::Executed(Err(error)) => self.execute_failed(step, error),
            Outcome::Probed(found) => match self.probed(start, found) {
                Some(event) => event,
                None => return Ok(()),
            },
            Outcome::Compensated(Ok(())) => {
                self.records.extend(self.registry.undone(&self.run.state, step, self.now));
                Event::UndoCompleted { step }
            }
            Outcome::Compensated(Err(error)) => self.undo_failed(step, error),
        };
        self.record_with(&event, ended.stderr.as_deref())
    }

    fn completed(&mut self, step: StepIdx, done: &Done, by: By) -> Event {
        let context = Context::of_run(&self.run.spec.inputs, &self.run.state);
        let size = context.size() + done.output.as_str().len();
        if size > limits::CONTEXT_BYTES {
            let most = limits::CONTEXT_BYTES;
            let error = StepError::permanent(format_args!(
                "with this output the context has {size} bytes; at most {most} are allowed"
            ));
            // A signal that has no room was not taken: nothing was done.
            let error = if by == By::Signal { error.clean() } else { error };
            return self.execute_failed(step, &error);
        }
        let at = self.now;
        if let Some(what) = done.provisions.clone() {
            self.records.push(RecordChange::Open { step, what, at });
        }
        let swap = |change: &Change| RecordChange::Swap { change: change.clone(), at };
        self.records.extend(done.changes.iter().map(swap));
        Event::StepCompleted { step, output: done.output.clone(), by }
    }

    fn failure(&self, step: StepIdx, class: Class, error: &StepError) -> Failure {
        Failure {
            effect: error.effect,
            class,
            retry_after: error.retry_after,
            chance: chance(self.run.spec.id, step, self.run.tip.len),
        }
    }

    fn options(&self, step: StepIdx) -> Options {
        self.registry.options(self.run.state.plan().step(step))
    }

    fn execute_failed(&self, step: StepIdx, error: &StepError) -> Event {
        let wait = |wait| Event::StepWaits { step, wait };
        let (effect, then) = match &error.kind {
            Kind::NotYet(after) => return wait(Wait::Until(self.now.plus(*after))),
            Kind::Signal { name, within } => {
                let until = within.map(|time| self.now.plus(time));
                return wait(Wait::Signal { name: name.clone(), until });
            }
            Kind::Approval { within } => {
                return wait(Wait::Approval { until: within.map(|time| self.now.plus(time)) });
            }
            Kind::CannotDecode => (Effect::Clean, Then::Park(ParkReason::CannotDecode)),
            Kind::Failed(class) => {
                let failure = self.failure(step, *class, error);
                let options = self.options(step);
                (error.effect, after_failure(&self.run.state, step, &failure, self.now, &options))
            }
        };
        Event::StepFailed { step, effect, error: error.text.clone(), then }
    }

    fn undo_failed(&self, step: StepIdx, error: &StepError) -> Event {
        let then = match &error.kind {
            Kind::NotYet(after) => {
                return Event::UndoWaits { step, until: self.now.plus(*after) };
            }
            Kind::CannotDecode => UndoThen::Park(ParkReason::CannotDecode),
            kind => {
                // Only what goes forward waits for somebody.
                let class = if let Kind::Failed(class) = kind { *class } else { Class::Permanent };
                let failure = self.failure(step, class, error);
                let options = self.options(step);
                after_undo_failure(&self.run.state, step, &failure, self.now, &options)
            }
        };
        Event::UndoFailed { step, error: error.text.clone(), then }
    }

    /// What a probe's answer means; nothing, if the run has moved on while it was asked.
    fn probed(&mut self, start: Start, found: &Result<Probe<Done>, StepError>) -> Option<Event> {
        let step = start.step;
        let still_asked = |command: &Command| match command {
            Command::Probe { step: asked, .. } => !start.back && *asked == step,
            Command::ProbeBack { step: asked } => start.back && *asked == step,
            _ => false,
        };
        if !self.run.state.commands().iter().any(still_asked) {
            return None;
        }
        if start.back {
            let found = match found {
                Ok(Probe::Present(done)) => Some(done.output.clone()),
                _ => None,
            };
            return Some(Event::UndoProbed { step, found });
        }
        let superseded = self.run.state.step(step).superseded;
        let finding = match found {
            Ok(Probe::Present(done)) if !superseded => {
                return Some(self.completed(step, done, By::Probe));
            }
            Ok(Probe::Absent) => {
                let unknown_since = self.run.state.step(step).unknown_since;
                let settled = unknown_since.unwrap_or_default().plus(self.options(step).settle);
                if self.now < settled { Finding::AbsentTooSoon(settled) } else { Finding::Absent }
            }
            _ => Finding::CannotTell,
        };
        Some(Event::StepProbed { step, finding })
    }

    /// Records whatever ought to begin now and says which bodies that are. A probe that is under
    /// way (`asked`) is not asked again.
    pub(crate) fn begin(&mut self, asked: &[Start]) -> Result<Vec<Start>, Error> {
        let mut starts: Vec<Start> = Vec::new();
        loop {
            let rows = self.rows.len();
            for command in self.run.state.commands() {
                let not_before = match command {
                    Command::Lock { not_before, .. } if self.woken => not_before,
                    _ => command.not_before(),
                };
                if not_before > self.now {
                    continue;
                }
                let before = self.rows.len();
                let start = self.obey(&command)?;
                if let Some(start) = start.filter(|s| !asked.contains(s) && !starts.contains(s)) {
                    starts.push(start);
                }
                // Beginning one body leaves the others' commands standing; all else may not.
                let recorded = self.rows.len() > before;
                if recorded && !matches!(command, Command::Execute { .. }) {
                    break;
                }
            }
            if self.rows.len() == rows {
                return Ok(starts);
            }
        }
    }

    /// Takes what the step needs before it begins, or waits for it; nothing is said if it waits already.
    fn lock(&mut self, step: StepIdx) -> Option<Event> {
        let wanted = match locks_of(self.run, step) {
            Ok(wanted) => wanted,
            Err(why) => return Some(self.execute_failed(step, &StepError::permanent(why).clean())),
        };
        let not_free = wanted.iter().find(|(lock, _)| self.taken.contains(&lock.key));
        let Some((lock, within)) = not_free.cloned() else {
            let held = self.run.state.locks();
            let locks: Vec<Lock> = wanted.iter().map(|(lock, _)| lock.clone()).collect();
            self.locks.take.extend(locks.iter().filter(|lock| !held.contains(lock)).cloned());
            return Some(Event::LocksTaken { step, locks });
        };
        let (since, until) = match &self.run.state.step(step).locking {
            Locking::Waiting { key: known, again, .. }
                if *known == lock.key && *again > self.now =>
            {
                return None;
            }
            Locking::Waiting { since, until, .. } => (*since, *until),
            _ => (self.now, within.map(|time| self.now.plus(time))),
        };
        let again = self.now.plus(self.now.since(since).clamp(LOOK_AGAIN.0, LOOK_AGAIN.1));
        let wait = Wait::Lock { key: lock.key.clone(), again, until };
        self.locks.wait_for.push(lock);
        Some(Event::StepWaits { step, wait })
    }

    fn obey(&mut self, command: &Command) -> Result<Option<Start>, Error> {
        let state = &self.run.state;
        let start = |step, phase, back| Some(Start { step, phase, back });
        let (event, start) = match command {
            Command::Execute { step, .. } => {
                let attempt = state.step(*step).attempts + 1;
                (Event::StepStarted { step: *step, attempt }, start(*step, Phase::Execute, false))
            }
            Command::Compensate { step, .. } => {
                let attempt = state.step(*step).undo_attempts + 1;
                (Event::UndoStarted { step: *step, attempt }, start(*step, Phase::Compensate, true))
            }
            Command::Lock { step, .. } => match self.lock(*step) {
                Some(event) => (event, None),
                None => return Ok(None),
            },
            Command::Probe { step, .. } => return Ok(start(*step, Phase::Probe, false)),
            Command::ProbeBack { step } => return Ok(start(*step, Phase::Probe, true)),
            Command::Deliver { step } => {
                let Some(output) = state.signal_for(*step) else { return Ok(None) };
                let done = Done::plain(output);
                (self.completed(*step, &done, By::Signal), None)
            }
            Command::Expire { step, .. } if goes_on(state.plan().step(*step)) => {
                let output = Json::empty_object();
                (Event::StepCompleted { step: *step, output, by: By::Expiry }, None)
            }
            Command::Expire { step, .. } if state.waits_for_lock(*step).is_some() => {
                let key = state.waits_for_lock(*step).unwrap_or_default();
                let error = format_args!("others have held the lock `{key}` all the time");
                (self.execute_failed(*step, &StepError::permanent(error).clean()), None)
            }
            Command::Expire { step, .. } => {
                let error = StepError::permanent("what it waited for did not come in time").clean();
                (self.execute_failed(*step, &error), None)
            }
            Command::ParkStep { step, reason } => {
                (Event::StepParked { step: *step, reason: *reason }, None)
            }
            Command::Park { reason } => (Event::Parked { reason: *reason }, None),
            Command::PassDeadline { .. } => (Event::DeadlinePassed, None),
            Command::EndHold { .. } => (Event::HoldEnded, None),
        };
        self.record(&event)?;
        Ok(start)
    }
}

/// What step `step` needs before it begins, and how long to wait for each.
fn locks_of(run: &Run, step: StepIdx) -> Result<Vec<(Lock, Option<Duration>)>, String> {
    let context = Context::of_step(&run.spec.inputs, &run.state, step);
    let mut wanted: Vec<(Lock, Option<Duration>)> = Vec::new();
    for lock in &run.state.plan().step(step).lock {
        let mut key = String::new();
        for part in lock.parts()? {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Field(path) => match context.field(path).map(|json| json.value()) {
                    Some(Value::String(text)) => key.push_str(&text),
                    Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                        key.push_str(&value.to_string());
                    }
                    other => {
                        let is = other.as_ref().map_or("missing", kind_of);
                        return Err(format!(
                            "lock `{}`: `{path}` is {is}: expected a text, a number or a boolean",
                            lock.key
                        ));
                    }
                },
            }
        }
        let most = limits::NAME_BYTES;
        if key.len() > most || key.contains('\0') {
            let size = key.len();
            return Err(format!(
                "lock `{}` becomes a key of {size} bytes, or one with a NUL; at most {most} bytes are allowed",
                lock.key
            ));
        }
        let at_most = lock.at_most.map(std::num::NonZeroU32::get);
        let default = at_most.is_none().then_some(LOCK_WITHIN);
        let within = lock.within.map(|span| span.0).or(default);
        if !wanted.iter().any(|(other, _)| other.key == key) {
            wanted.push((Lock { key, at_most }, within));
        }
    }
    Ok(wanted)
}
