//! T4: one saga, several workers that die, stop and go on, clocks that disagree, and people who ask
//! for anything at any moment; all of it from one seed, on one thread, in virtual time.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::engine::{Asked, Enlistment, Operation, SagaView};
use crate::ledger::Row;
use crate::machine::{By, Event, Status};
use crate::plan::StepIdx;
use crate::store::{MemoryStore, Store};
use crate::testing::chance::Chance;
use crate::testing::faulty::Planted;
use crate::testing::world::{registry, registry_without};
use crate::testing::{Does, Fault, Faults, Faulty, VirtualClock, World};
use crate::verify::{Report, verify};
use crate::worker::{LOOK_AGAIN, Until, WAIT_FOR_CAPABLE};
use crate::{Engine, Registry, SagaId};

mod backup;
mod people;
mod process;
mod rival;
mod shape;

use process::{Pager, Process, Skewed, Weather};

/// Workers at a time.
const WORKERS: usize = 3;
/// Rounds in which people settle what is left, before it counts as limbo.
const ROUNDS: u32 = 160;

/// What a simulation went through.
#[derive(Clone, Debug, Default)]
pub struct Simulated {
    /// How the saga ended.
    pub status: Option<Status>,
    /// What happened in its ledger, each kind and form once.
    pub covered: BTreeSet<String>,
    /// Processes that died, and that were stopped for a while.
    pub died: u32,
    /// Those that were stopped.
    pub stopped: u32,
    /// What people asked and got.
    pub asked: u32,
    /// Whether clocks were wrong by days.
    pub days_off: bool,
    /// Sagas of which something is left, made late by a process that died before it could tell; the oracle
    /// names it.
    pub late: u32,
    /// Every row of the ledger: its moment, its event and its owner's fence.
    pub rows: Vec<String>,
}

/// Everything around one saga.
struct Scene {
    chance: Chance,
    planted: Option<Planted>,
    world: World,
    clock: VirtualClock,
    store: Arc<dyn Store>,
    memory: MemoryStore,
    backup: Option<MemoryStore>,
    /// Whether the store was set back to its backup.
    set_back: bool,
    processes: Vec<Process>,
    /// Dead or stopped, and not yet known to be so by the others.
    missing: Vec<Arc<Faults>>,
    steps: shape::Shape,
    weather: Weather,
    /// A step that no process knows that begins now.
    unknown: Option<Does>,
    /// Shared by the hooks of all processes.
    pager: Pager,
    cancelled: bool,
    /// Another saga, which holds what a step wants.
    rival: Option<SagaId>,
    found: Simulated,
}

/// Simulates what this seed says, with a bug if one is planted; on a runtime of one thread whose
/// time is paused.
///
/// # Errors
/// The promise that was broken, and how.
pub async fn simulate(seed: u64, planted: Option<Planted>) -> Result<Simulated, String> {
    Scene::new(seed, planted).play().await.map_err(|why| format!("seed {seed}: {why}"))
}

fn words(error: impl fmt::Display) -> String {
    error.to_string()
}

impl Scene {
    fn new(seed: u64, planted: Option<Planted>) -> Self {
        let mut chance = Chance::new(seed);
        let steps = shape::Shape::draw(&mut chance);
        let weather = Weather::draw(&mut chance, &steps);
        let memory = MemoryStore::new();
        let unknown = chance.once_in(60).then(|| steps.any(&mut chance)).flatten();
        Self {
            steps,
            weather,
            unknown,
            pager: Pager::default(),
            chance,
            planted,
            world: World::new(),
            clock: VirtualClock::new(),
            store: Arc::new(memory.clone()),
            memory,
            backup: None,
            set_back: false,
            processes: Vec::new(),
            missing: Vec::new(),
            cancelled: false,
            rival: None,
            found: Simulated::default(),
        }
    }

