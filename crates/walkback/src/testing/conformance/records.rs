//! What runs have provisioned: in the commit of the row, or not at all (rule S19).

use std::sync::Arc;

use crate::desired::{Provision, RecordChange};
use crate::id::SagaId;
use crate::machine::Event;
use crate::run::Run;
use crate::store::{Appended, Claim, Store, Transition};
use crate::testing::conformance::maker::{
    Made, applied, at, begin, done, json, must, owned, refused, spec, transition,
};

type Under = Arc<dyn Store>;

pub(super) fn made(name: &str) -> Provision {
    let what = Provision::new("cloud", "vpc", name, json(r#"{"cidr":"10.0.0.0/16"}"#));
    Provision { name: Some(name.to_owned()), region: Some("ams3".to_owned()), ..what }
}

pub(super) fn open(step: usize, name: &str) -> RecordChange {
    RecordChange::Open { step, what: made(name), at: at(3_000) }
}

/// The transition in which a step makes this.
pub(super) fn makes(run: &mut Run, claim: &Claim, step: usize, name: &str) -> Transition {
    let next = transition(run, &[begin(step), done(step, "{}")], Some(claim));
    Transition { records: vec![open(step, name)], ..next }
}

pub(super) fn closes(run: &mut Run, claim: &Claim, step: usize) -> Transition {
    let next = transition(run, &[], Some(claim));
    Transition { records: vec![RecordChange::Close { step, at: at(4_000) }], ..next }
}

pub(super) async fn a_record_is_opened_with_its_row(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 0, "v")).await;
    let records = must(store.provisioned(Some(claim.saga())).await);
    let record = &records[0];
    assert_eq!((records.len(), record.saga_id, record.step_idx), (1, claim.saga(), 0));
    assert_eq!((&record.what, record.spec_version), (&made("v"), 1));
    assert_eq!((record.created_at, record.closed_at), (at(3_000), None));
}

pub(super) async fn a_record_is_closed_with_its_row(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 0, "v")).await;
    applied(&*store, &claim, closes(&mut run.run, &claim, 0)).await;
    let records = must(store.provisioned(Some(claim.saga())).await);
    assert_eq!((records.len(), records[0].closed_at), (1, Some(at(4_000))));
}

pub(super) async fn a_refused_append_opens_no_record(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    let next = makes(&mut run.run, &claim, 0, "v");
    refused(&*store, &claim, Transition { expected_len: 9, ..next }).await;
    assert!(must(store.provisioned(None).await).is_empty());
}

pub(super) async fn a_refused_append_closes_no_record(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 0, "v")).await;
    let next = closes(&mut run.run, &claim, 0);
    refused(&*store, &claim, Transition { expected_len: 1, ..next }).await;
    assert_eq!(must(store.provisioned(None).await)[0].closed_at, None);
}

pub(super) async fn records_are_listed_by_run(store: Under) {
    let mut sagas = Vec::new();
    for name in ["v", "w"] {
        let (mut run, claim) = owned(&*store, spec()).await;
        applied(&*store, &claim, makes(&mut run.run, &claim, 0, name)).await;
        sagas.push(claim.saga());
    }
    let own = must(store.provisioned(Some(sagas[1])).await);
    assert_eq!((own.len(), &own[0].what), (1, &made("w")));
    assert_eq!(must(store.provisioned(None).await).len(), 2);
}

pub(super) async fn records_of_two_steps_are_two(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 0, "v")).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 1, "w")).await;
    applied(&*store, &claim, closes(&mut run.run, &claim, 1)).await;
    let mut records = must(store.provisioned(Some(claim.saga())).await);
    records.sort_by_key(|record| record.step_idx);
    let closed: Vec<_> = records.iter().map(|record| record.closed_at).collect();
    assert_eq!(closed, [None, Some(at(4_000))]);
}

/// Two runs that have the same thing open, the second one's row being closed again if so said.
async fn sharing(store: &dyn Store, close: bool) -> (Made, SagaId) {
    let (mut first, claim) = owned(store, spec()).await;
    applied(store, &claim, makes(&mut first.run, &claim, 0, "v")).await;
    let (mut second, claim) = owned(store, spec()).await;
    applied(store, &claim, makes(&mut second.run, &claim, 0, "v")).await;
    if close {
        applied(store, &claim, closes(&mut second.run, &claim, 0)).await;
    }
    (first, claim.saga())
}

/// An outsider's append that wants the run to be the sole owner of what it made.
async fn alone(store: &dyn Store, mut made: Made) -> Appended {
    let next = transition(&mut made.run, &[Event::PauseRequested], None);
    let next = Transition { sole_owner: true, ..next };
    must(store.append_unclaimed(made.run.spec.id, next).await)
}

pub(super) async fn the_owners_of_a_thing_are_all_that_have_it_open(store: Under) {
    let (first, second) = sharing(&*store, false).await;
    let owners = must(store.owners(first.run.spec.id).await);
    let sagas: Vec<_> = owners.iter().map(|row| row.saga_id).collect();
    assert_eq!(sagas, [first.run.spec.id, second]);
    let (stranger, _) = owned(&*store, spec()).await;
    assert!(must(store.owners(stranger.run.spec.id).await).is_empty());
}

pub(super) async fn who_has_closed_its_row_owns_nothing(store: Under) {
    let (first, second) = sharing(&*store, true).await;
    assert_eq!(must(store.owners(first.run.spec.id).await).len(), 1);
    assert!(must(store.owners(second).await).is_empty());
}

pub(super) async fn the_sole_owner_may_append(store: Under) {
    let (first, _) = sharing(&*store, true).await;
    assert_eq!(alone(&*store, first).await, Appended::Applied);
}

pub(super) async fn one_of_two_owners_may_not(store: Under) {
    let (first, _) = sharing(&*store, false).await;
    let id = first.run.spec.id;
    assert_eq!(alone(&*store, first).await, Appended::Refused);
    assert_eq!(must(store.rows(id, 0).await).len(), 3);
}
