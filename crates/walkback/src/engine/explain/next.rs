//! What may be asked of a saga now, as it is typed and with what it would do; what ends its trouble
//! comes first.

use crate::builtin::{any_of, deciders};
use crate::describe::Waiting;
use crate::engine::explain::Next;
use crate::machine::{ParkReason, Request, Status, Verdict};
use crate::plan::StepIdx;
use crate::run::Run;

/// Steps for which one command is offered at most.
const OFFERED: usize = 3;

/// A saga as it stands, for the words of what a command would do.
struct Stands<'a> {
    run: &'a Run,
    parked: Option<ParkReason>,
    /// The step that is parked, if the saga is because of one.
    step: Option<StepIdx>,
    waiting: Option<&'a Waiting>,
}

/// Every command that fits.
pub(super) fn commands(
    run: &Run,
    parked: Option<ParkReason>,
    waiting: Option<&Waiting>,
) -> Vec<Next> {
    let step = run.state.parked().and_then(|parked| parked.step);
    let stands = Stands { run, parked, step, waiting };
    let legal = run.state.legal();
    let waits_for = waiting.map(|waiting| waiting.what);
    let first = remedies(run.state.status(), parked, waits_for).iter().copied();
    let mut names: Vec<&str> = first.filter(|name| legal.contains(name)).collect();
    names.extend(legal.iter().filter(|name| !names.contains(*name)).copied().collect::<Vec<_>>());
    names.into_iter().flat_map(|name| stands.command(name)).collect()
}

/// What ends the trouble, the likeliest first.
fn remedies(
    status: Status,
    parked: Option<ParkReason>,
    waits_for: Option<&str>,
) -> &'static [&'static str] {
    use ParkReason::{
        BehindPivot, BodyStillRunning, CannotDecode, Held, LedgerFull, NoCapableWorker, Paused,
        PivotUnknown, Poison, Restored, UndoHalted, UnknownOutcome,
    };
    match (parked, waits_for, status) {
        (Some(Paused | LedgerFull | Poison | BodyStillRunning | CannotDecode | Restored), _, _) => {
            &["resume", "cancel"]
        }
        (Some(Held), _, _) => &["retry", "cancel", "hold"],
        (Some(BehindPivot), _, _) => &["retry", "complete", "skip"],
        (Some(UnknownOutcome | PivotUnknown), _, _) => &["complete", "retry", "cancel", "skip"],
        (Some(UndoHalted), _, _) | (None, _, Status::Failed) => &["retry", "resolve", "abandon"],
        (Some(NoCapableWorker), _, _) => &["cancel"],
        (None, Some("approval"), _) => &["approve", "deny"],
        (None, Some("signal"), _) => &["signal"],
        _ => &[],
    }
}

