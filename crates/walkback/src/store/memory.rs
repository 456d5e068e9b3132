//! Runs in memory: for tests, and for work that need not outlive its process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::desired::{Observed, Provisioned, Resource, Survey};
use crate::id::{ClaimId, SagaId};
use crate::ledger::Row;
use crate::machine::Status;
use crate::store::{
    Answer, Appended, Booking, Bucket, Claim, Claimed, Coordination, Enlisted, Filter, Finding,
    Head, Holder, Needs, NewRun, News, Party, Records, Runs, Started, StoreError, StoredRun,
    Tombstone, Transition, Turn, Upkeep, Wanted, WorkerId, WorkerInfo, WorkerSeen, serves,
};
use crate::time::Timestamp;

mod locks;
mod records;

use locks::KeptLocks;
use records::CloudRecords;

/// A store without any durability.
///
/// ```
/// let store = walkback::store::MemoryStore::new();
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Kept>>);

#[derive(Clone, Debug, Default)]
struct Kept {
    runs: BTreeMap<SagaId, KeptRun>,
    keys: HashMap<String, SagaId>,
    records: CloudRecords,
    locks: KeptLocks,
    budgets: HashMap<String, Bucket>,
    tombstones: HashMap<SagaId, Tombstone>,
    /// Who works here: any number, as every claim is fenced.
    workers: Vec<(WorkerId, WorkerInfo)>,
}

/// What errors call it.
const PLACE: &str = "memory";

