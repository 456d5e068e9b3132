//! Claiming: what is due and nobody's, in order, each with a fence of its own.

use std::sync::Arc;

use crate::id::SagaId;
use crate::machine::Event;
use crate::store::{Enlisted, Spec, Store, StoreError, Transition, Wanted, WorkerId, WorkerInfo};
use crate::testing::conformance::maker::{
    WORKER, accepted, applied, at, begin, claim_at, claim_from, done, enlist, enlisted, ids, load,
    must, news_of, owned, spec, start_as, started, transition, waking, wanted,
};
use crate::time::Timestamp;

type Under = Arc<dyn Store>;

/// Starts a run that nobody owns and that is due at this moment.
async fn due(store: &dyn Store, spec: Spec, micros: i64) -> SagaId {
    let made = waking(accepted(spec), Some(at(micros)));
    start_as(store, &made).await;
    made.run.spec.id
}

pub(super) async fn what_is_due_is_claimed(store: Under) {
    let id = due(&*store, spec(), 500).await;
    enlist(&*store, WORKER).await;
    assert_eq!(ids(&claim_at(&*store, at(500), 10).await), [id]);
}

pub(super) async fn what_is_not_due_is_not_claimed(store: Under) {
    due(&*store, spec(), 501).await;
    enlist(&*store, WORKER).await;
    assert!(claim_at(&*store, at(500), 10).await.is_empty());
}

pub(super) async fn what_has_no_time_is_not_claimed(store: Under) {
    start_as(&*store, &waking(accepted(spec()), None)).await;
    enlist(&*store, WORKER).await;
    assert!(claim_at(&*store, at(i64::MAX / 2), 10).await.is_empty());
}

pub(super) async fn what_is_owned_is_not_claimed(store: Under) {
    owned(&*store, spec()).await;
    assert!(claim_at(&*store, at(9_000), 10).await.is_empty());
}

pub(super) async fn a_claim_carries_the_whole_run(store: Under) {
    let made = started(&*store, spec()).await;
    enlist(&*store, WORKER).await;
    let claimed = claim_at(&*store, at(9_000), 10).await;
    let run = &claimed[0].run;
    assert_eq!((&run.spec, &run.rows), (&made.new.spec, &made.new.rows));
    assert_eq!(run.head, made.new.head);
    assert_eq!(run.owner, Some(claimed[0].claim.id()));
}

pub(super) async fn a_second_claim_has_the_next_fence(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let let_go = transition(&mut made.run, &[], Some(&claim));
    applied(&*store, &claim, Transition { release: true, ..let_go }).await;
    let claimed = claim_at(&*store, at(9_000), 10).await;
    assert_eq!(claimed[0].claim.fence(), claim.fence() + 1);
}

pub(super) async fn two_claims_never_share_an_id(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let let_go = transition(&mut made.run, &[], Some(&claim));
    applied(&*store, &claim, Transition { release: true, ..let_go }).await;
    due(&*store, spec(), 1).await;
    let claimed = claim_at(&*store, at(9_000), 10).await;
    assert_ne!(claimed[0].claim.id(), claim.id());
    assert_ne!(claimed[0].claim.id(), claimed[1].claim.id());
}

/// A run whose body was under way when its worker went.
async fn orphan(store: &dyn Store) -> SagaId {
    let (mut made, claim) = owned(store, spec()).await;
    applied(store, &claim, transition(&mut made.run, &[begin(0)], Some(&claim))).await;
    must(store.retire(WORKER).await);
    enlist(store, WORKER).await;
    made.run.spec.id
}

pub(super) async fn an_orphan_is_claimed_though_it_has_no_time(store: Under) {
    let id = orphan(&*store).await;
    let claimed = claim_at(&*store, Timestamp::default(), 10).await;
    assert_eq!(ids(&claimed), [id]);
    assert_eq!((claimed[0].orphaned, claimed[0].claim.fence()), (true, 2));
}

pub(super) async fn an_orphan_is_said_to_be_one_once(store: Under) {
    orphan(&*store).await;
    let claimed = claim_at(&*store, at(9_000), 10).await.swap_remove(0);
    let mut run = some_run(&*store, claimed.claim.saga()).await;
    let let_go = transition(&mut run, &[Event::TakenOver], Some(&claimed.claim));
    applied(&*store, &claimed.claim, Transition { release: true, ..let_go }).await;
    assert!(!claim_at(&*store, at(9_000), 10).await[0].orphaned);
}

#[expect(clippy::expect_used, reason = "testing code reports by panic")]
async fn some_run(store: &dyn Store, id: SagaId) -> crate::run::Run {
    let stored = load(store, id).await;
    let plan = crate::plan::Plan::parse(&stored.spec.steps).expect("steps");
    crate::run::Run::fold(stored, Arc::new(plan)).expect("a legal ledger")
}