    async fn play(mut self) -> Result<Simulated, String> {
        let registry = registry(&self.world, &Faults::none());
        let engine = self.engine(&Faults::none(), registry, Skewed::by_nothing(self.clock))?;
        let order = self.steps.order(&mut self.chance);
        let id = SagaId::from_bytes(u128::from(self.chance.below(u64::MAX)).to_be_bytes());
        engine.start_as(id, order).await.map_err(words)?;
        self.rival(&engine).await?;
        for _ in 0..WORKERS {
            self.begin()?;
        }
        for _ in 0..3 + self.chance.below(12) {
            sleep(Duration::from_micros(self.chance.below(4_000))).await;
            self.happen(&engine, id).await?;
            self.check_locks(&engine, id).await?;
        }
        self.calm().await?;
        let saga = self.settle(&engine, id).await?;
        self.judge(&engine, &saga).await?;
        for process in &mut self.processes {
            process.tasks.abort_all();
        }
        Ok(self.found)
    }

    /// An engine of a process with this life, which knows these steps and has this clock.
    fn engine(
        &self,
        life: &Arc<Faults>,
        registry: Registry,
        clock: Skewed,
    ) -> Result<Engine, String> {
        let registry = crate::builtin::add(registry);
        let store = Faulty::new(Arc::clone(&self.store), Arc::clone(life)).planting(self.planted);
        Engine::with_clock(registry, store, clock).map_err(words)
    }

    /// A process begins to work, and may have a fault of its own ahead of it.
    fn begin(&mut self) -> Result<(), String> {
        let nth = 1 + self.chance.below(60);
        let faults = [
            Fault::DieBefore,
            Fault::DieAfter,
            Fault::LoseAnswer,
            Fault::FailOnce,
            Fault::LandLate,
        ];
        let fault = faults.get(self.chance.index(10)).map(|fault| (*fault, nth));
        let life = Faults::paced(fault, self.chance.below(u64::MAX));
        let clock = self.weather.clock(self.clock, &mut self.chance);
        let known = registry_without(self.unknown, &self.world, &life);
        let engine = self.engine(&life, known, clock)?;
        let pager = self.chance.once_in(2).then(|| self.pager.of(&life));
        let (mut tasks, leave) = (JoinSet::new(), CancellationToken::new());
        let (stop, look) = (leave.clone(), self.weather.look);
        tasks.spawn(async move {
            if let Ok(Enlistment::Working(mut worker)) = engine.enlist().await {
                if let Some(pager) = pager {
                    worker = worker.hook(Arc::new(pager));
                }
                // A store that fails ends the worker; the next one is begun by whoever watches.
                worker.looking(look).run(Until::Stopped, stop).await.ok();
            }
        });
        self.processes.push(Process { life, tasks, leave, stopped: false });
        Ok(())
    }

    /// Something happens: to a process, or because somebody asks for it.
    async fn happen(&mut self, engine: &Engine, id: SagaId) -> Result<(), String> {
        match self.chance.below(12) {
            0 | 1 => self.kill(),
            2 => self.stop(),
            3 => self.go_on(),
            4 | 5 => self.notice().await?,
            6 => self.hand_over(),
            7 => self.back_up_or_set_back(engine).await?,
            _ => self.ask_anything(engine, id).await?,
        }
        self.replace()
    }

    fn kill(&mut self) {
        if self.processes.is_empty() {
            return;
        }
        let at = self.chance.index(self.processes.len());
        self.processes[at].life.die();
    }

    /// A process is asked to leave: it hands over what it has under way.
    fn hand_over(&mut self) {
        let at = self.chance.index(self.processes.len().max(1));
        self.processes.get(at).into_iter().for_each(|process| process.leave.cancel());
    }

    fn stop(&mut self) {
        let at = self.chance.index(self.processes.len().max(1));
        if let Some(process) = self.processes.get_mut(at).filter(|process| !process.stopped) {
            process.life.stop(true);
            process.stopped = true;
            self.found.stopped += 1;
            self.missing.push(Arc::clone(&process.life));
        }
    }