#[derive(Clone, Debug)]
struct KeptRun {
    run: StoredRun,
    owner: Option<WorkerId>,
    fence: u64,
    orphaned: bool,
    nudged: bool,
    /// What it waits for may be free.
    woken: bool,
    needs: Needs,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it holds now, as a store of its own.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn backup(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Holds from now on what `backup` holds.
    #[cfg(any(test, feature = "testing"))]
    pub fn set_back(&self, backup: &Self) {
        let held = backup.lock().clone();
        *self.lock() = held;
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer<T: Send + 'static>(&self, with: impl FnOnce(&mut Kept) -> T) -> Answer<'static, T> {
        let answer = with(&mut self.lock());
        Box::pin(std::future::ready(Ok(answer)))
    }
}

impl KeptRun {
    fn claim_for(&mut self, worker: WorkerId, id: ClaimId) -> Claim {
        self.fence += 1;
        self.owner = Some(worker);
        self.woken = false;
        self.run.owner = Some(id);
        Claim::new(self.run.spec.id, id, self.fence, 0)
    }

    fn disown(&mut self) {
        self.nudged = false;
        self.owner = None;
        self.run.owner = None;
    }

    /// Whether such a worker may take it.
    fn is_wanted(&self, wanted: &Wanted) -> bool {
        serves(&wanted.queues, &self.run.spec.queue) && !wanted.cannot.contains(&self.needs)
    }

    fn due(&self) -> Option<Timestamp> {
        let due = if self.orphaned || self.woken {
            Some(Timestamp::default())
        } else {
            self.run.head.wake_at
        };
        due.filter(|_| self.owner.is_none())
    }
}

impl Kept {
    fn works(&self, worker: WorkerId) -> bool {
        self.workers.iter().any(|(known, _)| *known == worker)
    }

    fn start(
        &mut self,
        new: NewRun,
        owner: Option<(WorkerId, ClaimId)>,
    ) -> Result<Started, StoreError> {
        let id = new.spec.id;
        if let Some(known) = new.spec.key.as_ref().and_then(|key| self.keys.get(key)) {
            return Ok(Started::Exists(Box::new(self.runs[known].run.spec.clone())));
        }
        if owner.is_some_and(|(worker, _)| !self.works(worker)) {
            return Ok(Started::NotEnlisted);
        }
        if self.runs.contains_key(&id) {
            let why = format!("saga {id} is there already");
            return Err(StoreError::Failed { place: PLACE.to_owned(), why });
        }
        if let Some(key) = &new.spec.key {
            self.keys.insert(key.clone(), id);
        }
        let run = StoredRun { spec: new.spec, head: new.head, rows: new.rows, owner: None };
        let (owned_by, fence, needs) = (None, 0, new.needs);
        let (orphaned, nudged, woken) = (false, false, false);
        let mut run = KeptRun { run, owner: owned_by, fence, orphaned, nudged, woken, needs };
        let claim = owner.map(|(worker, id)| run.claim_for(worker, id));
        self.runs.insert(id, run);
        Ok(Started::Created(claim))
    }

    fn append(&mut self, id: SagaId, claim: Option<&Claim>, transition: Transition) -> Appended {
        if !self.locks.fits(&self.runs, id, &transition.locks) {
            return Appended::Refused;
        }
        let Some(kept) = self.runs.get_mut(&id) else { return Appended::Refused };
        let ours = claim.is_none_or(|claim| {
            kept.run.owner == Some(claim.id) && kept.fence == claim.fence && kept.owner.is_some()
        });
        if !ours || kept.run.head.len != transition.expected_len {
            return Appended::Refused;
        }
        if !self.records.take(&transition.records) {
            return Appended::Refused;
        }
        if transition.sole_owner && self.records.forbid_rollback(id) {
            return Appended::Refused;
        }
        let was_nudged =
            std::mem::replace(&mut kept.nudged, claim.is_none() && kept.owner.is_some());
        kept.run.rows.extend(transition.rows);
        kept.run.head = transition.head;
        kept.woken = transition.release && was_nudged && kept.run.head.wake_at.is_some();
        if transition.release {
            kept.disown();
            kept.orphaned |= transition.orphan;
        }
        self.locks.change(id, transition.locks);
        transition.records.into_iter().for_each(|change| self.records.change(id, change));
        Appended::Applied
    }

    /// Whether nobody needs the run any more.
    fn prunable(&self, kept: &KeptRun) -> bool {
        let (id, status) = (kept.run.spec.id, kept.run.head.status);
        matches!(status, Status::Completed | Status::RolledBack)
            && kept.owner.is_none()
            && self.records.owners(id).next().is_none()
    }

    fn prune(&mut self, stone: Tombstone) -> Appended {
        let as_stone = |kept: &KeptRun| {
            let head = &kept.run.head;
            head.hash == stone.hash && self.prunable(kept)
        };
        if !self.runs.get(&stone.id).is_some_and(as_stone) {
            return Appended::Refused;
        }
        self.runs.remove(&stone.id);
        self.keys.retain(|_, id| *id != stone.id);
        self.records.forget(stone.id);
        self.locks.forget(stone.id);
        self.tombstones.insert(stone.id, stone);
        Appended::Applied
    }
}

/// What is due, by priority and then in turns: from the party behind `after` on and round about, each with an
/// equal share of so many places.
fn in_turns(
    due: Vec<(Timestamp, &mut KeptRun)>,
    after: Party,
    places: usize,
) -> Vec<(Timestamp, &mut KeptRun)> {
    let mut turns = BTreeMap::new();
    for (at, kept) in due {
        let (priority, party) = (kept.run.spec.priority, Party::of(&kept.run.spec));
        let round: &mut BTreeMap<_, Vec<_>> = turns.entry(std::cmp::Reverse(priority)).or_default();
        round.entry((party <= after, party)).or_default().push((at, kept));
    }
    let mut all = Vec::new();
    for round in turns.into_values() {
        let share = places.div_ceil(round.len().min(places).max(1));
        all.extend(round.into_values().take(places).flat_map(|its| its.into_iter().take(share)));
    }
    all
}

fn fits(run: &StoredRun, filter: &Filter) -> bool {
    (filter.statuses.is_empty() || filter.statuses.contains(&run.head.status))
        && filter.kind.as_deref().is_none_or(|kind| kind == &*run.spec.kind)
        && filter.labels.iter().all(|(name, value)| run.spec.labels.get(name) == Some(value))
        && filter.parked.as_ref().is_none_or(|why| run.head.parked.as_ref() == Some(why))
        && (!filter.attention || run.head.attention)
        && filter.after.is_none_or(|after| run.spec.id < after)
}

impl Runs for MemoryStore {
    fn start(&self, new: NewRun, owner: Option<(WorkerId, ClaimId)>) -> Answer<'_, Started> {
        let started = self.lock().start(new, owner);
        Box::pin(std::future::ready(started))
    }

    fn append<'a>(&'a self, claim: &'a Claim, transition: Transition) -> Answer<'a, Appended> {
        self.answer(|kept| kept.append(claim.saga, Some(claim), transition))
    }

    fn append_unclaimed(&self, id: SagaId, transition: Transition) -> Answer<'_, Appended> {
        self.answer(|kept| kept.append(id, None, transition))
    }

