//! Planted bugs: an engine around the machine that records something other than what happened, or
//! does something other than the machine said. The machine itself has no hooks.

use crate::json::Json;
use crate::machine::{By, Command, Effect, Event, Finding, ParkReason, Then, UndoThen, Wait};

use super::node::{NOW, Node};
use super::world::Live;

const COMPLETED: &str = "completed: every step is done";
const ROLLED_BACK: &str = "rolled back: nothing is left";

/// One way to get it wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    UnknownRecordedAsClean,
    UndoBesideALivingExecute,
    UndoneInTheOrderOfTheList,
    CancelForgotten,
    PauseForgotten,
    AbsentSuppressesTheUndo,
    TakeoverCountsAsSuccess,
    TakeoverCountsAsCleanFailure,
    TakeoverForgotten,
    DrainedSuccessThrownAway,
    ResidueForgotten,
    AbandonedRecordedAsResolved,
    ProbeNotAsked,
    CannotTellTakenForPresent,
    NotYetForgotten,
    NotYetRecordedAsCleanFailure,
    HoldSkipped,
    PivotUnmarked,
    HaltIgnored,
    SetBackForgotten,
    DoubtsForgotten,
}

impl Bug {
    /// Each bug, and the promise that it breaks first.
    pub(super) const ALL: [(Self, &str); 21] = [
        (Self::UnknownRecordedAsClean, ROLLED_BACK),
        (Self::UndoBesideALivingExecute, "I13: no undo beside an execute"),
        (Self::UndoneInTheOrderOfTheList, "S7: the walk back is the reverse of the structure"),
        (Self::CancelForgotten, "S6: nothing new starts on the walk back"),
        (Self::PauseForgotten, "S9: nothing starts in a paused run"),
        (Self::AbsentSuppressesTheUndo, ROLLED_BACK),
        (Self::TakeoverCountsAsSuccess, COMPLETED),
        (Self::TakeoverCountsAsCleanFailure, ROLLED_BACK),
        (Self::TakeoverForgotten, "I15: no limbo"),
        (Self::DrainedSuccessThrownAway, ROLLED_BACK),
        (Self::ResidueForgotten, ROLLED_BACK),
        (Self::AbandonedRecordedAsResolved, ROLLED_BACK),
        (Self::ProbeNotAsked, "S5: look before executing again"),
        (Self::CannotTellTakenForPresent, COMPLETED),
        (Self::NotYetForgotten, "I15: no limbo"),
        (Self::NotYetRecordedAsCleanFailure, ROLLED_BACK),
        (Self::HoldSkipped, "S6: nothing ends undone without a reason"),
        (Self::PivotUnmarked, "S10: behind a pivot nothing turns"),
        (Self::HaltIgnored, ROLLED_BACK),
        (Self::SetBackForgotten, "S9: nothing starts in a paused run"),
        (Self::DoubtsForgotten, ROLLED_BACK),
    ];

    /// What an engine with this bug does where the machine says `command`.
    pub(super) fn bent(self, node: &Node, command: &Command) -> Command {
        match (self, command) {
            (Self::UndoneInTheOrderOfTheList, Command::Compensate { step, not_before })
                if node.saga.walked_forward() =>
            {
                let step = mirrored(node, *step);
                Command::Compensate { step, not_before: *not_before }
            }
            (Self::ProbeNotAsked, Command::Probe { step, not_before }) => {
                Command::Execute { step: *step, not_before: *not_before }
            }
            _ => command.clone(),
        }
    }

    /// What an engine with this bug records when `event` happened.
    pub(super) fn told(self, node: &Node, event: &Event) -> Vec<Event> {
        let told = self.misheard(node, event).or_else(|| self.mishandled(node, event));
        told.unwrap_or_else(|| vec![event.clone()])
    }

