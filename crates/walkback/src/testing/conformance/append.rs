//! Appending: guarded by claim, fence and length; by length alone for outsiders.

use std::sync::Arc;

use crate::id::{ClaimId, SagaId};
use crate::machine::Event;
use crate::store::{Appended, Claim, Store, Transition};
use crate::testing::conformance::maker::{
    Made, WORKER, applied, at, begin, claim_at, done, enlist, load, must, owned, refused, some,
    spec, started, transition,
};

type Under = Arc<dyn Store>;

/// A run with one more row than at its start, by its owner.
async fn begun(store: &dyn Store) -> (Made, Claim) {
    let (mut made, claim) = owned(store, spec()).await;
    applied(store, &claim, transition(&mut made.run, &[begin(0)], Some(&claim))).await;
    (made, claim)
}

pub(super) async fn a_claimed_append_adds_its_rows_and_its_head(store: Under) {
    let (made, claim) = begun(&*store).await;
    let stored = load(&*store, claim.saga()).await;
    assert_eq!(stored.head, made.run.head());
    assert_eq!(stored.rows.len(), 2);
    let row = &stored.rows[1];
    assert_eq!((row.claim, row.fence, row.step_idx), (claim.id(), 1, Some(0)));
    assert_eq!((row.seq, row.attempt, &*row.kind), (1, Some(1), "step_started"));
}

pub(super) async fn an_append_of_another_claim_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let forged = claim.forged(ClaimId::random(), claim.fence());
    let next = transition(&mut made.run, &[done(0, "{}")], Some(&forged));
    refused(&*store, &forged, next).await;
}

pub(super) async fn an_append_of_a_claim_that_was_followed_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    must(store.retire(WORKER).await);
    enlist(&*store, WORKER).await;
    let taken = claim_at(&*store, at(9_000), 10).await;
    assert_eq!(taken.len(), 1);
    let next = transition(&mut made.run, &[done(0, "{}")], Some(&claim));
    refused(&*store, &claim, next.clone()).await;
    let stale = claim.forged(taken[0].claim.id(), claim.fence());
    refused(&*store, &stale, next).await;
}

pub(super) async fn an_append_of_another_length_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let next = transition(&mut made.run, &[done(0, "{}")], Some(&claim));
    refused(&*store, &claim, Transition { expected_len: 1, ..next.clone() }).await;
    refused(&*store, &claim, Transition { expected_len: 0, ..next }).await;
}

pub(super) async fn an_append_to_a_longer_ledger_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let next = transition(&mut made.run, &[done(0, "{}")], Some(&claim));
    refused(&*store, &claim, Transition { expected_len: 3, ..next }).await;
}

pub(super) async fn an_append_twice_is_applied_once(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let next = transition(&mut made.run, &[done(0, "{}")], Some(&claim));
    applied(&*store, &claim, next.clone()).await;
    refused(&*store, &claim, next).await;
    assert_eq!(load(&*store, claim.saga()).await.rows.len(), 3);
}

pub(super) async fn an_append_after_release_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let last = transition(&mut made.run, &[done(0, "{}")], Some(&claim));
    applied(&*store, &claim, Transition { release: true, ..last }).await;
    assert_eq!(load(&*store, claim.saga()).await.owner, None);
    refused(&*store, &claim, transition(&mut made.run, &[begin(1)], Some(&claim))).await;
}

pub(super) async fn an_append_after_retire_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    must(store.retire(WORKER).await);
    refused(&*store, &claim, transition(&mut made.run, &[done(0, "{}")], Some(&claim))).await;
}

pub(super) async fn an_append_to_no_run_is_refused(store: Under) {
    let (mut made, _) = begun(&*store).await;
    let next = transition(&mut made.run, &[Event::CancelRequested], None);
    let nowhere = must(store.append_unclaimed(SagaId::new(), next).await);
    assert_eq!(nowhere, Appended::Refused);
}

pub(super) async fn a_refused_append_changes_nothing(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let before = load(&*store, claim.saga()).await;
    let next = transition(&mut made.run, &[done(0, "{}")], Some(&claim));
    let wrong = Transition { expected_len: 7, release: true, ..next };
    refused(&*store, &claim, wrong.clone()).await;
    must(store.append_unclaimed(claim.saga(), wrong).await);
    let after = load(&*store, claim.saga()).await;
    assert_eq!(after.head, before.head);
    assert_eq!(after.rows, before.rows);
    assert_eq!(after.owner, before.owner);
}