    fn load(&self, id: SagaId) -> Answer<'_, Option<StoredRun>> {
        self.answer(|kept| kept.runs.get(&id).map(|kept| kept.run.clone()))
    }

    fn head(&self, id: SagaId) -> Answer<'_, Option<Head>> {
        self.answer(|kept| kept.runs.get(&id).map(|kept| kept.run.head.clone()))
    }

    fn rows(&self, id: SagaId, from: u64) -> Answer<'_, Vec<Row>> {
        self.answer(|kept| {
            let rows = kept.runs.get(&id).map(|kept| kept.run.rows.as_slice()).unwrap_or_default();
            rows.iter().filter(|row| row.seq >= from).cloned().collect()
        })
    }

    fn list(&self, filter: Filter) -> Answer<'_, Vec<SagaId>> {
        self.answer(|kept| {
            let newest_first = kept.runs.iter().rev();
            let fitting = newest_first.filter(|(_, run)| {
                let ended = run.run.head.finished_at;
                let old = |before| ended.is_some_and(|at| at < before) && kept.prunable(run);
                fits(&run.run, &filter) && filter.prunable_before.is_none_or(old)
            });
            fitting.map(|(id, _)| *id).take(filter.limit).collect()
        })
    }

    fn scan(&self, after: Option<SagaId>, limit: usize) -> Answer<'_, Vec<StoredRun>> {
        self.answer(|kept| {
            let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
            let runs = kept.runs.range((from, std::ops::Bound::Unbounded));
            runs.take(limit).map(|(_, kept)| kept.run.clone()).collect()
        })
    }
}

