//! Runs and transitions to try stores with; what they must come to is asked of them, too.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::{ClaimId, SagaId};
use crate::json::Json;
use crate::ledger::Writer;
use crate::machine::{By, Event};
use crate::plan::Plan;
use crate::run::Run;
use crate::store::{
    Appended, Claim, Claimed, Enlisted, Needs, NewRun, News, Spec, Started, Store, StoreError,
    StoredRun, Transition, Wanted, WorkerId, WorkerInfo,
};
use crate::time::Timestamp;

/// The steps of every run here.
pub(in crate::testing) const STEPS: &str = r#"["echo","echo"]"#;
/// The worker that most cases enlist.
pub(in crate::testing) const WORKER: WorkerId = WorkerId(7);

pub(in crate::testing) fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

#[expect(clippy::panic, reason = "testing code reports by panic")]
pub(in crate::testing) fn must<T>(answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| panic!("the store failed: {error}"))
}

#[expect(clippy::panic, reason = "testing code reports by panic")]
pub(in crate::testing) fn some<T>(found: Option<T>) -> T {
    found.unwrap_or_else(|| panic!("the store has nothing where something is expected"))
}

#[expect(clippy::panic, reason = "testing code reports by panic")]
pub(in crate::testing) fn json(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// What a run is started with, to be changed by the case.
pub(in crate::testing) fn spec() -> Spec {
    Spec {
        id: SagaId::new(),
        kind: "kind".into(),
        steps: STEPS.into(),
        inputs: Json::empty_object(),
        key: None,
        labels: BTreeMap::new(),
        queue: "default".into(),
        priority: 0,
        deadline: None,
        created_at: at(1_000),
    }
}

pub(in crate::testing) fn keyed(key: &str) -> Spec {
    Spec { key: Some(key.to_owned()), ..spec() }
}

/// A run that follows what it writes.
#[derive(Clone)]
pub(in crate::testing) struct Made {
    pub(in crate::testing) run: Run,
    pub(in crate::testing) new: NewRun,
}

pub(in crate::testing) fn accepted(spec: Spec) -> Made {
    #[expect(clippy::expect_used, reason = "testing code reports by panic")]
    let plan = Arc::new(Plan::parse(&spec.steps).expect("steps"));
    let mut run = Run::new(spec.clone(), plan);
    let rows = vec![record(&mut run, &Event::Accepted, None)];
    let head = run.head();
    let needs = Needs::of(run.state.plan());
    Made { run, new: NewRun { spec, rows, head, needs } }
}

#[expect(clippy::expect_used, reason = "testing code reports by panic")]
fn record(run: &mut Run, event: &Event, claim: Option<&Claim>) -> crate::ledger::Row {
    let (claim, fence) = claim.map_or((ClaimId::NONE, 0), |claim| (claim.id(), claim.fence()));
    let writer = Writer { claim, fence, at: at(2_000), actor: None, remark: None };
    run.record(event, &writer).expect("a legal event")
}

/// The transition by which these events happen; `run` then stands after them.
pub(in crate::testing) fn transition(
    run: &mut Run,
    events: &[Event],
    claim: Option<&Claim>,
) -> Transition {
    let expected_len = run.tip.len;
    let rows = events.iter().map(|event| record(run, event, claim)).collect();
    Transition::new(expected_len, rows, run.head(), Vec::new())
}

pub(in crate::testing) fn begin(step: usize) -> Event {
    Event::StepStarted { step, attempt: 1 }
}

pub(in crate::testing) fn done(step: usize, output: &str) -> Event {
    Event::StepCompleted { step, output: json(output), by: By::Execute }
}

/// Starts a run that nobody owns.
pub(in crate::testing) async fn started(store: &dyn Store, spec: Spec) -> Made {
    let made = accepted(spec);
    assert!(matches!(must(store.start(made.new.clone(), None).await), Started::Created(None)));
    made
}

/// Starts a run that the worker owns; it is enlisted if it is not yet.
#[expect(clippy::panic, reason = "testing code reports by panic")]
pub(in crate::testing) async fn owned(store: &dyn Store, spec: Spec) -> (Made, Claim) {
    enlisted(store, WORKER).await;
    let made = accepted(spec);
    match must(store.start(made.new.clone(), Some((WORKER, ClaimId::random()))).await) {
        Started::Created(Some(claim)) => (made, claim),
        other => panic!("expected a claim: {other:?}"),
    }
}

pub(in crate::testing) async fn enlist(store: &dyn Store, worker: WorkerId) {
    assert!(matches!(enlisted(store, worker).await, Enlisted::Working));
}

pub(in crate::testing) async fn enlisted(store: &dyn Store, worker: WorkerId) -> Enlisted {
    let (id, host) = (Some(worker), "here".to_owned());
    let (steps, queues) = (vec!["echo".to_owned()], vec!["mail".to_owned()]);
    let info = WorkerInfo { id, pid: 42, host, steps, queues, ..WorkerInfo::default() };
    must(store.enlist(&info).await)
}

/// What the worker can claim at this moment, from all queues.
pub(in crate::testing) async fn claim_at(
    store: &dyn Store,
    now: Timestamp,
    limit: usize,
) -> Vec<Claimed> {
    claim_from(store, &[], now, limit).await
}

pub(in crate::testing) async fn claim_from(
    store: &dyn Store,
    queues: &[&str],
    now: Timestamp,
    limit: usize,
) -> Vec<Claimed> {
    must(store.claim(wanted(queues, now, limit)).await)
}

pub(in crate::testing) fn wanted(queues: &[&str], now: Timestamp, limit: usize) -> Wanted {
    let queues = queues.iter().map(|queue| (*queue).to_owned()).collect();
    Wanted { worker: WORKER, queues, cannot: Arc::new([]), limit, turns_after: None, now }
}

/// What others have done that concerns this worker.
pub(in crate::testing) async fn news_of(store: &dyn Store, worker: WorkerId) -> News {
    must(store.news(Wanted { worker, ..wanted(&[], at(0), 0) }).await)
}

pub(in crate::testing) async fn load(store: &dyn Store, id: SagaId) -> StoredRun {
    some(must(store.load(id).await))
}

/// Ids of claimed runs, as they came.
pub(in crate::testing) fn ids(claimed: &[Claimed]) -> Vec<SagaId> {
    claimed.iter().map(|claimed| claimed.claim.saga()).collect()
}

pub(in crate::testing) async fn applied(store: &dyn Store, claim: &Claim, transition: Transition) {
    assert_eq!(must(store.append(claim, transition).await), Appended::Applied);
}

pub(in crate::testing) async fn refused(store: &dyn Store, claim: &Claim, transition: Transition) {
    assert_eq!(must(store.append(claim, transition).await), Appended::Refused);
}

/// Changes when the run has to be looked at.
pub(in crate::testing) fn waking(mut made: Made, wake_at: Option<Timestamp>) -> Made {
    made.new.head.wake_at = wake_at;
    made
}

pub(in crate::testing) async fn start_as(store: &dyn Store, made: &Made) {
    assert!(matches!(must(store.start(made.new.clone(), None).await), Started::Created(None)));
}
