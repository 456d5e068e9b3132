//! The outside: what steps made there, and what bodies wrote down of themselves.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::id::Phase;
use crate::plan::StepIdx;
use crate::testing::{Does, Faults};
use crate::{
    Attempt, Context, DynamicStep, Effect, Json, Options, Probe, Registry, Retry, StepError,
};
use std::time::Duration;

/// How often a deadly step kills its process: until it is taken for poison, and no more.
const DEADLY: u32 = 5;
/// How often an endless step is not done yet: until the ledger is full, and a little longer.
const ENDLESS: u32 = 5_100;

/// A world in which steps make things, known by the key under which they were made.
///
/// ```
/// let world = walkback::testing::World::new();
/// assert!(world.left().is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct World(Arc<Outside>);

#[derive(Debug, Default)]
struct Outside {
    kept: Mutex<Kept>,
    /// Told when as many executes began as the scenario wants before it cancels.
    cancel: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    things: BTreeMap<String, StepIdx>,
    /// Those of them that a process made after others had gone on without it, and when that has died.
    late: BTreeMap<String, CancellationToken>,
    times_made: HashMap<StepIdx, u32>,
    tries: HashMap<(StepIdx, &'static str), u32>,
    lines: String,
    executes: u32,
    cancel_at: Option<u32>,
}

impl World {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which tells when the `nth` execute begins.
    pub fn cancelling(nth: Option<u32>) -> Self {
        let world = Self::default();
        world.lock().cancel_at = nth;
        world
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when it is time to cancel.
    pub async fn time_to_cancel(&self) {
        self.0.cancel.notified().await;
    }

    /// The steps whose things are there.
    pub fn left(&self) -> Vec<StepIdx> {
        let mut left: Vec<_> = self.lock().things.values().copied().collect();
        left.sort_unstable();
        left
    }

    /// The same, without what came late from a process that died before it could tell.
    pub(super) fn left_and_told(&self) -> Vec<StepIdx> {
        let kept = self.lock();
        let untold = |key: &str| kept.late.get(key).is_some_and(CancellationToken::is_cancelled);
        let told = kept.things.iter().filter(|(key, _)| !untold(key));
        told.map(|(_, step)| *step).collect()
    }

    /// The steps that made more than one thing.
    pub fn made_twice(&self) -> Vec<StepIdx> {
        let kept = self.lock();
        kept.times_made.iter().filter(|(_, times)| **times > 1).map(|(step, _)| *step).collect()
    }

    /// What bodies wrote down, for `verify`.
    pub fn record(&self) -> String {
        self.lock().lines.clone()
    }

    /// A body's line; of a start, how often such a body began before.
    fn write(&self, attempt: &Attempt, event: &str) -> u32 {
        let mut kept = self.lock();
        let (saga, step) = (attempt.saga_id(), attempt.step_idx());
        let (phase, number, key) =
            (attempt.phase().name(), attempt.number(), attempt.idempotency_key());
        let line = format_args!(
            r#"{{"saga_id":"{saga}","step_idx":{step},"phase":"{phase}","attempt":{number},"key":"{key}","event":"{event}"}}"#
        );
        // Writing into a string cannot fail.
        writeln!(kept.lines, "{line}").ok();
        if event != "start" {
            return 0;
        }
        if attempt.phase() == Phase::Execute {
            kept.executes += 1;
            if kept.cancel_at == Some(kept.executes) {
                self.0.cancel.notify_one();
            }
        }
        let tries = kept.tries.entry((step, phase)).or_default();
        *tries += 1;
        *tries - 1
    }

    /// Makes the step's thing. One that is careless makes another, even under the same key.
    fn make(&self, attempt: &Attempt, careless: bool, late: Option<CancellationToken>) {
        let mut kept = self.lock();
        let new = kept.things.insert(attempt.execute_key(), attempt.step_idx()).is_none();
        if let Some(died) = late.filter(|_| new) {
            kept.late.insert(attempt.execute_key(), died);
        }
        if new || careless {
            *kept.times_made.entry(attempt.step_idx()).or_default() += 1;
        }
    }

    fn unmake(&self, attempt: &Attempt) {
        self.lock().things.remove(&attempt.execute_key());
    }

    /// Somebody removes by hand what this step made.
    pub(super) fn remove(&self, step: StepIdx) {
        self.lock().things.retain(|_, made_by| *made_by != step);
    }

    fn find(&self, attempt: &Attempt) -> bool {
        self.lock().things.contains_key(&attempt.execute_key())
    }
}

/// Every step there is, in this world and this life of the process.
pub(super) fn registry(world: &World, life: &Arc<Faults>) -> Registry {
    registry_without(None, world, life)
}

/// Every step but one.
pub(super) fn registry_without(
    unknown: Option<Does>,
    world: &World,
    life: &Arc<Faults>,
) -> Registry {
    let actor = |does| Actor { does, world: world.clone(), life: Arc::clone(life) };
    let known = Does::ALL.into_iter().filter(|does| Some(*does) != unknown);
    known.fold(Registry::new(), |registry, does| registry.dynamic(actor(does)))
}

struct Actor {
    does: Does,
    world: World,
    life: Arc<Faults>,
}

impl Actor {
    async fn act(&self, attempt: &Attempt, tries: u32) -> Result<(), StepError> {
        self.life.point().await;
        match self.does {
            Does::Refuse => return Err(StepError::permanent("refused").clean()),
            Does::Busy if tries == 0 => return Err(StepError::transient("busy").clean()),
            Does::Endless if tries < ENDLESS => return Err(StepError::not_yet(Duration::ZERO)),
            Does::Sleepy if tries == 0 => tokio::time::sleep(Duration::from_secs(2)).await,
            Does::Deadly if tries < DEADLY => {
                self.life.die();
                self.life.point().await;
            }
            _ => {}
        }
        let late = self.life.is_taken_for_dead().then(|| self.life.died().clone());
        self.world.make(attempt, matches!(self.does, Does::Probed | Does::Puzzled), late);
        self.life.point().await;
        match self.does {
            Does::Break => Err(StepError::permanent("broken")),
            Does::Flaky if tries == 0 => Err(StepError::transient("flaky")),
            Does::Slow if tries == 0 => Err(StepError::not_yet(Duration::from_millis(1))),
            _ => Ok(()),
        }
    }