pub(super) async fn what_was_released_is_no_orphan(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    let events = [begin(0), done(0, "{}")];
    let let_go = transition(&mut made.run, &events, Some(&claim));
    applied(&*store, &claim, Transition { release: true, ..let_go }).await;
    must(store.retire(WORKER).await);
    enlist(&*store, WORKER).await;
    let claimed = claim_at(&*store, at(9_000), 10).await;
    assert_eq!((claimed.len(), claimed[0].orphaned), (1, false));
}

pub(super) async fn a_higher_priority_is_claimed_first(store: Under) {
    let low = due(&*store, Spec { priority: -1, ..spec() }, 1).await;
    let high = due(&*store, Spec { priority: 5, ..spec() }, 3).await;
    let middle = due(&*store, spec(), 2).await;
    let highest = due(&*store, Spec { priority: 6, ..spec() }, 4).await;
    enlist(&*store, WORKER).await;
    assert_eq!(ids(&claim_at(&*store, at(500), 1).await), [highest]);
    assert_eq!(ids(&claim_at(&*store, at(500), 10).await), [high, middle, low]);
}

pub(super) async fn what_is_due_longer_is_claimed_first(store: Under) {
    let late = due(&*store, spec(), 30).await;
    let early = due(&*store, spec(), 10).await;
    let middle = due(&*store, spec(), 20).await;
    enlist(&*store, WORKER).await;
    assert_eq!(ids(&claim_at(&*store, at(500), 10).await), [early, middle, late]);
}

pub(super) async fn a_claim_takes_no_more_than_its_limit(store: Under) {
    for micros in 0..5 {
        due(&*store, spec(), micros).await;
    }
    enlist(&*store, WORKER).await;
    assert!(claim_at(&*store, at(500), 0).await.is_empty());
    assert_eq!(claim_at(&*store, at(500), 3).await.len(), 3);
    assert_eq!(claim_at(&*store, at(500), 3).await.len(), 2);
}

fn queued(queue: &str) -> Spec {
    Spec { queue: queue.into(), ..spec() }
}

pub(super) async fn a_worker_claims_only_from_its_queues(store: Under) {
    let fast = due(&*store, queued("fast"), 1).await;
    let slow = due(&*store, queued("slow"), 2).await;
    due(&*store, queued("other"), 3).await;
    enlist(&*store, WORKER).await;
    assert!(claim_from(&*store, &["none"], at(500), 10).await.is_empty());
    assert_eq!(ids(&claim_from(&*store, &["slow", "fast"], at(500), 10).await), [fast, slow]);
}

pub(super) async fn a_worker_without_queues_claims_from_all(store: Under) {
    for queue in ["fast", "slow", "it's \"odd\""] {
        due(&*store, queued(queue), 1).await;
    }
    enlist(&*store, WORKER).await;
    assert_eq!(claim_at(&*store, at(500), 10).await.len(), 3);
}

async fn next_due(store: &dyn Store, queues: &[&str]) -> Option<Timestamp> {
    must(store.news(wanted(queues, at(0), 0)).await).next_due
}

pub(super) async fn the_next_due_is_the_earliest(store: Under) {
    assert_eq!(next_due(&*store, &[]).await, None);
    due(&*store, spec(), 900).await;
    due(&*store, spec(), 700).await;
    assert_eq!(next_due(&*store, &[]).await, Some(at(700)));
}

pub(super) async fn the_next_due_is_of_the_queues_asked_for(store: Under) {
    due(&*store, queued("fast"), 700).await;
    due(&*store, queued("slow"), 900).await;
    assert_eq!(next_due(&*store, &["slow"]).await, Some(at(900)));
    assert_eq!(next_due(&*store, &["none"]).await, None);
}

pub(super) async fn the_next_due_leaves_out_what_is_owned(store: Under) {
    due(&*store, spec(), 700).await;
    enlist(&*store, WORKER).await;
    claim_at(&*store, at(700), 1).await;
    assert_eq!(next_due(&*store, &[]).await, None);
}

async fn nudged_run(store: &dyn Store) -> (crate::run::Run, crate::store::Claim) {
    let (mut made, claim) = owned(store, spec()).await;
    applied(store, &claim, transition(&mut made.run, &[begin(0)], Some(&claim))).await;
    assert!(news_of(store, WORKER).await.nudged.is_empty());
    let cancel = transition(&mut made.run, &[Event::CancelRequested], None);
    must(store.append_unclaimed(claim.saga(), cancel).await);
    (made.run, claim)
}

pub(super) async fn a_nudge_tells_the_owner_once(store: Under) {
    let (run, _) = nudged_run(&*store).await;
    assert_eq!(news_of(&*store, WORKER).await.nudged, [run.spec.id]);
    assert!(news_of(&*store, WORKER).await.nudged.is_empty());
}

