//! What runs hold: a key belongs to one run, or to so many, for as long as they are not settled.

use std::sync::Arc;

use crate::machine::{Lock, Status};
use crate::store::{Appended, Claim, Holder, Locks, Store, Transition};
use crate::testing::conformance::maker::{
    Made, WORKER, applied, at, begin, claim_at, ids, must, news_of, owned, refused, spec, started,
    transition, waking,
};

type Under = Arc<dyn Store>;

fn lock(key: &str) -> Lock {
    Lock { key: key.to_owned(), at_most: None }
}

fn taking(made: &mut Made, locks: Vec<Lock>) -> Transition {
    let next = transition(&mut made.run, &[], None);
    Transition { locks: Locks { take: locks, wait_for: Vec::new() }, ..next }
}

fn waiting(made: &mut Made, key: &str) -> Transition {
    let next = transition(&mut made.run, &[], None);
    Transition { locks: Locks { take: Vec::new(), wait_for: vec![lock(key)] }, ..next }
}

/// Ends the run like this, by its owner.
async fn end(store: &dyn Store, made: &mut Made, claim: &Claim, status: Status, attention: bool) {
    let mut next = transition(&mut made.run, &[], None);
    (next.head.status, next.head.attention) = (status, attention);
    (next.head.finished_at, next.head.wake_at) = (Some(at(9)), None);
    applied(store, claim, Transition { release: true, ..next }).await;
}

async fn holders(store: &dyn Store, key: &str) -> Vec<Holder> {
    must(store.holders(vec![key.to_owned()]).await)
}

pub(super) async fn a_lock_has_one_holder(store: Under) {
    let (mut one, claim) = owned(&*store, spec()).await;
    let (mut other, others) = owned(&*store, spec()).await;
    applied(&*store, &claim, taking(&mut one, vec![lock("a")])).await;
    let begun = transition(&mut other.clone().run, &[begin(0)], Some(&others));
    let locks = Locks { take: vec![lock("b"), lock("a")], wait_for: vec![] };
    refused(&*store, &others, Transition { locks, ..begun }).await;
    assert!(holders(&*store, "b").await.is_empty(), "all of them, or none");
    assert_eq!(must(store.rows(others.saga(), 0).await).len(), 1, "and no row without its lock");
    let saga = claim.saga();
    assert_eq!(holders(&*store, "a").await, [Holder { key: "a".to_owned(), saga }]);
    applied(&*store, &others, taking(&mut other, vec![lock("b")])).await;
}

pub(super) async fn a_lock_that_is_its_own_is_taken_again(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, taking(&mut made, vec![lock("a"), lock("a")])).await;
    applied(&*store, &claim, taking(&mut made, vec![lock("a")])).await;
    assert_eq!(holders(&*store, "a").await.len(), 1);
}

pub(super) async fn a_limit_has_so_many_holders(store: Under) {
    let limit = || vec![Lock { key: "a".to_owned(), at_most: Some(2) }];
    for _ in 0..2 {
        let (mut made, claim) = owned(&*store, spec()).await;
        applied(&*store, &claim, taking(&mut made, limit())).await;
    }
    let (mut made, claim) = owned(&*store, spec()).await;
    refused(&*store, &claim, taking(&mut made, limit())).await;
    assert_eq!(holders(&*store, "a").await.len(), 2);
}

pub(super) async fn a_lock_needs_a_claim_that_holds(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let forged = claim.forged(crate::id::ClaimId::random(), claim.fence());
    refused(&*store, &forged, taking(&mut made, vec![lock("a")])).await;
    let late = Transition { expected_len: 7, ..taking(&mut made, vec![lock("a")]) };
    refused(&*store, &claim, late).await;
    assert!(holders(&*store, "a").await.is_empty());
}

pub(super) async fn a_lock_is_held_until_its_run_is_settled(store: Under) {
    let ends = [
        (Status::Completed, false, false),
        (Status::RolledBack, false, false),
        (Status::Failed, false, false),
        (Status::Failed, true, true),
        (Status::Parked, true, true),
    ];
    for (nth, (status, attention, held)) in ends.into_iter().enumerate() {
        let key = nth.to_string();
        let (mut made, claim) = owned(&*store, spec()).await;
        applied(&*store, &claim, taking(&mut made, vec![lock(&key)])).await;
        end(&*store, &mut made, &claim, status, attention).await;
        assert_eq!(holders(&*store, &key).await.len(), usize::from(held), "{}", status.name());
        let (mut next, others) = owned(&*store, spec()).await;
        let next = taking(&mut next, vec![lock(&key)]);
        let expected = if held { Appended::Refused } else { Appended::Applied };
        assert_eq!(must(store.append(&others, next).await), expected);
    }
}

