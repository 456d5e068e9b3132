//! Planted bugs: an engine around the machine that records something other than what happened, or
//! does something other than the machine said. The machine itself has no hooks.

use crate::json::Json;
use crate::machine::{By, Command, Effect, Event, Finding, ParkReason, Then, UndoThen, Wait};

use super::node::{NOW, Node};
use super::world::Live;

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
}

impl Bug {
    pub(super) const ALL: [Self; 19] = [
        Self::UnknownRecordedAsClean,
        Self::UndoBesideALivingExecute,
        Self::UndoneInTheOrderOfTheList,
        Self::CancelForgotten,
        Self::PauseForgotten,
        Self::AbsentSuppressesTheUndo,
        Self::TakeoverCountsAsSuccess,
        Self::TakeoverCountsAsCleanFailure,
        Self::TakeoverForgotten,
        Self::DrainedSuccessThrownAway,
        Self::ResidueForgotten,
        Self::AbandonedRecordedAsResolved,
        Self::ProbeNotAsked,
        Self::CannotTellTakenForPresent,
        Self::NotYetForgotten,
        Self::NotYetRecordedAsCleanFailure,
        Self::HoldSkipped,
        Self::PivotUnmarked,
        Self::HaltIgnored,
    ];

    /// What an engine with this bug does where the machine says `command`.
    pub(super) fn bent(self, node: &Node, command: &Command) -> Command {
        match (self, command) {
            (Self::UndoneInTheOrderOfTheList, Command::Compensate { step, not_before }) => {
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
        let turned = node.saga.turned();
        let mut told = event.clone();
        match (self, &mut told) {
            (Self::UnknownRecordedAsClean, Event::StepFailed { effect, .. }) => {
                *effect = Effect::Clean;
            }
            (Self::UndoBesideALivingExecute, Event::Parked { reason })
                if *reason == ParkReason::BodyStillRunning && !turned =>
            {
                let mut ends = living(node, |step| given_up(step, Effect::Unknown, Then::WalkBack));
                ends.retain(|_| node.saga.plan().facts(0).undo);
                return ends;
            }
            (Self::UndoneInTheOrderOfTheList, event) => mirror(node, event),
            (Self::CancelForgotten, Event::CancelRequested)
            | (Self::PauseForgotten, Event::PauseRequested)
            | (Self::TakeoverForgotten, Event::TakenOver)
            | (Self::NotYetForgotten, Event::StepWaits { wait: Wait::Until(_), .. }) => {
                return Vec::new();
            }
            (Self::AbsentSuppressesTheUndo, Event::UndoProbed { step, found: None }) => {
                let (step, attempt) = (*step, node.saga.step(*step).undo_attempts + 1);
                return vec![
                    told,
                    Event::UndoStarted { step, attempt },
                    Event::UndoCompleted { step },
                ];
            }
            (Self::TakeoverCountsAsSuccess, Event::TakenOver) => {
                return living(node, |step| success(step, By::Execute));
            }
            (Self::TakeoverCountsAsCleanFailure, Event::TakenOver) => {
                let retry = Then::RetryAt(NOW);
                let mut events = living(node, |step| given_up(step, Effect::Clean, retry.clone()));
                events.push(told);
                return events;
            }
            (Self::DrainedSuccessThrownAway, Event::StepCompleted { step, by, .. })
                if turned && *by == By::Execute =>
            {
                return vec![given_up(*step, Effect::Clean, Then::WalkBack)];
            }
            (Self::ResidueForgotten, Event::UndoFailed { step, then, .. })
                if *then == UndoThen::Residue =>
            {
                return vec![Event::UndoCompleted { step: *step }];
            }
            (Self::AbandonedRecordedAsResolved, Event::Abandoned { step }) => {
                return vec![Event::Resolved { step: *step }];
            }
            (Self::ProbeNotAsked, Event::StepStarted { step, .. }) if node.saga.may_probe(*step) => {
                let unasked = Event::StepProbed { step: *step, finding: Finding::Absent };
                return vec![unasked, told];
            }
            (Self::CannotTellTakenForPresent, Event::StepProbed { step, finding })
                if *finding == Finding::CannotTell =>
            {
                return vec![success(*step, By::Probe)];
            }
            (Self::NotYetRecordedAsCleanFailure, Event::StepWaits { step, wait })
                if matches!(wait, Wait::Until(_)) && !turned =>
            {
                return vec![given_up(*step, Effect::Clean, Then::RetryAt(NOW))];
            }
            (Self::HoldSkipped, Event::StepFailed { then, .. })
                if matches!(then, Then::HoldUntil(_)) =>
            {
                *then = Then::WalkBack;
            }
            (Self::HaltIgnored, Event::UndoFailed { step, then, .. })
                if matches!(then, UndoThen::Park(_)) =>
            {
                return vec![Event::UndoCompleted { step: *step }];
            }
            _ => {}
        }
        vec![told]
    }
}

fn living(node: &Node, event: impl Fn(usize) -> Event) -> Vec<Event> {
    let alive = |step: &usize| node.world.live(*step) == Live::Execute;
    (0..node.saga.plan().len()).filter(alive).map(event).collect()
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

fn mirror(node: &Node, event: &mut Event) {
    if let Event::UndoStarted { step, .. }
    | Event::UndoCompleted { step }
    | Event::UndoFailed { step, .. }
    | Event::UndoWaits { step, .. } = event
    {
        *step = mirrored(node, *step);
    }
}
