//! What nobody needs any more goes whole and leaves a stone; nothing else goes.

use std::sync::Arc;

use crate::machine::{Effect, Event, Status, Then};
use crate::run::Run;
use crate::store::{Appended, Claim, Filter, Head, Spec, Store, Tombstone, Transition};
use crate::testing::conformance::maker::{
    Made, applied, at, begin, done, keyed, load, must, owned, spec, started, transition,
};
use crate::testing::conformance::records::{closes, makes};

type Under = Arc<dyn Store>;

/// What would be left of the run.
pub(in crate::testing) fn stone(run: &Run) -> Tombstone {
    let Head { status, len, hash, .. } = run.head();
    Tombstone {
        id: run.spec.id,
        kind: run.spec.kind.clone(),
        status,
        created_at: run.spec.created_at,
        finished_at: at(2_000),
        len,
        hash,
        pruned_at: at(9_000),
        pruned_by: "ada \u{1} ü".to_owned(),
        reason: Some("old".to_owned()),
    }
}

fn released(next: Transition) -> Transition {
    Transition { release: true, ..next }
}

/// A run that went through both its steps, and was let go.
pub(super) async fn ended(store: &dyn Store, spec: Spec) -> (Made, Claim) {
    let (mut made, claim) = owned(store, spec).await;
    let events = [begin(0), done(0, "{}"), begin(1), done(1, "{}")];
    applied(store, &claim, released(transition(&mut made.run, &events, Some(&claim)))).await;
    (made, claim)
}

async fn prune(store: &dyn Store, stone: &Tombstone) -> Appended {
    must(store.prune(stone.clone()).await)
}

/// The run stays, and no stone is laid.
async fn stays(store: &dyn Store, stone: &Tombstone) {
    assert_eq!(prune(store, stone).await, Appended::Refused);
    assert_eq!(must(store.tombstone(stone.id).await), None);
    assert!(must(store.load(stone.id).await).is_some());
}

fn old(before: i64) -> Filter {
    Filter { prunable_before: Some(at(before)), limit: 100, ..Filter::default() }
}

pub(super) async fn runs_are_archived_with_all_there_is_of_them(store: Under) {
    let (made, _) = ended(&*store, spec()).await;
    let (mut owner, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut owner.run, &claim, 0, "v")).await;
    applied(&*store, &claim, closes(&mut owner.run, &claim, 0)).await;
    let (newer, older, pruned) = (claim.saga(), made.run.spec.id, ended(&*store, spec()).await.0);
    assert_eq!(prune(&*store, &stone(&pruned.run)).await, Appended::Applied);
    started(&*store, spec()).await;
    let asked = vec![newer, pruned.run.spec.id, older, crate::SagaId::new()];
    let archived = must(store.archive(asked).await);
    let own = must(store.provisioned(Some(newer)).await);
    assert_eq!(own.len(), 1);
    assert_eq!(archived, [(load(&*store, newer).await, own), (load(&*store, older).await, vec![])]);
    assert!(must(store.archive(Vec::new()).await).is_empty());
}

pub(super) async fn a_pruned_run_is_gone_whole(store: Under) {
    let labels = [("tenant".to_owned(), "a".to_owned())].into();
    let (made, claim) = ended(&*store, Spec { labels, ..keyed("k") }).await;
    let other = ended(&*store, spec()).await.0.run.spec.id;
    let id = claim.saga();
    assert_eq!(prune(&*store, &stone(&made.run)).await, Appended::Applied);
    assert_eq!(must(store.load(id).await), None);
    assert_eq!(must(store.head(id).await), None);
    assert!(must(store.rows(id, 0).await).is_empty());
    assert_eq!(must(store.list(Filter { limit: 9, ..Filter::default() }).await), [other]);
    assert_eq!(must(store.scan(None, 9).await).len(), 1);
    assert_eq!(load(&*store, other).await.rows.len(), 5);
}

pub(super) async fn a_pruned_run_leaves_its_stone(store: Under) {
    let (made, _) = ended(&*store, spec()).await;
    let stone = stone(&made.run);
    assert_eq!(must(store.tombstone(stone.id).await), None);
    assert_eq!(prune(&*store, &stone).await, Appended::Applied);
    assert_eq!(must(store.tombstone(stone.id).await), Some(stone));
}

pub(super) async fn a_pruned_runs_key_is_free(store: Under) {
    let (made, _) = ended(&*store, keyed("k")).await;
    assert_eq!(prune(&*store, &stone(&made.run)).await, Appended::Applied);
    let next = started(&*store, keyed("k")).await;
    assert_ne!(next.run.spec.id, made.run.spec.id);
}

pub(super) async fn a_run_is_pruned_once(store: Under) {
    let (made, _) = ended(&*store, spec()).await;
    let stone = stone(&made.run);
    assert_eq!(prune(&*store, &stone).await, Appended::Applied);
    let again = Tombstone { pruned_by: "bob".to_owned(), ..stone.clone() };
    assert_eq!(prune(&*store, &again).await, Appended::Refused);
    assert_eq!(must(store.tombstone(stone.id).await), Some(stone));
}