pub(super) async fn an_append_of_no_rows_only_releases(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let nothing = transition(&mut made.run, &[], Some(&claim));
    applied(&*store, &claim, Transition { release: true, ..nothing }).await;
    let stored = load(&*store, claim.saga()).await;
    assert_eq!((stored.owner, stored.rows.len()), (None, 1));
    assert_eq!(claim_at(&*store, at(9_000), 10).await.len(), 1);
}

pub(super) async fn an_append_may_add_many_rows(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let events = [begin(0), done(0, "{}"), begin(1), done(1, r#"{"x":1}"#)];
    applied(&*store, &claim, transition(&mut made.run, &events, Some(&claim))).await;
    let stored = load(&*store, claim.saga()).await;
    assert_eq!(stored.rows.len(), 5);
    assert_eq!(stored.head, made.run.head());
    assert!(stored.rows.iter().zip(0..).all(|(row, seq)| row.seq == seq));
}

async fn cancelled(store: &dyn Store, made: &mut Made) -> Appended {
    let cancel = transition(&mut made.run, &[Event::CancelRequested], None);
    must(store.append_unclaimed(made.run.spec.id, cancel).await)
}

pub(super) async fn an_outsider_appends_to_a_run_nobody_owns(store: Under) {
    let mut made = started(&*store, spec()).await;
    assert_eq!(cancelled(&*store, &mut made).await, Appended::Applied);
    assert_eq!(load(&*store, made.run.spec.id).await.head, made.run.head());
}

pub(super) async fn an_outsider_appends_to_a_run_somebody_owns(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    assert_eq!(cancelled(&*store, &mut made).await, Appended::Applied);
    let row = some(load(&*store, claim.saga()).await.rows.pop());
    assert_eq!((row.claim, row.fence), (ClaimId::NONE, 0));
}

pub(super) async fn an_outsiders_append_of_another_length_is_refused(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let cancel = transition(&mut made.run, &[Event::CancelRequested], None);
    for expected_len in [0, 1, 3] {
        let wrong = Transition { expected_len, ..cancel.clone() };
        assert_eq!(must(store.append_unclaimed(claim.saga(), wrong).await), Appended::Refused);
    }
}

pub(super) async fn an_outsiders_append_keeps_the_owner(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    cancelled(&*store, &mut made).await;
    assert_eq!(load(&*store, claim.saga()).await.owner, Some(claim.id()));
    assert!(claim_at(&*store, at(9_000), 10).await.is_empty());
}

pub(super) async fn an_owner_is_refused_after_an_outsider_wrote(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    let mut unaware = made.run.clone();
    cancelled(&*store, &mut made).await;
    refused(&*store, &claim, transition(&mut unaware, &[done(0, "{}")], Some(&claim))).await;
}

pub(super) async fn an_owner_that_read_again_may_write(store: Under) {
    let (mut made, claim) = begun(&*store).await;
    cancelled(&*store, &mut made).await;
    applied(&*store, &claim, transition(&mut made.run, &[done(0, "{}")], Some(&claim))).await;
    assert_eq!(load(&*store, claim.saga()).await.head, made.run.head());
}

pub(super) async fn an_outsider_may_take_a_run_from_its_owner(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let mut next = made.run.clone();
    let nothing = transition(&mut made.run, &[], None);
    let taken = Transition { release: true, ..nothing };
    assert_eq!(must(store.append_unclaimed(claim.saga(), taken).await), Appended::Applied);
    refused(&*store, &claim, transition(&mut next, &[begin(0)], Some(&claim))).await;
    let claimed = claim_at(&*store, at(9_000), 10).await;
    assert_eq!((claimed.len(), claimed[0].claim.fence(), claimed[0].orphaned), (1, 2, false));
}

pub(super) async fn rows_are_read_from_a_place_on(store: Under) {
    let (made, claim) = begun(&*store).await;
    let all = load(&*store, claim.saga()).await.rows;
    let id = made.run.spec.id;
    assert_eq!(must(store.rows(id, 0).await), all);
    assert_eq!(must(store.rows(id, 1).await), all[1..]);
    assert!(must(store.rows(id, 2).await).is_empty());
}

pub(super) async fn the_head_alone_is_the_head_of_the_run(store: Under) {
    let (made, claim) = begun(&*store).await;
    assert_eq!(some(must(store.head(claim.saga()).await)), made.run.head());
}
