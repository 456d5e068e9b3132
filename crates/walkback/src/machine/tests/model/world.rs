//! What really exists at the far side, and the history as an outsider keeps it. Nothing here reads
//! the machine's fields: its promises are judged by what happened.

use crate::machine::{By, Effect, Event, Finding, ParkReason, State, Status, Then, UndoThen, Wait};
use crate::plan::StepIdx;

use super::shape::{Kind, Shape};

const STEPS: usize = 4;
const ROUNDS: usize = 4;

/// The body of a step that is alive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Live {
    #[default]
    None,
    Execute,
    Undo,
}

/// How the undo of a step ended in this pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Ended {
    #[default]
    Open,
    Undone,
    Residue,
    Resolved,
    Abandoned,
}

/// One step as the outside sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of the history")]
pub(super) struct Site {
    /// How many things exist that were made under the key of each round.
    effects: [u8; ROUNDS],
    pub(super) live: Live,
    /// The round whose key the living body was given.
    key: usize,
    /// Success was recorded, or the step skipped.
    done: bool,
    skipped: bool,
    /// An attempt succeeded or may have: what it made is to be taken back.
    owes: bool,
    ended: Ended,
    /// An outcome is unknown, and nobody has looked since.
    unlooked: bool,
    /// It stands still until a person says how to go on.
    asks: bool,
    /// A person has said so.
    told: bool,
    /// Its body said "not yet": the next look goes on with what that one began.
    continues: bool,
    /// It waits for a signal or an approval.
    awaits: bool,
    /// What it needs before it begins is the run's.
    locked: bool,
    /// The store was set back, and it may have been done since.
    doubted: bool,
    /// Its data was edited, so that it may be undone going forward.
    edited: bool,
    /// Executions that what happened so far pays for, at most two in advance (promise I10).
    credit: u8,
}

impl Site {
    /// Whether what it made, or may have, is to be taken back.
    fn owed(&self) -> bool {
        self.owes || self.doubted
    }
}

/// Everything outside the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact of the history")]
pub(super) struct World {
    sites: [Site; STEPS],
    turned: bool,
    rollback: bool,
    cancelled: bool,
    paused: bool,
    /// The engine parked the run.
    stopped: bool,
    /// A body outlived its time and its token.
    stubborn: bool,
    /// The first promise that was broken.
    pub(super) broken: Option<&'static str>,
}

impl World {
    pub(super) fn new() -> Self {
        let site = || Site { credit: 1, ..Site::default() };
        Self { sites: std::array::from_fn(|_| site()), ..Self::default() }
    }

    pub(super) fn demand(&mut self, holds: bool, promise: &'static str) {
        if !holds {
            self.broken.get_or_insert(promise);
        }
    }

    pub(super) fn live(&self, step: StepIdx) -> Live {
        self.sites[step].live
    }

    pub(super) fn exists(&self, step: StepIdx, round: usize) -> bool {
        self.sites[step].effects[round] > 0
    }

    fn any(&self, live: Live) -> bool {
        self.sites.iter().any(|site| site.live == live)
    }

    pub(super) fn any_alive(&self) -> bool {
        self.any(Live::Execute) || self.any(Live::Undo)
    }

    /// What a body did before its end, or the end of its claim, was recorded.
    fn took_effect(&mut self, kind: Kind, step: StepIdx) {
        let site = &mut self.sites[step];
        let here = &mut site.effects[site.key];
        match site.live {
            Live::Execute if kind.repeatable() || site.continues => *here = 1,
            Live::Execute => {
                *here += 1;
                let fine = *here == 1 || site.told;
                self.demand(fine, "S5: what must not be repeated was made twice");
            }
            Live::Undo => *here = 0,
            Live::None => {}
        }
    }

