//! Processes of a simulation: their lives, their clocks, and whom they call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::testing::chance::Chance;
use crate::testing::simulation::shape::Shape;
use crate::testing::{Faults, VirtualClock};
use crate::time::Timestamp;
use crate::worker::{Hook, Notice, Told};

/// One of so many hooks' calls fails.
const FAILS: u32 = 3;
/// One of so many simulations has clocks that are wrong by days (T9).
const DAYS_OFF: u64 = 20;

/// A worker's process.
pub(super) struct Process {
    pub(super) life: Arc<Faults>,
    pub(super) tasks: JoinSet<()>,
    /// Cancelled to ask it to leave.
    pub(super) leave: CancellationToken,
    pub(super) stopped: bool,
}

/// A clock that is wrong by so much.
pub(super) struct Skewed {
    right: VirtualClock,
    ahead: Duration,
    behind: Duration,
}

impl Skewed {
    pub(super) fn by_nothing(right: VirtualClock) -> Self {
        Self { right, ahead: Duration::ZERO, behind: Duration::ZERO }
    }
}

impl Clock for Skewed {
    fn now(&self) -> Timestamp {
        self.right.now().plus(self.ahead).minus(self.behind)
    }
}

/// How time passes: how wrong clocks are, and how long people and workers wait before they look.
pub(super) struct Weather {
    pub(super) days_off: bool,
    /// What people wait before they look again.
    pub(super) pause: Duration,
    /// What workers wait at most.
    pub(super) look: Duration,
}

impl Weather {
    pub(super) fn draw(chance: &mut Chance, steps: &Shape) -> Self {
        let (millis, minutes) = (Duration::from_millis, Duration::from_mins);
        if chance.once_in(DAYS_OFF) {
            // Whoever is late by a day waits for two at most.
            return Self { days_off: true, pause: minutes(6 * 60), look: minutes(10) };
        }
        let pause = millis(if steps.is_endless() { 1_000 } else { 60 });
        Self { days_off: false, pause, look: millis(200) }
    }

    /// The clock of a process.
    pub(super) fn clock(&self, right: VirtualClock, chance: &mut Chance) -> Skewed {
        let mut skew = || {
            if self.days_off {
                Duration::from_hours(24) * u32::from(chance.once_in(2))
            } else {
                Duration::from_millis(chance.below(3) * chance.below(400))
            }
        };
        Skewed { right, ahead: skew(), behind: skew() }
    }
}

/// Whom processes call; it fails now and then.
#[derive(Clone, Default)]
pub(super) struct Pager(Arc<AtomicU32>);

/// The pager as a process with this life calls it.
pub(super) struct Called {
    pager: Pager,
    life: Arc<Faults>,
}

impl Pager {
    pub(super) fn of(&self, life: &Arc<Faults>) -> Called {
        Called { pager: self.clone(), life: Arc::clone(life) }
    }
}

impl Hook for Called {
    fn name(&self) -> String {
        "pager".to_owned()
    }

    fn call<'a>(&'a self, _: &'a Notice) -> Told<'a> {
        Box::pin(async {
            self.life.point().await;
            let nth = self.pager.0.fetch_add(1, Ordering::SeqCst);
            if nth.is_multiple_of(FAILS) { Err("nobody home".to_owned()) } else { Ok(()) }
        })
    }
}