pub(super) async fn what_is_not_there_is_not_pruned(store: Under) {
    let (made, _) = ended(&*store, spec()).await;
    let stone = Tombstone { id: crate::SagaId::new(), ..stone(&made.run) };
    assert_eq!(prune(&*store, &stone).await, Appended::Refused);
    assert_eq!(must(store.tombstone(stone.id).await), None);
    assert!(must(store.load(made.run.spec.id).await).is_some(), "its hash is another one's");
}

pub(super) async fn what_was_written_to_since_is_not_pruned(store: Under) {
    let (mut made, claim) = ended(&*store, spec()).await;
    let before = stone(&made.run);
    let next = transition(&mut made.run, &[Event::RollbackRequested], None);
    assert_eq!(must(store.append_unclaimed(claim.saga(), next).await), Appended::Applied);
    stays(&*store, &before).await;
    stays(&*store, &stone(&made.run)).await;
}

pub(super) async fn another_ledger_is_not_pruned(store: Under) {
    let (made, _) = ended(&*store, spec()).await;
    let mut wrong = stone(&made.run);
    wrong.hash.0[31] ^= 1;
    stays(&*store, &wrong).await;
}

pub(super) async fn what_has_not_ended_is_not_pruned(store: Under) {
    let made = started(&*store, spec()).await;
    stays(&*store, &stone(&made.run)).await;
    let (mut made, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, released(transition(&mut made.run, &[begin(0)], Some(&claim)))).await;
    stays(&*store, &stone(&made.run)).await;
    let next = transition(&mut made.run, &[Event::HandedOver, Event::PauseRequested], None);
    assert_eq!(must(store.append_unclaimed(claim.saga(), next).await), Appended::Applied);
    assert_eq!(made.run.state.status(), Status::Parked);
    stays(&*store, &stone(&made.run)).await;
}

pub(super) async fn what_has_something_left_is_not_pruned(store: Under) {
    let steps = r#"[{"step":"make","facts":{"undo":true}}]"#;
    let (mut made, claim) = owned(&*store, Spec { steps: steps.into(), ..spec() }).await;
    let failed = Event::StepFailed {
        step: 0,
        effect: Effect::Unknown,
        error: String::new(),
        then: Then::WalkBack,
    };
    let undo = Event::UndoStarted { step: 0, attempt: 1 };
    let left = crate::machine::UndoThen::Residue;
    let left = Event::UndoFailed { step: 0, error: String::new(), then: left };
    let events = [begin(0), failed, undo, left];
    applied(&*store, &claim, released(transition(&mut made.run, &events, Some(&claim)))).await;
    assert_eq!(made.run.state.status(), Status::Failed);
    stays(&*store, &stone(&made.run)).await;
    let next = transition(&mut made.run, &[Event::Abandoned { step: 0 }], None);
    assert_eq!(must(store.append_unclaimed(claim.saga(), next).await), Appended::Applied);
    stays(&*store, &stone(&made.run)).await;
}

pub(super) async fn what_somebody_owns_is_not_pruned(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let events = [begin(0), done(0, "{}"), begin(1), done(1, "{}")];
    let mut next = transition(&mut made.run, &events, Some(&claim));
    applied(&*store, &claim, next.clone()).await;
    stays(&*store, &stone(&made.run)).await;
    (next.expected_len, next.rows, next.release) = (next.head.len, Vec::new(), true);
    applied(&*store, &claim, next).await;
    assert_eq!(prune(&*store, &stone(&made.run)).await, Appended::Applied);
}

pub(super) async fn what_owns_something_live_is_not_pruned(store: Under) {
    // One that has nothing, which shall not speak for it.
    started(&*store, spec()).await;
    let (mut made, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut made.run, &claim, 0, "v")).await;
    let events = [begin(1), done(1, "{}")];
    applied(&*store, &claim, released(transition(&mut made.run, &events, Some(&claim)))).await;
    stays(&*store, &stone(&made.run)).await;
    assert!(must(store.list(old(9_000)).await).is_empty());
    let close = Transition { rows: Vec::new(), ..closes(&mut made.run, &claim, 0) };
    assert_eq!(must(store.append_unclaimed(claim.saga(), close).await), Appended::Applied);
    assert_eq!(must(store.list(old(9_000)).await), [claim.saga()]);
    assert_eq!(prune(&*store, &stone(&made.run)).await, Appended::Applied);
    assert!(must(store.provisioned(None).await).is_empty());
}

pub(super) async fn a_list_is_filtered_by_what_may_be_pruned(store: Under) {
    let (_, claim) = ended(&*store, spec()).await;
    started(&*store, spec()).await;
    assert_eq!(must(store.list(old(2_001)).await), [claim.saga()]);
    assert!(must(store.list(old(2_000)).await).is_empty());
    let other = Filter { kind: Some("other".to_owned()), ..old(9_000) };
    assert!(must(store.list(other).await).is_empty());
}