    /// The bugs in what becomes of a body's end.
    fn misheard(self, node: &Node, event: &Event) -> Option<Vec<Event>> {
        let turned = node.saga.turned();
        Some(match (self, event) {
            (Self::UnknownRecordedAsClean, Event::StepFailed { step, then, .. }) => {
                vec![given_up(*step, Effect::Clean, then.clone())]
            }
            (
                Self::HoldSkipped,
                Event::StepFailed { step, effect, then: Then::HoldUntil(_), .. },
            ) => {
                vec![given_up(*step, *effect, Then::WalkBack)]
            }
            (
                Self::DrainedSuccessThrownAway,
                Event::StepCompleted { step, by: By::Execute, .. },
            ) if turned => {
                vec![given_up(*step, Effect::Clean, Then::WalkBack)]
            }
            (Self::NotYetForgotten, Event::StepWaits { wait: Wait::Until(_), .. }) => vec![],
            (
                Self::NotYetRecordedAsCleanFailure,
                Event::StepWaits { step, wait: Wait::Until(_) },
            ) if !turned => vec![given_up(*step, Effect::Clean, Then::RetryAt(NOW))],
            (Self::ResidueForgotten, Event::UndoFailed { step, then: UndoThen::Residue, .. })
            | (Self::HaltIgnored, Event::UndoFailed { step, then: UndoThen::Park(_), .. }) => {
                vec![Event::UndoCompleted { step: *step }]
            }
            (
                Self::CannotTellTakenForPresent,
                Event::StepProbed { step, finding: Finding::CannotTell },
            ) => vec![success(*step, By::Probe)],
            (Self::AbsentSuppressesTheUndo, Event::UndoProbed { step, found: None }) => {
                let (step, attempt) = (*step, node.saga.step(*step).undo_attempts + 1);
                let begun = Event::UndoStarted { step, attempt };
                vec![event.clone(), begun, Event::UndoCompleted { step }]
            }
            _ => return None,
        })
    }

    /// The bugs in what is done about claims, people and order.
    fn mishandled(self, node: &Node, event: &Event) -> Option<Vec<Event>> {
        Some(match (self, event) {
            (
                Self::UndoBesideALivingExecute,
                Event::Parked { reason: ParkReason::BodyStillRunning },
            ) if !node.saga.turned() => {
                let facts = |step: &usize| node.saga.plan().facts(*step);
                let undone = |step: &usize| facts(step).undo && !facts(step).pivot;
                let give_up = |step| given_up(step, Effect::Unknown, Then::WalkBack);
                vec![give_up(living(node).find(undone)?)]
            }
            (Self::UndoneInTheOrderOfTheList, event) if node.saga.walked_forward() => {
                vec![mirror(node, event)]
            }
            (Self::CancelForgotten, Event::CancelRequested)
            | (Self::PauseForgotten, Event::PauseRequested)
            | (Self::TakeoverForgotten, Event::TakenOver)
            | (Self::SetBackForgotten, Event::Restored) => vec![],
            (Self::DoubtsForgotten, Event::Restored) => {
                vec![Event::Parked { reason: ParkReason::Restored }]
            }
            (Self::TakeoverCountsAsSuccess, Event::TakenOver) => {
                living(node).map(|step| success(step, By::Execute)).collect()
            }
            (Self::TakeoverCountsAsCleanFailure, Event::TakenOver) => {
                let failed = |step| given_up(step, Effect::Clean, Then::RetryAt(NOW));
                living(node).map(failed).chain([event.clone()]).collect()
            }
            (Self::AbandonedRecordedAsResolved, Event::Abandoned { step }) => {
                vec![Event::Resolved { step: *step }]
            }
            (Self::ProbeNotAsked, Event::StepStarted { step, .. })
                if node.saga.may_probe(*step) =>
            {
                let unasked = Event::StepProbed { step: *step, finding: Finding::Absent };
                vec![unasked, event.clone()]
            }
            _ => return None,
        })
    }
}

/// The steps whose `execute` is alive.
fn living(node: &Node) -> impl Iterator<Item = usize> + '_ {
    let alive = |step: &usize| node.world.live(*step) == Live::Execute;
    (0..node.saga.plan().len()).filter(alive)
}

fn success(step: usize, by: By) -> Event {
    Event::StepCompleted { step, output: Json::empty_object(), by }
}

fn given_up(step: usize, effect: Effect, then: Then) -> Event {
    Event::StepFailed { step, effect, error: String::new(), then }
}

fn mirrored(node: &Node, step: usize) -> usize {
    node.saga.plan().len() - 1 - step
}

fn mirror(node: &Node, event: &Event) -> Event {
    let mut told = event.clone();
    if let Event::UndoStarted { step, .. }
    | Event::UndoCompleted { step }
    | Event::UndoFailed { step, .. }
    | Event::UndoWaits { step, .. } = &mut told
    {
        *step = mirrored(node, *step);
    }
    told
}