    fn go_on(&mut self) {
        for process in self.processes.iter_mut().filter(|process| process.stopped) {
            process.life.stop(false);
            process.stopped = false;
        }
    }

    /// The others notice who is missing: its runs are there for the next worker.
    async fn notice(&mut self) -> Result<(), String> {
        for life in std::mem::take(&mut self.missing) {
            life.take_for_dead();
            if let Some(worker) = life.worker() {
                self.store.retire(worker).await.map_err(words)?;
            }
        }
        Ok(())
    }

    /// For each process that is dead or at its end another begins.
    fn replace(&mut self) -> Result<(), String> {
        let gone = |process: &mut Process| {
            process.life.died().is_cancelled() || process.tasks.try_join_next().is_some()
        };
        let dead: Vec<Process> = self.processes.extract_if(.., gone).collect();
        for mut process in dead {
            process.life.die();
            process.tasks.abort_all();
            self.missing.push(process.life);
            self.found.died += 1;
            self.begin()?;
        }
        Ok(())
    }

    async fn ask_anything(&mut self, engine: &Engine, id: SagaId) -> Result<(), String> {
        let saga = engine.show_saga(id).await.map_err(words)?;
        let operation = people::anything(&mut self.chance, &saga);
        let operation = self.known_to_a_backup(operation);
        self.ask(engine, id, &operation).await
    }

    /// Somebody asks, and does by hand what he says was done.
    async fn ask(
        &mut self,
        engine: &Engine,
        id: SagaId,
        operation: &Operation,
    ) -> Result<(), String> {
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        match engine.operate(id, operation, &asked).await {
            Ok(changed) => {
                self.found.asked += u32::from(changed);
                self.cancelled |= *operation == Operation::Cancel;
                if let Operation::Resolve { step } = operation {
                    step.parse().ok().into_iter().for_each(|step| self.world.remove(step));
                }
                Ok(())
            }
            Err(crate::Error::Store(error)) => Err(words(error)),
            Err(crate::Error::Damaged { why, .. }) => Err(why),
            Err(_) => Ok(()),
        }
    }

    /// Whoever is missing is noticed; then, others having taken over, whoever was stopped goes on.
    async fn calm(&mut self) -> Result<(), String> {
        self.replace()?;
        self.notice().await?;
        sleep(Duration::from_micros(self.chance.below(20_000))).await;
        self.go_on();
        Ok(())
    }

    /// People settle what needs them, until nothing moves any more.
    async fn settle(&mut self, engine: &Engine, id: SagaId) -> Result<SagaView, String> {
        for round in 0..ROUNDS {
            sleep(self.weather.pause).await;
            if round == 3 && self.unknown.is_some() {
                // So long that they give up waiting for one that knows the step; then all do.
                sleep(2 * WAIT_FOR_CAPABLE).await;
                self.unknown = None;
                self.processes.iter().for_each(|process| process.life.die());
            }
            if round % 10 == 9 && self.rival.is_some() {
                // Whoever died before he woke the next in line leaves him to look by himself.
                sleep(LOOK_AGAIN.0).await;
            }
            self.calm().await?;
            self.check_locks(engine, id).await?;
            let alone = self.rival_is_done(engine).await?;
            let saga = engine.show_saga(id).await.map_err(words)?;
            match people::remedy(&mut self.chance, &saga, round) {
                people::Remedy::Ask(operation) => self.ask(engine, id, &operation).await?,
                people::Remedy::Done if alone => return Ok(saga),
                people::Remedy::Wait | people::Remedy::Done => {}
            }
        }
        let (first, rival) = (self.told(id).await, self.told(self.rival.unwrap_or(id)).await);
        Err(format!("I15: no end\n{first}\n{rival}"))
    }