pub(super) async fn a_nudge_tells_nobody_else(store: Under) {
    let (run, _) = nudged_run(&*store).await;
    assert!(news_of(&*store, WorkerId(8)).await.nudged.is_empty());
    assert_eq!(news_of(&*store, WORKER).await.nudged, [run.spec.id]);
}

pub(super) async fn the_owners_own_append_ends_a_nudge(store: Under) {
    let (mut run, claim) = nudged_run(&*store).await;
    applied(&*store, &claim, transition(&mut run, &[done(0, "{}")], Some(&claim))).await;
    assert!(news_of(&*store, WORKER).await.nudged.is_empty());
}

pub(super) async fn a_second_worker_is_told_of_the_first(store: Under) {
    enlist(&*store, WORKER).await;
    let Enlisted::Taken(who) = enlisted(&*store, WorkerId(8)).await else { return };
    let known = who.is_none_or(|who| (who.pid, &*who.host) == (42, "here"));
    assert!(known, "told of another");
}

pub(super) async fn after_retiring_another_may_enlist(store: Under) {
    enlist(&*store, WORKER).await;
    must(store.retire(WORKER).await);
    enlist(&*store, WorkerId(8)).await;
}

pub(super) async fn a_worker_that_has_left_is_told_so(store: Under) {
    let id = due(&*store, spec(), 500).await;
    enlist(&*store, WORKER).await;
    must(store.retire(WORKER).await);
    let refused = store.claim(wanted(&[], at(500), 10)).await;
    assert!(matches!(refused, Err(StoreError::NotEnlisted { .. })), "{refused:?}");
    enlist(&*store, WORKER).await;
    assert_eq!(ids(&claim_at(&*store, at(500), 10).await), [id]);
}

pub(super) async fn what_a_worker_cannot_do_is_left_for_others(store: Under) {
    let other = accepted(Spec { steps: r#"["fail"]"#.into(), ..spec() });
    let (id, needs) = (other.run.spec.id, other.new.needs);
    must(store.start(waking(other, Some(at(400))).new, None).await);
    let echo = due(&*store, spec(), 500).await;
    enlist(&*store, WORKER).await;
    let picky = || Wanted { cannot: Arc::new([needs]), ..wanted(&[], at(900), 10) };
    assert_eq!(must(store.news(picky()).await).next_due, Some(at(500)));
    assert_eq!(ids(&must(store.claim(picky()).await)), [echo]);
    assert_eq!(must(store.news(picky()).await).next_due, None);
    assert_eq!(ids(&claim_at(&*store, at(900), 10).await), [id]);
}

pub(super) async fn an_orphan_that_was_left_alone_is_still_one(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, transition(&mut made.run, &[begin(0)], Some(&claim))).await;
    must(store.retire(WORKER).await);
    enlist(&*store, WORKER).await;
    for _ in 0..3 {
        let found = claim_at(&*store, at(9_000), 10).await;
        assert_eq!((found.len(), found[0].orphaned), (1, true));
        let left = transition(&mut made.run, &[], Some(&found[0].claim));
        let left = Transition { release: true, orphan: true, ..left };
        applied(&*store, &found[0].claim, left).await;
    }
}

pub(super) async fn news_tell_when_the_hook_is_to_be_called(store: Under) {
    assert_eq!(news_of(&*store, WORKER).await.next_call, None);
    let mut made = started(&*store, spec()).await;
    let paused = transition(&mut made.run, &[Event::PauseRequested], None);
    must(store.append_unclaimed(made.run.spec.id, paused).await);
    assert_eq!(news_of(&*store, WORKER).await.next_call, Some(at(0)));
}

pub(super) async fn a_worker_is_listed_with_what_it_knows_and_has(store: Under) {
    assert!(must(store.workers().await).is_empty());
    let (_, _claim) = owned(&*store, spec()).await;
    let listed = must(store.workers().await);
    assert_eq!((listed.len(), listed[0].runs), (1, 1));
    let WorkerInfo { pid, host, steps, queues, .. } = &listed[0].info;
    assert_eq!((*pid, &**host), (42, "here"));
    assert_eq!((&**steps, &**queues), (&["echo".to_owned()][..], &["mail".to_owned()][..]));
    must(store.retire(WORKER).await);
    assert!(must(store.workers().await).is_empty());
}

pub(super) async fn news_tell_whether_others_work(store: Under) {
    owned(&*store, spec()).await;
    assert!(!news_of(&*store, WORKER).await.others_work);
    if matches!(enlisted(&*store, WorkerId(8)).await, Enlisted::Taken(_)) {
        return;
    }
    assert!(news_of(&*store, WorkerId(8)).await.others_work);
    must(store.retire(WORKER).await);
    assert!(!news_of(&*store, WorkerId(8)).await.others_work);
}
