//! One state of the exploration: the machine, the world, and what may still go wrong; and all that
//! can happen next.

use crate::json::Json;
use crate::machine::{
    By, Class, Command, Effect, Event, Failure, Finding, Lock, ParkReason, Request, State, Status,
    Verdict, Wait, after_failure, after_undo_failure,
};
use crate::plan::StepIdx;
use crate::time::Timestamp;

use super::bug::Bug;
use super::shape::{Kind, Shape};
use super::world::{Live, World};

/// All moments are one: whether something is due is left to the order of events.
pub(super) const NOW: Timestamp = Timestamp::from_micros(0);

/// How often what is rare may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// Claims that end while a body is under way.
    pub(super) claims: u8,
    /// Things that people do.
    pub(super) people: u8,
    /// Bodies that say "not yet".
    pub(super) waits: u8,
    /// Times that the engine parks the run or a step of its own accord.
    pub(super) stops: u8,
}

/// The machine and the world it acts on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) shape: usize,
    pub(super) saga: State,
    pub(super) world: World,
    budget: Budget,
}

/// Something that happens: what is recorded, and which living bodies (one bit each) took effect
/// before it was.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Action {
    pub(super) event: Event,
    far: u8,
    cost: Cost,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cost {
    Free,
    Claim,
    Person,
    Wait,
    Stop,
}

impl Node {
    pub(super) fn new(index: usize, shape: &Shape, budget: Budget, bug: Option<Bug>) -> Self {
        let plan = shape.plan(bug != Some(Bug::PivotUnmarked));
        let mut saga = State::new(plan, shape.deadline.then_some(NOW));
        saga.apply(NOW, &Event::Accepted).expect("a run is accepted first");
        saga.rows = 0;
        Self { shape: index, saga, world: World::new(), budget }
    }

    /// The state after `action`; its ledger's length is forgotten, so that states meet again.
    pub(super) fn after(&self, shape: &Shape, action: &Action, bug: Option<Bug>) -> Self {
        let mut next = self.clone();
        let event = &action.event;
        let round = subject(event).map_or(0, |step| self.round(step));
        if self.saga.status() != Status::RolledBack {
            match event {
                Event::Restored => next.world.set_back(action.far, |step| self.round(step)),
                event => next.world.observe(shape, event, action.far, round),
            }
        }
        let told = bug.map_or_else(|| vec![event.clone()], |bug| bug.told(self, event));
        for event in told {
            let ended = next.saga.status() == Status::RolledBack;
            let applied = next.saga.apply(NOW, &event).is_ok();
            next.world.demand(!(applied && ended), "I6: rolled back is final");
            next.world.demand(applied || ended, "what follows from the state is legal in it");
        }
        next.saga.rows = 0;
        let budget = &mut next.budget;
        match action.cost {
            Cost::Free => {}
            Cost::Claim => budget.claims -= 1,
            Cost::Person => budget.people -= 1,
            Cost::Wait => budget.waits -= 1,
            Cost::Stop => budget.stops -= 1,
        }
        next
    }

    fn round(&self, step: StepIdx) -> usize {
        self.saga.step(step).round as usize
    }

    pub(super) fn actions(&self, shape: &Shape, bug: Option<Bug>) -> Vec<Action> {
        let mut actions = Actions { node: self, shape, found: Vec::new() };
        if self.world.broken.is_some() {
            return actions.found;
        }
        for command in self.saga.commands() {
            actions.follow(&bug.map_or_else(|| command.clone(), |bug| bug.bent(self, &command)));
        }
        for step in 0..shape.len() {
            match self.world.live(step) {
                Live::Execute => actions.execute_ends(step),
                Live::Undo => actions.undo_ends(step),
                Live::None => {}
            }
        }
        if self.world.any_alive() && self.budget.claims > 0 {
            actions.claim_ends();
        }
        if self.budget.stops > 0 {
            actions.engine_stops();
        }
        if self.budget.people > 0 {
            actions.people();
        }
        if self.saga.status() == Status::RolledBack {
            actions.disturb_the_dead();
        }
        actions.found
    }
}

/// The step that `event` is about.
fn subject(event: &Event) -> Option<StepIdx> {
    match event {
        Event::StepStarted { step, .. }
        | Event::StepCompleted { step, .. }
        | Event::UndoStarted { step, .. } => Some(*step),
        _ => None,
    }
}

struct Actions<'a> {
    node: &'a Node,
    shape: &'a Shape,
    found: Vec<Action>,
}