    async fn take_back(&self, attempt: &Attempt, tries: u32) -> Result<(), StepError> {
        self.life.point().await;
        match self.does {
            Does::Stuck => return Err(StepError::permanent("stuck")),
            Does::Shaky if tries == 0 => return Err(StepError::transient("shaky").clean()),
            Does::Lingering if tries == 0 => {
                return Err(StepError::not_yet(Duration::from_millis(1)));
            }
            _ => {}
        }
        self.world.unmake(attempt);
        self.life.point().await;
        Ok(())
    }
}

impl DynamicStep for Actor {
    fn name(&self) -> &'static str {
        self.does.name()
    }

    fn options(&self) -> Options {
        let millisecond = Duration::from_millis(1);
        let often = Retry::attempts(3).backoff(millisecond, millisecond);
        let options = Options::new().retry(often).compensate_retry(often);
        match self.does {
            Does::Keep => options.retained("it is kept"),
            Does::Probed | Does::Puzzled | Does::Once => options.not_repeatable(),
            _ => options,
        }
    }

    fn has_probe(&self, _: &crate::StepRef) -> bool {
        matches!(self.does, Does::Probed | Does::Puzzled)
    }

    async fn execute(&self, attempt: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let tries = self.world.write(attempt, "start");
        let done = self.act(attempt, tries).await;
        self.world.write(attempt, "end");
        done?;
        context.put_output(&format!("made_{}", attempt.step_idx()), &attempt.execute_key())
    }

    async fn compensate(
        &self,
        attempt: &Attempt,
        _: &Context,
        _: Effect<Json>,
    ) -> Result<(), StepError> {
        let tries = self.world.write(attempt, "start");
        let done = self.take_back(attempt, tries).await;
        self.world.write(attempt, "end");
        done
    }

    async fn probe(
        &self,
        attempt: &Attempt,
        context: &mut Context,
    ) -> Result<Probe<()>, StepError> {
        let tries = self.world.write(attempt, "start");
        self.life.point().await;
        let found = self.world.find(attempt);
        self.world.write(attempt, "end");
        if self.does == Does::Puzzled && tries == 0 {
            return Ok(Probe::CannotTell);
        }
        if !found {
            return Ok(Probe::Absent);
        }
        context.put_output(&format!("made_{}", attempt.step_idx()), &attempt.execute_key())?;
        Ok(Probe::Present(()))
    }
}
