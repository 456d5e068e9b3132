//! T3: two stores are told the same, at random, and answer the same.

use std::fmt::Debug;
use std::sync::Arc;

use crate::id::{ClaimId, SagaId};
use crate::machine::{Event, Lock, Status};
use crate::run::Run;
use crate::store::{
    Appended, Claim, Claimed, Filter, Locks, News, Spec, Started, Store, StoreError, Transition,
    Wanted,
};
use crate::testing::chance::Chance;
use crate::testing::conformance::maker::{
    WORKER, accepted, at, begin, done, enlist, spec, transition, waking, wanted,
};
use crate::testing::conformance::prune::stone;
use crate::time::Timestamp;

mod records;

/// Calls of one comparison.
const CALLS: u64 = 60;

/// A run as both stores have it.
struct Both {
    run: Run,
    /// The newest claims that each store gave.
    claims: Option<(Claim, Claim)>,
}

/// Two stores, and what they were told.
struct Pair {
    stores: (Arc<dyn Store>, Arc<dyn Store>),
    chance: Chance,
    runs: Vec<Both>,
    /// Runs that were ever made.
    made: i32,
}

/// Tells both stores the same, as the seed says.
///
/// # Errors
/// The call to which they answered differently, and how.
pub async fn agree(seed: u64, one: Arc<dyn Store>, other: Arc<dyn Store>) -> Result<(), String> {
    enlist(&*one, WORKER).await;
    enlist(&*other, WORKER).await;
    let mut pair =
        Pair { stores: (one, other), chance: Chance::new(seed), runs: Vec::new(), made: 0 };
    for nth in 0..CALLS {
        pair.call().await.map_err(|why| format!("seed {seed}, call {nth}: {why}"))?;
    }
    Ok(())
}

/// What both said, if it is the same.
fn same<T: PartialEq + Debug>(
    call: &str,
    one: Result<T, StoreError>,
    other: Result<T, StoreError>,
) -> Result<T, String> {
    match (one, other) {
        (Ok(one), Ok(other)) if one == other => Ok(one),
        (one, other) => Err(format!("{call}: {one:?}\nand {other:?}")),
    }
}

impl Pair {
    async fn call(&mut self) -> Result<(), String> {
        match self.chance.below(15) {
            0 | 1 => self.start().await,
            2 | 3 => self.claim().await,
            4 | 5 => self.append().await,
            6 => self.append_outside().await,
            7 => self.leave().await,
            8 => self.list().await,
            9 => self.news(wanted(&[], at(0), 0)).await,
            10 => self.prune().await,
            11 => self.survey().await,
            12 => self.let_go().await,
            _ => self.look().await,
        }
    }

    async fn start(&mut self) -> Result<(), String> {
        let key = self.chance.once_in(3).then(|| self.chance.below(4).to_string());
        let label = ("tenant".to_owned(), self.chance.of(&["a", "b"]).to_owned());
        let own = Spec {
            key,
            kind: self.chance.of(&["site", "order"]).into(),
            queue: self.chance.of(&["default", "mail"]).into(),
            // No two are due alike: which of those comes first is not promised.
            priority: self.made,
            labels: [label].into(),
            ..spec()
        };
        let mut made = accepted(own);
        if self.chance.once_in(3) {
            made = waking(made, Some(at(5_000)));
        }
        let owner = self.chance.once_in(3).then(|| (WORKER, ClaimId::random()));
        let one = self.stores.0.start(made.new.clone(), owner).await;
        let other = self.stores.1.start(made.new.clone(), owner).await;
        let claims = match (one, other) {
            (Ok(Started::Created(Some(one))), Ok(Started::Created(Some(other)))) => {
                Some((one, other))
            }
            (Ok(Started::Created(None)), Ok(Started::Created(None))) => None,
            (Ok(Started::Exists(one)), Ok(Started::Exists(other))) if one == other => return Ok(()),
            (Ok(Started::NotEnlisted), Ok(Started::NotEnlisted)) => return Ok(()),
            (one, other) => return Err(format!("start: {one:?}\nand {other:?}")),
        };
        self.made += 1;
        self.runs.push(Both { run: made.run, claims });
        Ok(())
    }