    /// Takes in `event`. `far` holds a bit for each living body that took effect, `round` the round
    /// whose key a body that starts is given.
    pub(super) fn observe(&mut self, shape: &Shape, event: &Event, far: u8, round: usize) {
        for (step, kind) in shape.kinds.iter().enumerate() {
            if far & 1 << step != 0 {
                self.took_effect(*kind, step);
            }
        }
        match event {
            Event::StepStarted { step, .. } => self.started(shape, *step, round),
            Event::StepCompleted { step, by, .. } => self.completed(*step, *by, round),
            Event::StepFailed { step, effect, then, .. } => {
                self.failed(shape, *step, *effect, then);
            }
            Event::LocksTaken { step, .. } => self.sites[*step].locked = true,
            Event::StepWaits { step, wait } => self.waits(*step, wait),
            Event::StepProbed { step, finding } => self.probed(shape, *step, *finding),
            Event::UndoStarted { step, .. } => self.undo_started(shape, *step, round),
            Event::UndoCompleted { step } => self.undone(*step),
            Event::UndoFailed { step, then, .. } => self.undo_failed(*step, then),
            Event::UndoWaits { step, .. } => self.sites[*step].live = Live::None,
            Event::TakenOver | Event::HandedOver => self.claim_ended(),
            Event::StepParked { step, .. } => {
                self.sites[*step].asks = true;
                self.sites[*step].awaits = false;
            }
            Event::Parked { reason } => {
                self.stopped = true;
                self.stubborn = *reason == ParkReason::BodyStillRunning;
            }
            _ => self.asked(shape, event),
        }
    }

    /// The store was set back; since then the steps in `far`, one bit each, were done, each under the key
    /// of its round.
    pub(super) fn set_back(&mut self, far: u8, round: impl Fn(StepIdx) -> usize) {
        self.stopped = true;
        for (step, site) in self.sites.iter_mut().enumerate().filter(|(_, site)| !site.done) {
            if self.turned {
                continue;
            }
            site.doubted = true;
            site.unlooked = true;
            if far & 1 << step != 0 {
                site.effects[round(step)] = 1;
            }
        }
    }

    fn started(&mut self, shape: &Shape, step: StepIdx, round: usize) {
        let kind = shape.kinds[step];
        let preceding_done =
            (0..shape.len()).all(|other| !shape.precedes(other, step) || self.sites[other].done);
        self.demand(preceding_done, "I11: a step starts only after what precedes it is done");
        self.demand(!self.turned, "S6: nothing new starts on the walk back");
        self.demand(!self.paused && !self.stopped, "S9: nothing starts in a paused run");
        self.demand(!self.any(Live::Undo), "I13: no undo beside an execute");
        let site = &self.sites[step];
        let (done, alive) = (site.done, site.live != Live::None);
        let looked = !site.unlooked || site.told || kind.repeatable() && !kind.probe();
        let paid = site.credit > 0;
        self.demand(!done, "I11: a recorded success is never executed again");
        self.demand(!alive, "S2: one body at a time");
        self.demand(looked, "S5: look before executing again");
        let locked = kind != Kind::Locked || self.sites[step].locked;
        self.demand(locked, "a step begins only with its locks");
        self.demand(paid, "I10: every execution is accounted for");
        let site = &mut self.sites[step];
        site.credit = site.credit.saturating_sub(1);
        site.owes |= std::mem::take(&mut site.doubted);
        site.live = Live::Execute;
        site.unlooked &= !site.told;
        site.key = round;
        site.awaits = false;
    }

    fn completed(&mut self, step: StepIdx, by: By, round: usize) {
        let site = &mut self.sites[step];
        if by == By::Hand {
            site.effects[round] = site.effects[round].max(1);
        }
        let expected = match by {
            By::Execute => site.live == Live::Execute,
            By::Signal | By::Approval | By::Expiry => site.awaits,
            By::Probe | By::Hand => true,
        };
        let fits = expected && !site.done;
        *site = Site {
            live: Live::None,
            done: true,
            owes: true,
            unlooked: false,
            asks: false,
            told: false,
            awaits: false,
            ..site.clone()
        };
        self.demand(fits, "a step is completed once, by what it waits for");
    }