impl Coordination for MemoryStore {
    fn enlist(&self, worker: &WorkerInfo) -> Answer<'_, Enlisted> {
        let (worker, info) = (worker.id.unwrap_or(WorkerId(0)), worker.clone());
        self.answer(move |kept| {
            if !kept.works(worker) {
                kept.workers.push((worker, info));
            }
            Enlisted::Working
        })
    }

    fn retire(&self, worker: WorkerId) -> Answer<'_, ()> {
        self.answer(|kept| {
            kept.workers.retain(|(other, _)| *other != worker);
            for run in kept.runs.values_mut().filter(|run| run.owner == Some(worker)) {
                run.disown();
                run.orphaned = true;
            }
        })
    }

    fn claim(&self, wanted: Wanted) -> Answer<'_, Vec<Claimed>> {
        if !self.lock().works(wanted.worker) {
            let place = PLACE.to_owned();
            return Box::pin(std::future::ready(Err(StoreError::NotEnlisted { place })));
        }
        self.answer(|kept| {
            let mut due: Vec<_> = kept
                .runs
                .values_mut()
                .filter(|kept| kept.is_wanted(&wanted))
                .filter_map(|kept| Some((kept.due().filter(|due| *due <= wanted.now)?, kept)))
                .collect();
            due.sort_by_key(|(due, kept)| (std::cmp::Reverse(kept.run.spec.priority), *due));
            if let Some(after) = wanted.turns_after {
                due = in_turns(due, after, wanted.limit);
            }
            due.truncate(wanted.limit);
            let claimed = due.into_iter().map(|(_, kept)| {
                let orphaned = std::mem::take(&mut kept.orphaned);
                let claim = kept.claim_for(wanted.worker, ClaimId::random());
                Claimed { claim, run: kept.run.clone(), orphaned }
            });
            claimed.collect()
        })
    }

    fn news(&self, wanted: Wanted) -> Answer<'_, News> {
        self.answer(|kept| {
            let (worker, mut nudged) = (Some(wanted.worker), Vec::new());
            for (id, run) in &mut kept.runs {
                if run.owner == worker && std::mem::take(&mut run.nudged) {
                    nudged.push(*id);
                }
            }
            let free = kept.runs.values().filter(|kept| kept.is_wanted(&wanted));
            News {
                nudged,
                next_due: free.filter_map(KeptRun::due).min(),
                next_call: kept.runs.values().filter_map(|kept| kept.run.head.call_at).min(),
                others_work: kept
                    .runs
                    .values()
                    .any(|run| run.owner.is_some() && run.owner != worker),
                was_away: false,
            }
        })
    }

    fn owned(&self, worker: WorkerId) -> Answer<'_, Vec<(SagaId, ClaimId)>> {
        self.answer(|kept| {
            let owned = kept.runs.iter().filter(|(_, kept)| kept.owner == Some(worker));
            owned.filter_map(|(id, kept)| Some((*id, kept.run.owner?))).collect()
        })
    }

    fn holders(&self, keys: Vec<String>) -> Answer<'_, Vec<Holder>> {
        self.answer(|kept| kept.locks.all_holders(&kept.runs, &keys))
    }

    fn let_go(&self, saga: SagaId) -> Answer<'_, ()> {
        self.answer(|kept| {
            for next in kept.locks.let_go(&kept.runs, saga) {
                if let Some(run) = kept.runs.get_mut(&next) {
                    (run.woken, run.nudged) = (run.owner.is_none(), run.owner.is_some());
                }
            }
        })
    }

    fn book(&self, booking: Booking) -> Answer<'_, Turn> {
        self.answer(move |kept| {
            let now = booking.now;
            let bucket =
                kept.budgets.entry(booking.key.clone()).or_insert_with(|| booking.full(now));
            let (left, turn) = booking.book(*bucket, now);
            *bucket = left;
            turn
        })
    }

    fn calls(&self, limit: usize) -> Answer<'_, Vec<(SagaId, Timestamp)>> {
        self.answer(|kept| {
            let calls =
                kept.runs.iter().filter_map(|(id, kept)| Some((*id, kept.run.head.call_at?)));
            let mut calls: Vec<_> = calls.collect();
            calls.sort_by_key(|(_, at)| *at);
            calls.truncate(limit);
            calls
        })
    }

    fn workers(&self) -> Answer<'_, Vec<WorkerSeen>> {
        self.answer(|kept| {
            let seen = kept.workers.iter().map(|(id, info)| {
                let runs = kept.runs.values().filter(|run| run.owner == Some(*id)).count() as u64;
                WorkerSeen { info: info.clone(), seen_at: info.since, runs, silent: false }
            });
            seen.collect()
        })
    }
}

impl Upkeep for MemoryStore {
    fn examine(&self) -> Answer<'_, Vec<Finding>> {
        self.answer(|_| vec![Finding::good("engine", "memory; it is gone with its process")])
    }

    fn archive(&self, ids: Vec<SagaId>) -> Answer<'_, Vec<(StoredRun, Vec<Provisioned>)>> {
        self.answer(|kept| {
            let everything = |id: &SagaId| {
                let run = kept.runs.get(id)?.run.clone();
                Some((run, kept.records.provisioned(Some(*id))))
            };
            ids.iter().filter_map(everything).collect()
        })
    }

    fn prune(&self, stone: Tombstone) -> Answer<'_, Appended> {
        self.answer(|kept| kept.prune(stone))
    }

    fn tombstone(&self, id: SagaId) -> Answer<'_, Option<Tombstone>> {
        self.answer(|kept| kept.tombstones.get(&id).cloned())
    }
}

impl Records for MemoryStore {
    fn provisioned(&self, saga: Option<SagaId>) -> Answer<'_, Vec<Provisioned>> {
        self.answer(|kept| kept.records.provisioned(saga))
    }

    fn owners(&self, saga: SagaId) -> Answer<'_, Vec<Provisioned>> {
        self.answer(|kept| {
            let records = &kept.records;
            records.owners(saga).map(|row| records.shown(row)).collect()
        })
    }

    fn observe(&self, survey: Survey) -> Answer<'_, Observed> {
        self.answer(|kept| kept.records.observe(survey))
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        self.answer(|kept| kept.records.resources())
    }
}