    async fn claim(&mut self) -> Result<(), String> {
        let queues: &[&str] = if self.chance.once_in(3) { &["mail"] } else { &[] };
        let limit = self.chance.index(6);
        let now = at(self.chance.of(&[1_000, 9_000]));
        let mut wanted = wanted(queues, now, limit);
        if self.chance.once_in(4) {
            // Every run here needs the same.
            wanted.cannot = Arc::new([accepted(spec()).new.needs]);
        }
        let one = self.stores.0.claim(wanted.clone()).await.map_err(|error| error.to_string())?;
        let again = wanted.clone();
        let other = self.stores.1.claim(again).await.map_err(|error| error.to_string())?;
        let short = |claimed: &[Claimed]| -> Vec<(SagaId, u64, bool)> {
            let of = |one: &Claimed| (one.claim.saga(), one.claim.fence(), one.orphaned);
            claimed.iter().map(of).collect()
        };
        same("claim", Ok(short(&one)), Ok(short(&other)))?;
        for (one, other) in one.into_iter().zip(other) {
            let id = one.claim.saga();
            same(
                "claimed run",
                Ok((one.run.head, one.run.rows)),
                Ok((other.run.head, other.run.rows)),
            )?;
            if let Some(both) = self.runs.iter_mut().find(|both| both.run.spec.id == id) {
                both.claims = Some((one.claim, other.claim));
            }
        }
        self.news(wanted).await
    }