    fn failed(&mut self, shape: &Shape, step: StepIdx, effect: Effect, then: &Then) {
        let site = &mut self.sites[step];
        site.live = Live::None;
        site.told &= effect == Effect::Clean;
        site.continues &= effect == Effect::Clean;
        site.awaits = false;
        site.owes |= effect == Effect::Unknown;
        site.unlooked |= effect == Effect::Unknown;
        match then {
            Then::RetryAt(_) => site.credit = 2.min(site.credit + 1),
            Then::Park(_) | Then::HoldUntil(_) => site.asks = true,
            Then::WalkBack if !self.turned => {
                self.demand(shape.kinds[step] != Kind::Hold, "S11: hold before walking back");
                self.turn(shape);
            }
            Then::WalkBack => {}
        }
    }

    fn waits(&mut self, step: StepIdx, wait: &Wait) {
        let site = &mut self.sites[step];
        site.live = Live::None;
        if let Wait::Until(_) = wait {
            site.owes = true;
            site.continues = true;
            site.credit = 2.min(site.credit + 1);
        } else {
            site.awaits = true;
        }
    }

    fn probed(&mut self, shape: &Shape, step: StepIdx, finding: Finding) {
        let site = &mut self.sites[step];
        match finding {
            Finding::AbsentTooSoon(_) => return,
            Finding::CannotTell if !shape.kinds[step].repeatable() => site.asks = true,
            Finding::Absent | Finding::CannotTell => {}
        }
        site.unlooked = false;
        for other in (0..shape.len()).filter(|_| finding == Finding::Absent) {
            if shape.precedes(step, other) && std::mem::take(&mut self.sites[other].doubted) {
                self.sites[other].unlooked = false;
            }
        }
    }

    fn undo_started(&mut self, shape: &Shape, step: StepIdx, round: usize) {
        let waits_for = |other: &StepIdx| {
            let site = &self.sites[*other];
            let open = site.owed() && shape.kinds[*other].undo() && site.ended == Ended::Open;
            shape.precedes(step, *other) && open
        };
        let in_order = !(0..shape.len()).any(|other| waits_for(&other));
        let site = &self.sites[step];
        let (asked, owed) = (self.turned || site.edited, site.owed() && site.ended == Ended::Open);
        let alone = site.live == Live::None;
        self.demand(!self.any(Live::Execute), "I13: no undo beside an execute");
        self.demand(in_order, "S7: the walk back is the reverse of the structure");
        self.demand(asked, "S6: nothing is undone going forward");
        self.demand(owed, "I12: only what may have been made is undone, and once");
        self.demand(alone, "S2: one body at a time");
        self.demand(!self.paused && !self.stopped, "S9: nothing starts in a paused run");
        self.sites[step].live = Live::Undo;
        self.sites[step].key = round;
    }

    fn undone(&mut self, step: StepIdx) {
        let turned = self.turned;
        let site = &mut self.sites[step];
        if turned {
            site.live = Live::None;
            site.ended = Ended::Undone;
        } else {
            let (effects, doubted) = (site.effects, site.doubted);
            *site = Site { effects, doubted, unlooked: doubted, credit: 1, ..Site::default() };
        }
    }

    fn undo_failed(&mut self, step: StepIdx, then: &UndoThen) {
        let site = &mut self.sites[step];
        site.live = Live::None;
        if *then == UndoThen::Residue {
            site.ended = Ended::Residue;
        }
    }

    fn claim_ended(&mut self) {
        for site in &mut self.sites {
            if site.live == Live::Execute {
                site.owes = true;
                site.unlooked = true;
                site.told = false;
                site.continues = false;
                site.credit = 2.min(site.credit + 1);
            }
            site.live = Live::None;
        }
    }

    /// What people and clocks ask for.
    fn asked(&mut self, shape: &Shape, event: &Event) {
        match event {
            Event::DeadlinePassed | Event::HoldEnded => self.turn(shape),
            Event::CancelRequested => {
                self.cancelled = true;
                self.goes_on(None, false);
                self.turn(shape);
            }
            Event::PauseRequested => self.paused = true,
            Event::Resumed { set } => self.goes_on(None, set.is_some()),
            Event::RetryRequested { step } => {
                self.goes_on(*step, false);
                let chosen = |at: usize| step.is_none_or(|only| only == at);
                for (at, site) in self.sites.iter_mut().enumerate() {
                    if chosen(at) && site.ended == Ended::Residue {
                        site.ended = Ended::Open;
                    }
                }
            }
            Event::StepSkipped { step } => {
                self.sites[*step].done = true;
                self.sites[*step].skipped = true;
                self.sites[*step].awaits = false;
            }
            Event::Resolved { step } => {
                self.sites[*step].effects = [0; ROUNDS];
                if self.turned {
                    self.sites[*step].ended = Ended::Resolved;
                } else {
                    self.undone(*step);
                }
            }
            Event::Abandoned { step } => self.sites[*step].ended = Ended::Abandoned,
            Event::RollbackRequested => {
                self.rollback = true;
                self.goes_on(None, false);
                self.turn(shape);
            }
            _ => {}
        }
    }