impl Stands<'_> {
    /// The command of this name as it is typed, once for each step that it fits.
    fn command(&self, name: &str) -> Vec<Next> {
        let id = self.run.spec.id;
        let plain = |rest: &str, does: String| {
            vec![Next { command: format!("walkback {name} {id}{rest}"), does }]
        };
        match name {
            "cancel" => plain("", self.cancel()),
            "pause" => plain("", "stop where it is, until `resume`".to_owned()),
            "resume" => plain("", self.resume()),
            "retry" => plain("", self.retry()),
            "rollback" => plain("", "undo on purpose what was done".to_owned()),
            "hold" => plain(" 30m", "put that off: so much time from now instead".to_owned()),
            "signal" => self.signal().map(|(of, does)| plain(&of, does)).unwrap_or_default(),
            "complete" => self.of_steps(name, Request::Complete, " --output '{…}'", |step| {
                format!("{step} is done: count this JSON object as its output, and go on")
            }),
            "skip" => self.of_steps(name, Request::Skip, "", |step| {
                format!("go on without {step}; a walk back undoes what it may have done")
            }),
            "resolve" => self.of_steps(name, Request::Resolve, "", |step| {
                format!("you removed by hand what {step} left: that is settled")
            }),
            "abandon" => self.of_steps(name, Request::Abandon, "", |step| {
                format!(
                    "what {step} left stays there on purpose, and listed; nobody is asked again"
                )
            }),
            "approve" => {
                self.of_steps(name, Request::Approve, "", |step| format!("let {step} go on"))
            }
            "deny" => self.of_steps(name, Request::Deny, "", |step| {
                format!("{step} fails, and what was done is undone")
            }),
            _ => Vec::new(),
        }
    }

    fn of_steps(
        &self,
        name: &str,
        request: fn(StepIdx) -> Request,
        rest: &str,
        does: impl Fn(&str) -> String,
    ) -> Vec<Next> {
        let (id, plan) = (self.run.spec.id, self.run.state.plan());
        let fits = |idx: &StepIdx| self.run.state.permits(&request(*idx)) == Verdict::Fits;
        let next = |idx| {
            let does = does(&format!("step {idx} `{}`", plan.name(idx)));
            // Who alone may decide on it, if somebody is named.
            let whom = deciders(plan.step(idx)).map(|names| format!("as {}: ", any_of(&names)));
            let does = format!("{}{does}", whom.unwrap_or_default());
            Next { command: format!("walkback {name} {id} {idx}{rest}"), does }
        };
        (0..plan.len()).filter(fits).take(OFFERED).map(next).collect()
    }

    /// The step that is parked, in words.
    fn parked_step(&self) -> Option<String> {
        self.step.map(|idx| format!("step {idx} `{}`", self.run.state.plan().name(idx)))
    }

    /// Whether running the step again could do it twice.
    fn in_doubt(&self) -> bool {
        matches!(self.parked, Some(ParkReason::UnknownOutcome | ParkReason::PivotUnknown))
    }

    fn cancel(&self) -> String {
        if !self.run.state.ever_begun() {
            return "end it; nothing was begun".to_owned();
        }
        let undone = "walk back: undo what was done";
        match (self.parked, self.step) {
            (Some(ParkReason::UnknownOutcome), Some(idx)) => {
                let has_undo = self.run.state.plan().facts(idx).undo;
                let too = if has_undo { "undone, too" } else { "not undone: it has no undo" };
                format!("{undone}; what step {idx} may have done is {too}")
            }
            _ => undone.to_owned(),
        }
    }

    fn resume(&self) -> String {
        match (self.run.state.turned(), self.parked_step()) {
            (true, _) => "go on undoing where it stopped".to_owned(),
            (false, Some(step)) => {
                let doubt = if self.in_doubt() { "; the same doubt" } else { "" };
                format!("run {step} again, with other inputs if you add --set FIELD=VALUE{doubt}")
            }
            (false, None) => "go on where it stopped".to_owned(),
        }
    }

    fn retry(&self) -> String {
        match (self.run.state.turned(), self.parked, self.parked_step()) {
            (true, None, _) => "run again every undo that failed; nothing goes forward".to_owned(),
            (true, _, Some(step)) => format!("run the undo of {step} again"),
            (false, _, Some(step)) if self.in_doubt() => {
                format!("run {step} again: only if it did nothing, or it may be done twice")
            }
            (false, _, Some(step)) => format!("run {step} again, and go on"),
            _ => "run again what stopped".to_owned(),
        }
    }

    /// The signal that it waits for, or will.
    fn signal(&self) -> Option<(String, String)> {
        let waits = self.waiting.filter(|waiting| waiting.what == "signal");
        if let Some(name) = waits.and_then(|waiting| waiting.name.as_deref()) {
            return Some((format!(" {name}"), "send what it waits for: it goes on".to_owned()));
        }
        let state = &self.run.state;
        let mut ahead = (0..state.plan().len()).filter(|idx| state.may_still_run(*idx));
        let name = ahead.find_map(|idx| crate::builtin::signal_of(state.plan().step(idx)))?;
        Some((format!(" {name}"), "send it ahead: it is kept until a step takes it".to_owned()))
    }
}
