//! The machine against its contract.

use std::sync::Arc;

use serde_json::json;

use crate::json::Json;
use crate::machine::{
    By, Command, Effect, Event, Finding, ParkReason, State, Status, Then, UndoThen, Wait,
};
use crate::plan::{Plan, StepIdx};
use crate::time::Timestamp;

mod doubt;
mod edges;
mod hook;
mod limits;
mod model;
mod people;
mod rules_back;
mod rules_forward;
mod table;

/// A run under test: what happens to it happens one second after the other.
#[derive(Clone)]
struct Run {
    state: State,
    now: i64,
}

/// The run of a list as it is stored, accepted.
fn run(steps: &serde_json::Value) -> Run {
    let plan = Plan::parse(&steps.to_string()).expect("a list of steps");
    let mut run = Run { state: State::new(Arc::new(plan), None), now: 0 };
    run.does(&Event::Accepted);
    run
}

/// A run with a deadline.
fn run_until(steps: &serde_json::Value, deadline: Timestamp) -> Run {
    let mut run = run(steps);
    run.state.deadline = Some(deadline);
    run
}

/// A step with these facts, the others being the defaults.
#[expect(clippy::needless_pass_by_value, reason = "reads as a literal")]
fn step(name: &str, facts: serde_json::Value) -> serde_json::Value {
    json!({"step": name, "facts": facts})
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

fn text(json: &str) -> Json {
    Json::parse(json).expect("JSON")
}

fn output() -> Json {
    text("{}")
}

impl Run {
    /// What must be legal happens.
    #[track_caller]
    fn does(&mut self, event: &Event) -> &mut Self {
        self.now += 1;
        self.state.apply(at(self.now), event).expect("legal here");
        self
    }

    /// What must be illegal does not happen, and leaves the state alone.
    #[track_caller]
    fn refuses(&mut self, event: &Event) -> &mut Self {
        let before = self.state.clone();
        let applied = self.state.apply(at(self.now + 1), event);
        assert!(applied.is_err(), "{event:?} was legal");
        assert_eq!(self.state, before, "{event:?} was refused and changed the state");
        self
    }

    #[track_caller]
    fn starts(&mut self, step: StepIdx) -> &mut Self {
        let attempt = self.state.step(step).attempts + 1;
        self.does(&Event::StepStarted { step, attempt })
    }

    #[track_caller]
    fn completes(&mut self, step: StepIdx) -> &mut Self {
        self.does(&completed(step, By::Execute))
    }

    /// Starts and completes each of `steps`.
    #[track_caller]
    fn runs(&mut self, steps: impl IntoIterator<Item = StepIdx>) -> &mut Self {
        for step in steps {
            self.starts(step).completes(step);
        }
        self
    }

    #[track_caller]
    fn fails(&mut self, step: StepIdx, effect: Effect, then: Then) -> &mut Self {
        self.does(&failed(step, effect, then))
    }

    #[track_caller]
    fn undoes(&mut self, step: StepIdx) -> &mut Self {
        self.starts_undo(step).does(&Event::UndoCompleted { step })
    }

    #[track_caller]
    fn starts_undo(&mut self, step: StepIdx) -> &mut Self {
        let attempt = self.state.step(step).undo_attempts + 1;
        self.does(&Event::UndoStarted { step, attempt })
    }

    #[track_caller]
    fn fails_undo(&mut self, step: StepIdx, then: UndoThen) -> &mut Self {
        self.starts_undo(step).does(&Event::UndoFailed { step, error: String::new(), then })
    }

    #[track_caller]
    fn is(&mut self, status: Status) -> &mut Self {
        assert_eq!(self.state.status(), status);
        self
    }

    /// What the machine wants next is exactly this.
    #[track_caller]
    fn wants(&mut self, commands: &[Command]) -> &mut Self {
        assert_eq!(self.state.commands(), commands);
        self
    }

    #[track_caller]
    fn parked_for(&mut self, reason: ParkReason) -> &mut Self {
        self.is(Status::Parked);
        assert_eq!(self.state.parked().map(|parked| parked.reason), Some(reason));
        self
    }
}

fn completed(step: StepIdx, by: By) -> Event {
    Event::StepCompleted { step, output: output(), by }
}

fn failed(step: StepIdx, effect: Effect, then: Then) -> Event {
    Event::StepFailed { step, effect, error: String::new(), then }
}

fn waits(step: StepIdx, wait: Wait) -> Event {
    Event::StepWaits { step, wait }
}

fn approval() -> Wait {
    Wait::Approval { until: None }
}

fn signal_named(name: &str) -> Wait {
    Wait::Signal { name: name.to_owned(), until: None }
}

fn signal(name: &str, payload: &str, id: Option<&str>) -> Event {
    Event::SignalReceived {
        name: name.to_owned(),
        payload: text(payload),
        id: id.map(str::to_owned),
    }
}

fn probed(step: StepIdx, finding: Finding) -> Event {
    Event::StepProbed { step, finding }
}

fn late(step: StepIdx) -> Event {
    Event::CameLate { step, then: UndoThen::RetryAt(at(0)) }
}

fn resumed() -> Event {
    Event::Resumed { set: None }
}

fn edited() -> Event {
    Event::Resumed { set: Some(text(r#"{"size":2}"#)) }
}

fn retried(step: StepIdx) -> Event {
    Event::RetryRequested { step: Some(step) }
}

fn execute(step: StepIdx) -> Command {
    execute_at(step, Timestamp::default())
}

fn execute_at(step: StepIdx, not_before: Timestamp) -> Command {
    Command::Execute { step, not_before }
}

fn compensate(step: StepIdx) -> Command {
    Command::Compensate { step, not_before: Timestamp::default() }
}
