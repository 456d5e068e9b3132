//! A store that only shows what it was given, and the making of runs that never were.

use std::sync::Arc;

use crate::desired::{Observed, Provisioned, Resource, Survey};
use crate::id::{ClaimId, SagaId};
use crate::json::Json;
use crate::ledger::{Row, Tip, Writer, root_hash};
use crate::machine::{Event, Status};
use crate::plan::Plan;
use crate::run::Run;
use crate::store::{
    Answer, Appended, Booking, Claim, Claimed, Coordination, Enlisted, Filter, Finding, Head,
    Holder, NewRun, News, Records, Runs, Spec, Started, StoreError, StoredRun, Tombstone,
    Transition, Turn, Upkeep, Wanted, WorkerId, WorkerInfo, WorkerSeen,
};
use crate::time::Timestamp;

pub(super) struct Fixed(pub(super) Arc<Vec<StoredRun>>);

fn no<T: Send + 'static>() -> Answer<'static, T> {
    let failed = StoreError::Failed { place: "fixed".into(), why: "it only shows".into() };
    Box::pin(std::future::ready(Err(failed)))
}

impl Runs for Fixed {
    fn start(&self, _: NewRun, _: Option<(WorkerId, ClaimId)>) -> Answer<'_, Started> {
        no()
    }
    fn append<'a>(&'a self, _: &'a Claim, _: Transition) -> Answer<'a, Appended> {
        no()
    }
    fn append_unclaimed(&self, _: SagaId, _: Transition) -> Answer<'_, Appended> {
        no()
    }
    fn load(&self, id: SagaId) -> Answer<'_, Option<StoredRun>> {
        let run = self.0.iter().find(|run| run.spec.id == id).cloned();
        Box::pin(std::future::ready(Ok(run)))
    }
    fn head(&self, _: SagaId) -> Answer<'_, Option<Head>> {
        no()
    }
    fn rows(&self, _: SagaId, _: u64) -> Answer<'_, Vec<Row>> {
        no()
    }
    fn list(&self, _: Filter) -> Answer<'_, Vec<SagaId>> {
        no()
    }
    fn scan(&self, after: Option<SagaId>, _: usize) -> Answer<'_, Vec<StoredRun>> {
        let page = if after.is_none() { self.0.to_vec() } else { Vec::new() };
        Box::pin(std::future::ready(Ok(page)))
    }
}

impl Coordination for Fixed {
    fn enlist(&self, _: &WorkerInfo) -> Answer<'_, Enlisted> {
        no()
    }
    fn retire(&self, _: WorkerId) -> Answer<'_, ()> {
        no()
    }
    fn claim(&self, _: Wanted) -> Answer<'_, Vec<Claimed>> {
        no()
    }
    fn news(&self, _: Wanted) -> Answer<'_, News> {
        no()
    }
    fn owned(&self, _: WorkerId) -> Answer<'_, Vec<(SagaId, ClaimId)>> {
        no()
    }
    fn holders(&self, _: Vec<String>) -> Answer<'_, Vec<Holder>> {
        no()
    }
    fn let_go(&self, _: SagaId) -> Answer<'_, ()> {
        no()
    }
    fn book(&self, _: Booking) -> Answer<'_, Turn> {
        no()
    }
    fn calls(&self, _: usize) -> Answer<'_, Vec<(SagaId, Timestamp)>> {
        no()
    }
    fn workers(&self) -> Answer<'_, Vec<WorkerSeen>> {
        no()
    }
}

impl Upkeep for Fixed {
    fn examine(&self) -> Answer<'_, Vec<Finding>> {
        no()
    }
    fn archive(&self, _: Vec<SagaId>) -> Answer<'_, Vec<(StoredRun, Vec<Provisioned>)>> {
        no()
    }
    fn prune(&self, _: Tombstone) -> Answer<'_, Appended> {
        no()
    }
    fn tombstone(&self, _: SagaId) -> Answer<'_, Option<Tombstone>> {
        no()
    }
}

impl Records for Fixed {
    fn provisioned(&self, _: Option<SagaId>) -> Answer<'_, Vec<Provisioned>> {
        no()
    }

    fn owners(&self, _: SagaId) -> Answer<'_, Vec<Provisioned>> {
        no()
    }

    fn observe(&self, _: Survey) -> Answer<'_, Observed> {
        no()
    }

    fn resources(&self) -> Answer<'_, Vec<Resource>> {
        no()
    }
}

/// Chains the rows again after a damage, so that only the damage is found.
pub(super) fn reseal(run: &mut StoredRun) {
    let spec = &run.spec;
    let mut hash = root_hash(spec.id, &spec.kind, &spec.steps, spec.inputs.as_str());
    for (seq, row) in (0..).zip(&mut run.rows) {
        (row.seq, row.previous) = (seq, hash);
        hash = row.hash(spec.id);
    }
    (run.head.len, run.head.hash) = (run.rows.len() as u64, hash);
}

/// A run of these steps (as JSON) to which this happened, each under the claim of its fence. As
/// far as it is legal its head is the fold; `status` is what the head says anyway.
pub(super) fn forged(steps: &str, events: &[(u64, Event)], status: Option<Status>) -> StoredRun {
    let spec = Spec {
        id: SagaId::new(),
        kind: "forged".into(),
        steps: steps.into(),
        inputs: Json::empty_object(),
        key: None,
        labels: std::collections::BTreeMap::new(),
        queue: "default".into(),
        priority: 0,
        deadline: None,
        created_at: Timestamp::default(),
    };
    let mut run = Run::new(spec.clone(), Arc::new(Plan::parse(steps).unwrap()));
    let mut tip = Tip { ..run.tip };
    let mut rows = Vec::new();
    for (fence, event) in events {
        let claim = if *fence == 0 {
            ClaimId::NONE
        } else {
            ClaimId::from_bytes([u8::try_from(*fence).unwrap(); 16])
        };
        let at = Timestamp::from_micros(1);
        let writer = Writer { claim, fence: *fence, at, actor: None, remark: None };
        rows.push(tip.row(spec.id, event, &writer).unwrap());
        if run.state.apply(at, event).is_ok() {
            run.last_at = at;
        }
    }
    run.tip = tip;
    let mut head = run.head();
    head.status = status.unwrap_or(head.status);
    head.finished_at = head.status.at_rest().then_some(run.last_at);
    StoredRun { spec, head, rows, owner: Some(ClaimId::from_bytes([1; 16])) }
}