pub(super) async fn a_limit_ends_when_its_run_is_at_its_end(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let limit = Lock { key: "a".to_owned(), at_most: Some(1) };
    applied(&*store, &claim, taking(&mut made, vec![limit])).await;
    end(&*store, &mut made, &claim, Status::Failed, true).await;
    assert!(holders(&*store, "a").await.is_empty());
}

pub(super) async fn nobody_waits_for_what_is_free(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    refused(&*store, &claim, waiting(&mut made, "a")).await;
    applied(&*store, &claim, taking(&mut made, vec![lock("a")])).await;
    refused(&*store, &claim, waiting(&mut made, "a")).await;
}

/// Two runs wait for what a third one holds, the first of them in vain for a while.
pub(super) async fn who_waits_longest_is_due_when_a_lock_is_let_go(store: Under) {
    let (mut holder, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, taking(&mut holder, vec![lock("a")])).await;
    let mut waiters = Vec::new();
    for _ in 0..2 {
        let (mut made, claim) = owned(&*store, spec()).await;
        let mut wait = waiting(&mut made, "a");
        wait.head.wake_at = Some(at(50_000));
        applied(&*store, &claim, Transition { release: true, ..wait }).await;
        waiters.push(claim.saga());
    }
    must(store.let_go(claim.saga()).await);
    assert!(claim_at(&*store, at(9_000), 10).await.is_empty(), "it holds it still");
    end(&*store, &mut holder, &claim, Status::Completed, false).await;
    must(store.let_go(claim.saga()).await);
    assert_eq!(ids(&claim_at(&*store, at(9_000), 10).await), [waiters[0]]);
    must(store.let_go(claim.saga()).await);
    assert!(claim_at(&*store, at(9_000), 10).await.is_empty(), "what is let go once is let go");
}

pub(super) async fn who_is_just_about_to_wait_is_due_at_once(store: Under) {
    let (mut holder, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, taking(&mut holder, vec![lock("a")])).await;
    let (mut made, waits) = owned(&*store, spec()).await;
    applied(&*store, &waits, waiting(&mut made, "a")).await;
    end(&*store, &mut holder, &claim, Status::Completed, false).await;
    must(store.let_go(claim.saga()).await);
    let mut released = transition(&mut made.run, &[], None);
    released.head.wake_at = Some(at(50_000));
    applied(&*store, &waits, Transition { release: true, ..released }).await;
    assert_eq!(ids(&claim_at(&*store, at(9_000), 10).await), [waits.saga()]);
}

pub(super) async fn whoever_owns_a_waiter_hears_of_it(store: Under) {
    let (mut holder, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, taking(&mut holder, vec![lock("a")])).await;
    let (mut made, waits) = owned(&*store, spec()).await;
    applied(&*store, &waits, waiting(&mut made, "a")).await;
    end(&*store, &mut holder, &claim, Status::Completed, false).await;
    must(store.let_go(claim.saga()).await);
    assert_eq!(news_of(&*store, WORKER).await.nudged, [waits.saga()]);
}

/// Somebody without a claim takes a lock for a run that is at rest, as a rollback does.
pub(super) async fn a_lock_can_be_taken_without_a_claim(store: Under) {
    let mut made = waking(started(&*store, spec()).await, None);
    let (mut other, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, taking(&mut other, vec![lock("a")])).await;
    let id = made.run.spec.id;
    let take = |made: &mut Made, key| taking(made, vec![lock(key)]);
    let held = take(&mut made, "a");
    assert_eq!(must(store.append_unclaimed(id, held).await), Appended::Refused);
    let free = take(&mut made, "b");
    assert_eq!(must(store.append_unclaimed(id, free).await), Appended::Applied);
    assert_eq!(holders(&*store, "b").await.len(), 1);
}

/// Many take one key at the same moment.
pub(super) async fn of_many_at_once_one_has_the_lock(store: Under) {
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (mut made, claim) = owned(&*store, spec()).await;
        let store = Arc::clone(&store);
        let next = taking(&mut made, vec![lock("a"), lock("b")]);
        takers.spawn(async move { must(store.append(&claim, next).await) });
    }
    let ends = takers.join_all().await;
    let won = ends.into_iter().filter(|end| *end == Appended::Applied).count();
    assert_eq!((won, holders(&*store, "a").await.len()), (1, 1));
}