impl Actions<'_> {
    fn push(&mut self, event: Event) {
        self.add(event, 0, Cost::Free);
    }

    fn add(&mut self, event: Event, far: u8, cost: Cost) {
        self.found.push(Action { event, far, cost });
    }

    /// What the engine records when it does what the machine says.
    fn follow(&mut self, command: &Command) {
        let node = self.node;
        match *command {
            Command::Execute { step, .. } => {
                let attempt = node.saga.step(step).attempts + 1;
                self.push(Event::StepStarted { step, attempt });
            }
            Command::Compensate { step, .. } => {
                let attempt = node.saga.step(step).undo_attempts + 1;
                self.push(Event::UndoStarted { step, attempt });
            }
            Command::Lock { step, .. } => {
                let locks = vec![Lock { key: "k".to_owned(), at_most: None }];
                self.push(Event::LocksTaken { step, locks });
                if node.saga.waits_for_lock(step).is_none() {
                    let wait = Wait::Lock { key: "k".to_owned(), again: NOW, until: Some(NOW) };
                    self.push(Event::StepWaits { step, wait });
                }
            }
            Command::Probe { step, .. } => {
                if node.world.exists(step, node.round(step)) {
                    self.push(Event::StepCompleted { step, output: output(), by: By::Probe });
                } else {
                    self.push(Event::StepProbed { step, finding: Finding::Absent });
                    let finding = Finding::AbsentTooSoon(NOW);
                    self.push(Event::StepProbed { step, finding });
                }
                self.push(Event::StepProbed { step, finding: Finding::CannotTell });
            }
            Command::ProbeBack { step } => {
                if node.world.exists(step, node.round(step)) {
                    self.push(Event::UndoProbed { step, found: Some(output()) });
                }
                self.push(Event::UndoProbed { step, found: None });
            }
            Command::Deliver { step } => {
                self.push(Event::StepCompleted { step, output: output(), by: By::Signal });
            }
            Command::Expire { step, .. } => {
                self.failed(step, Effect::Clean, Class::Permanent, 0, Cost::Free);
            }
            Command::ParkStep { step, reason } => self.push(Event::StepParked { step, reason }),
            Command::Park { reason } => self.push(Event::Parked { reason }),
            Command::PassDeadline { .. } => self.push(Event::DeadlinePassed),
            Command::EndHold { .. } => self.push(Event::HoldEnded),
        }
    }

    fn failed(&mut self, step: StepIdx, effect: Effect, class: Class, far: u8, cost: Cost) {
        let failure = Failure { effect, class, retry_after: None, chance: 0 };
        let options = self.shape.kinds[step].options();
        let then = after_failure(&self.node.saga, step, &failure, NOW, &options);
        self.add(Event::StepFailed { step, effect, error: String::new(), then }, far, cost);
    }

    fn execute_ends(&mut self, step: StepIdx) {
        let bit = 1 << step;
        match self.shape.kinds[step] {
            Kind::Signal => {
                let wait = Wait::Signal { name: "s".to_owned(), until: Some(NOW) };
                return self.push(Event::StepWaits { step, wait });
            }
            Kind::Approval => {
                let wait = Wait::Approval { until: None };
                return self.push(Event::StepWaits { step, wait });
            }
            _ => {}
        }
        self.add(Event::StepCompleted { step, output: output(), by: By::Execute }, bit, Cost::Free);
        for class in [Class::Transient, Class::Permanent] {
            self.failed(step, Effect::Clean, class, 0, Cost::Free);
            self.failed(step, Effect::Unknown, class, 0, Cost::Free);
            self.failed(step, Effect::Unknown, class, bit, Cost::Free);
        }
        if self.node.budget.waits > 0 {
            for far in [0, bit] {
                let wait = Wait::Until(NOW);
                self.add(Event::StepWaits { step, wait }, far, Cost::Wait);
            }
        }
    }

    fn undo_ends(&mut self, step: StepIdx) {
        let bit = 1 << step;
        self.add(Event::UndoCompleted { step }, bit, Cost::Free);
        for class in [Class::Transient, Class::Permanent] {
            let failure = Failure { effect: Effect::Unknown, class, retry_after: None, chance: 0 };
            let options = self.shape.kinds[step].options();
            let then = after_undo_failure(&self.node.saga, step, &failure, NOW, &options);
            for far in [0, bit] {
                let event = Event::UndoFailed { step, error: String::new(), then: then.clone() };
                self.add(event, far, Cost::Free);
            }
        }
        if self.node.budget.waits > 0 {
            self.add(Event::UndoWaits { step, until: NOW }, bit, Cost::Wait);
        }
    }

    /// The owner dies, or lets go; any of its bodies may have taken effect.
    fn claim_ends(&mut self) {
        let alive = (0..self.shape.len())
            .filter(|step| self.node.world.live(*step) != Live::None)
            .fold(0_u8, |mask, step| mask | 1 << step);
        for far in (0..=alive).filter(|far| far & !alive == 0) {
            self.add(Event::TakenOver, far, Cost::Claim);
            self.add(Event::HandedOver, far, Cost::Claim);
        }
    }

    fn engine_stops(&mut self) {
        if !self.node.saga.status().at_rest() {
            let reason = if self.node.world.any_alive() {
                ParkReason::BodyStillRunning
            } else {
                ParkReason::NoCapableWorker
            };
            self.add(Event::Parked { reason }, 0, Cost::Stop);
        }
        self.set_back();
        for command in self.node.saga.commands() {
            if let Command::Execute { step, .. } | Command::Compensate { step, .. } = command {
                let reason = ParkReason::CannotDecode;
                self.add(Event::StepParked { step, reason }, 0, Cost::Stop);
            }
        }
    }

    /// The store is set back, whatever was done since: of what is not done each beginning.
    fn set_back(&mut self) {
        let (saga, len) = (&self.node.saga, self.shape.len());
        let ended =
            matches!(saga.status(), Status::Completed | Status::Failed | Status::RolledBack);
        if ended || self.node.world.any_alive() {
            return;
        }
        let open = |step: StepIdx| !saga.turned() && !saga.step(step).passed();
        let begins = |far: u8| {
            let done = |step: StepIdx| !open(step) || far & 1 << step != 0;
            let follows = |step: StepIdx| {
                (0..len).all(|first| !self.shape.precedes(first, step) || done(first))
            };
            (0..len).all(|step| far & 1 << step == 0 || open(step) && follows(step))
        };
        for far in (0..1 << len).filter(|far| begins(*far)).collect::<Vec<u8>>() {
            self.add(Event::Restored, far, Cost::Stop);
        }
    }

    fn people(&mut self) {
        let steps = 0..self.shape.len();
        self.ask(&Request::Cancel, Event::CancelRequested);
        self.ask(&Request::Pause, Event::PauseRequested);
        self.ask(&Request::Resume, Event::Resumed { set: None });
        if !self.node.saga.turned() && !self.node.saga.in_doubt() {
            self.ask(&Request::Resume, Event::Resumed { set: Some(Json::empty_object()) });
        }
        self.ask(&Request::Retry(None), Event::RetryRequested { step: None });
        self.ask(&Request::Rollback, Event::RollbackRequested);
        if self.shape.kinds.contains(&Kind::Signal) {
            let event = Event::SignalReceived { name: "s".to_owned(), payload: output(), id: None };
            self.ask(&Request::Signal(None), event);
        }
        for step in steps {
            let by_hand = Event::StepCompleted { step, output: output(), by: By::Hand };
            self.ask(&Request::Complete(step), by_hand);
            self.ask(&Request::Skip(step), Event::StepSkipped { step });
            self.ask(&Request::Retry(Some(step)), Event::RetryRequested { step: Some(step) });
            self.ask(&Request::Resolve(step), Event::Resolved { step });
            self.ask(&Request::Abandon(step), Event::Abandoned { step });
            let approved = Event::StepCompleted { step, output: output(), by: By::Approval };
            self.ask(&Request::Approve(step), approved);
            if self.node.saga.permits(&Request::Deny(step)) == Verdict::Fits {
                self.failed(step, Effect::Clean, Class::Permanent, 0, Cost::Person);
            }
        }
    }

    fn ask(&mut self, request: &Request, event: Event) {
        if self.node.saga.permits(request) == Verdict::Fits {
            self.add(event, 0, Cost::Person);
        }
    }

    /// Nothing happens any more to a run that is rolled back.
    fn disturb_the_dead(&mut self) {
        let reason = ParkReason::CannotDecode;
        self.push(Event::TakenOver);
        self.push(Event::StepParked { step: 0, reason });
        self.push(Event::Parked { reason });
        self.push(Event::Resumed { set: None });
        self.push(Event::RetryRequested { step: None });
        self.push(Event::CancelRequested);
    }
}

fn output() -> Json {
    Json::empty_object()
}