    /// Somebody lets the run, or one step, go on.
    fn goes_on(&mut self, step: Option<StepIdx>, edit: bool) {
        self.paused = false;
        self.stopped = false;
        self.stubborn = false;
        for (at, site) in self.sites.iter_mut().enumerate() {
            if step.is_none_or(|only| only == at) {
                site.told |= site.asks;
                site.asks = false;
                site.credit = 2.min(site.credit + 1);
                site.edited |= edit && !site.done;
            }
        }
    }

    fn turn(&mut self, shape: &Shape) {
        let passed = |(kind, site): (&Kind, &Site)| {
            let made = site.effects.iter().any(|count| *count > 0);
            *kind == Kind::Pivot && (made || site.owes || site.live != Live::None)
        };
        let past = shape.kinds.iter().zip(&self.sites).any(passed);
        self.demand(self.rollback || !past, "S10: behind a pivot nothing turns");
        self.demand(!self.turned, "S6: a run turns once");
        self.turned = true;
        self.sites.iter_mut().for_each(|site| site.awaits = false);
    }

    /// The promise that `saga` breaks where it stands, if it does.
    pub(super) fn judge(&self, shape: &Shape, saga: &State) -> Option<&'static str> {
        let status = saga.status();
        let moving = matches!(status, Status::Pending | Status::Running | Status::Compensating);
        let sites = || shape.kinds.iter().zip(&self.sites).enumerate();
        let there = |site: &Site| site.effects.iter().any(|count| *count > 0);
        let left = |site: &Site| matches!(site.ended, Ended::Residue | Ended::Abandoned);
        let open =
            |kind: &Kind, site: &Site| kind.undo() && site.owed() && site.ended == Ended::Open;
        let done = |(_, (kind, site)): (usize, (&Kind, &Site))| {
            site.done && (site.skipped || kind.waits() || there(site))
        };
        let clean = |(_, (kind, site)): (usize, (&Kind, &Site))| {
            !(open(kind, site) || left(site) || kind.undo() && there(site))
        };
        let listed = |(step, (kind, site)): (usize, (&Kind, &Site))| {
            let said = saga.residue().any(|residue| residue == step);
            said == left(site) && (said || !(kind.undo() && there(site))) && !open(kind, site)
        };
        let rules = [
            (
                !moving
                    || self.any_alive()
                    || self.sites.iter().any(|site| site.awaits)
                    || !saga.commands().is_empty(),
                "I15: no limbo",
            ),
            (
                moving || !self.any_alive() || self.stubborn && status == Status::Parked,
                "a run at rest has no living body",
            ),
            (moving || status == Status::Parked || saga.commands().is_empty(), "rest is rest"),
            (
                status != Status::Parked || saga.parked().is_some() && !saga.legal().is_empty(),
                "I15: what is parked has a reason and a way on",
            ),
            (!self.turned || status != Status::Completed, "S6: what has turned does not complete"),
            (
                !self.cancelled || status != Status::Completed,
                "I14: an accepted cancel never ends completed",
            ),
            (status != Status::Completed || sites().all(done), "completed: every step is done"),
            (status != Status::RolledBack || sites().all(clean), "rolled back: nothing is left"),
            (
                self.turned || !matches!(status, Status::RolledBack | Status::Failed),
                "S6: nothing ends undone without a reason",
            ),
            (
                status != Status::Failed || sites().all(listed),
                "failed: exactly what is left is listed",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, promise)| promise)
    }
}