    /// The list of steps and the ledger, a row a line.
    async fn told(&self, id: SagaId) -> String {
        let Ok(Some(run)) = self.store.load(id).await else { return "no run".to_owned() };
        let row = |row: &Row| {
            let (step, actor) = (row.step_idx, row.actor.as_deref().unwrap_or_default());
            format!("{:3} {} {step:?} {} {actor} {}", row.seq, row.kind, row.fence, row.payload)
        };
        let rows = run.rows.iter().map(row).collect::<Vec<_>>().join("\n");
        format!("{}\n{rows}\n{:?} {:?}", run.spec.steps, run.owner, run.head)
    }

    /// The world holds what the status says, and the oracle finds nothing.
    async fn judge(&mut self, engine: &Engine, saga: &SagaView) -> Result<(), String> {
        let record = Box::new(std::io::Cursor::new(self.world.record().into_bytes()));
        // A store that was set back knows less than the record outside.
        let record = (!self.set_back).then_some(record as _);
        let report: Report = verify(&*self.store, None, record).await.map_err(words)?;
        if !report.is_clean() {
            return Err(format!("{report}\n{}\n{}", self.told(saga.id).await, self.world.record()));
        }
        let mut by: Vec<Option<By>> = vec![None; self.steps.len()];
        // What was done before the store was set back may be gone since.
        let mut is_lasting = !self.set_back;
        for row in engine.ledger(saga.id, 0).await.map_err(words)? {
            let event = row.event().map_err(words)?;
            is_lasting |= event == Event::Restored;
            if let Event::StepCompleted { step, by: who, .. } = &event
                && is_lasting
            {
                by[*step] = Some(*who);
            }

            self.found.covered.insert(name_of(&event));
            self.found.rows.push(format!("{} {} {event:?}", row.at, row.fence));
        }
        if saga.status == Status::Completed && self.cancelled {
            return Err("I14: an accepted cancel ended completed".to_owned());
        }
        let residue: Vec<StepIdx> = saga.residue.iter().map(|left| left.step_idx).collect();
        let left = self.world.left();
        let stays = |idx: &StepIdx| self.steps.stays(*idx) || residue.contains(idx);
        let made = |idx: &StepIdx| matches!(by[*idx], Some(By::Execute | By::Probe));
        let holds = match saga.status {
            Status::Completed => (0..self.steps.len())
                .filter(|idx| self.steps.makes(*idx) && made(idx))
                .all(|idx| left.contains(&idx)),
            _ => self.world.left_and_told().iter().all(stays),
        };
        if !holds {
            let status = saga.status.name();
            let told = self.told(saga.id).await;
            return Err(format!("{status}: {left:?} is left, residue {residue:?}\n{told}"));
        }
        let late = saga.status != Status::Completed && !left.iter().all(stays);
        self.found.late += u32::from(late);
        if late && !self.set_back && report.late.is_empty() {
            let told = self.told(saga.id).await;
            return Err(format!("{left:?} is left, and nothing named as late\n{told}"));
        }
        self.found.days_off = self.weather.days_off;
        self.found.status = Some(saga.status);
        Ok(())
    }
}

/// The event's kind, and its form where it has several.
fn name_of(event: &Event) -> String {
    let short = |text: String| text.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
    let form = match event {
        Event::StepCompleted { by, .. } => format!("{by:?}"),
        Event::StepFailed { effect, then, .. } => {
            format!("{effect:?} {}", short(format!("{then:?}")))
        }
        Event::StepWaits { wait, .. } => short(format!("{wait:?}")),
        Event::StepProbed { finding, .. } => short(format!("{finding:?}")),
        Event::UndoFailed { then, .. } => short(format!("{then:?}")),
        Event::Parked { reason } | Event::StepParked { reason, .. } => reason.to_string(),
        Event::UndoProbed { found, .. } => format!("found {}", found.is_some()),
        Event::HookDelivered { parked, .. } => format!("parked {}", parked.is_some()),
        Event::Resumed { set } => format!("edited {}", set.is_some()),
        _ => String::new(),
    };
    format!("{} {form}", event.kind()).trim_end().to_owned()
}