    /// Something that may happen to the run next, or nothing.
    fn events(&mut self, at: usize) -> Vec<Event> {
        let state = &self.runs[at].run.state;
        let next = state.steps().iter().position(|step| !step.passed()).unwrap_or_default();
        let begun = state.steps()[next].begun();
        match (state.status(), self.chance.below(4)) {
            (_, 0) => Vec::new(),
            (Status::Pending | Status::Running, _) if begun => vec![done(next, r#"{"a": 1}"#)],
            (Status::Pending | Status::Running, _) => vec![begin(next)],
            _ => Vec::new(),
        }
    }

    async fn append(&mut self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let at = self.chance.index(self.runs.len());
        let events = self.events(at);
        let Some((one, other)) = self.runs[at].claims.clone() else { return Ok(()) };
        let mut run = self.runs[at].run.clone();
        let mut next = transition(&mut run, &events, None);
        next.release = self.chance.once_in(3);
        let sagas: Vec<SagaId> = self.runs.iter().map(|both| both.run.spec.id).collect();
        next.records = records::changes(&mut self.chance, &sagas);
        if self.chance.once_in(3) {
            next.locks = self.locks();
        }
        if self.chance.once_in(4) {
            next.expected_len += 1;
        }
        let appended = self.stores.0.append(&one, next.clone()).await;
        let appended = same("append", appended, self.stores.1.append(&other, next).await)?;
        if appended == Appended::Applied {
            self.runs[at].run = run;
        }
        Ok(())
    }

    /// Something to take or to wait for.
    fn locks(&mut self) -> Locks {
        let at_most = self.chance.once_in(3).then_some(2);
        let lock = Lock { key: self.chance.of(&["x", "y"]).to_owned(), at_most };
        if self.chance.once_in(3) {
            return Locks { wait_for: vec![lock], ..Locks::default() };
        }
        Locks { take: vec![lock], ..Locks::default() }
    }

    /// A run lets go of what it does not hold any more; who holds what is the same then.
    async fn let_go(&mut self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let id = self.runs[self.chance.index(self.runs.len())].run.spec.id;
        same("let_go", self.stores.0.let_go(id).await, self.stores.1.let_go(id).await)?;
        let keys = || vec!["y".to_owned(), "x".to_owned()];
        let one = self.stores.0.holders(keys()).await;
        same("holders", one, self.stores.1.holders(keys()).await).map(drop)
    }

    async fn survey(&mut self) -> Result<(), String> {
        let survey = records::survey(&mut self.chance);
        let one = self.stores.0.observe(survey.clone()).await;
        same("observe", one, self.stores.1.observe(survey).await)?;
        let one = self.stores.0.resources().await;
        same("resources", one, self.stores.1.resources().await)?;
        let one = self.stores.0.provisioned(None).await;
        same("provisioned", one, self.stores.1.provisioned(None).await).map(drop)
    }

    async fn append_outside(&mut self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let at = self.chance.index(self.runs.len());
        let mut run = self.runs[at].run.clone();
        let pausable = matches!(run.state.status(), Status::Pending | Status::Running)
            && run.state.permits(&crate::machine::Request::Pause) == crate::machine::Verdict::Fits;
        let event = if pausable { vec![Event::PauseRequested] } else { Vec::new() };
        let mut next: Transition = transition(&mut run, &event, None);
        if self.chance.once_in(4) {
            next.expected_len += 1;
        }
        let id = run.spec.id;
        let appended = self.stores.0.append_unclaimed(id, next.clone()).await;
        let appended =
            same("append_unclaimed", appended, self.stores.1.append_unclaimed(id, next).await)?;
        if appended == Appended::Applied {
            self.runs[at].run = run;
        }
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), String> {
        same("retire", self.stores.0.retire(WORKER).await, self.stores.1.retire(WORKER).await)?;
        enlist(&*self.stores.0, WORKER).await;
        enlist(&*self.stores.1, WORKER).await;
        Ok(())
    }

    async fn list(&mut self) -> Result<(), String> {
        let filter = Filter {
            statuses: match self.chance.below(3) {
                0 => vec![Status::Parked, Status::Running],
                _ => Vec::new(),
            },
            kind: self.chance.once_in(3).then(|| "site".to_owned()),
            labels: match self.chance.below(3) {
                0 => vec![("tenant".to_owned(), "a".to_owned())],
                _ => Vec::new(),
            },
            parked: self.chance.once_in(5).then(|| "paused".to_owned()),
            attention: self.chance.once_in(5),
            prunable_before: self.chance.once_in(5).then(|| at(9_000)),
            after: None,
            limit: self.chance.index(9),
        };
        let one = self.stores.0.list(filter.clone()).await;
        same("list", one, self.stores.1.list(filter).await).map(drop)
    }

    /// A run is pruned that may go, or one that may not.
    async fn prune(&mut self) -> Result<(), String> {
        if self.runs.is_empty() {
            return Ok(());
        }
        let at = self.chance.index(self.runs.len());
        let mut stone = stone(&self.runs[at].run);
        stone.len += u64::from(self.chance.once_in(4));
        let one = self.stores.0.prune(stone.clone()).await;
        let pruned = same("prune", one, self.stores.1.prune(stone.clone()).await)?;
        let one = self.stores.0.tombstone(stone.id).await;
        same("tombstone", one, self.stores.1.tombstone(stone.id).await)?;
        if pruned == Appended::Applied {
            self.runs.swap_remove(at);
        }
        let calls = self.stores.0.calls(9).await;
        let sorted = |calls: Result<Vec<(SagaId, Timestamp)>, StoreError>| {
            calls.map(|mut calls| {
                calls.sort_unstable();
                calls
            })
        };
        same("calls", sorted(calls), sorted(self.stores.1.calls(9).await)).map(drop)
    }

    /// What concerns the worker.
    async fn news(&mut self, wanted: Wanted) -> Result<(), String> {
        let plain = |news: Result<News, StoreError>| {
            news.map(|mut news| {
                news.nudged.sort_unstable();
                news
            })
        };
        let one = plain(self.stores.0.news(wanted.clone()).await);
        same("news", one, plain(self.stores.1.news(wanted).await)).map(drop)
    }

    /// Everything that is stored, who owns what included.
    async fn look(&mut self) -> Result<(), String> {
        let one = self.stores.0.scan(None, usize::MAX).await;
        let other = self.stores.1.scan(None, usize::MAX).await;
        let plain = |runs: Vec<crate::store::StoredRun>| {
            let of =
                |run: crate::store::StoredRun| (run.spec, run.head, run.rows, run.owner.is_some());
            runs.into_iter().map(of).collect::<Vec<_>>()
        };
        let runs = same("scan", one.map(plain), other.map(plain))?;
        for (spec, head, rows, _) in runs {
            let known = self.runs.iter().find(|both| both.run.spec.id == spec.id);
            let Some(known) = known else { return Err(format!("{} is there by itself", spec.id)) };
            let len = rows.len() as u64;
            if (head.len, len) != (known.run.tip.len, known.run.tip.len) {
                return Err(format!("{} has {len} rows, head {}", spec.id, head.len));
            }
        }
        Ok(())
    }
}
