//! Starting: one commit, one run per key.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::ClaimId;
use crate::store::{Filter, Spec, Started, Store, StoreError};
use crate::testing::conformance::maker::{
    WORKER, accepted, applied, at, begin, claim_at, enlist, ids, json, keyed, load, must, owned,
    some, spec, started, transition,
};

type Under = Arc<dyn Store>;

pub(super) async fn a_started_run_can_be_loaded(store: Under) {
    let made = started(&*store, spec()).await;
    let stored = load(&*store, made.run.spec.id).await;
    assert_eq!(stored.spec, made.new.spec);
    assert_eq!(stored.rows, made.new.rows);
    assert_eq!(stored.head, made.new.head);
}

pub(super) async fn a_start_without_an_owner_is_nobodys(store: Under) {
    let made = started(&*store, spec()).await;
    assert_eq!(load(&*store, made.run.spec.id).await.owner, None);
}

pub(super) async fn a_start_with_an_owner_gives_a_claim_that_may_write(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    assert_eq!(claim.saga(), made.run.spec.id);
    assert_eq!(load(&*store, claim.saga()).await.owner, Some(claim.id()));
    applied(&*store, &claim, transition(&mut made.run, &[begin(0)], Some(&claim))).await;
}

pub(super) async fn a_start_for_a_worker_that_has_left_stores_nothing(store: Under) {
    starts_for_who_has_left(store, spec()).await;
}

pub(super) async fn nor_does_one_with_labels(store: Under) {
    let labels = [("a".to_owned(), "1".to_owned())].into();
    starts_for_who_has_left(store, Spec { labels, ..spec() }).await;
}

async fn starts_for_who_has_left(store: Under, spec: Spec) {
    enlist(&*store, WORKER).await;
    must(store.retire(WORKER).await);
    let made = accepted(spec);
    let owner = Some((WORKER, ClaimId::random()));
    let begun = must(store.start(made.new.clone(), owner).await);
    assert!(matches!(begun, Started::NotEnlisted), "{begun:?}");
    assert!(must(store.load(made.run.spec.id).await).is_none());
    must(store.start(made.new.clone(), None).await);
    enlist(&*store, WORKER).await;
    assert_eq!(ids(&claim_at(&*store, at(9_000), 10).await), [made.run.spec.id]);
}

pub(super) async fn the_first_claim_has_fence_one(store: Under) {
    let (_, claim) = owned(&*store, spec()).await;
    assert_eq!(claim.fence(), 1);
    assert_ne!(claim.id(), ClaimId::NONE);
}

pub(super) async fn a_key_starts_one_run(store: Under) {
    started(&*store, keyed("k")).await;
    let again = must(store.start(accepted(keyed("k")).new, None).await);
    assert!(matches!(again, Started::Exists(_)));
}

pub(super) async fn a_known_key_gives_back_the_spec_of_its_run(store: Under) {
    let first = started(&*store, Spec { inputs: json(r#"{"a": 1}"#), ..keyed("k") }).await;
    let again = must(store.start(accepted(keyed("k")).new, None).await);
    assert!(matches!(again, Started::Exists(spec) if *spec == first.new.spec));
}

pub(super) async fn a_known_key_stores_nothing(store: Under) {
    started(&*store, keyed("k")).await;
    let other = accepted(keyed("k"));
    enlist(&*store, WORKER).await;
    must(store.start(other.new.clone(), Some((WORKER, ClaimId::random()))).await);
    assert!(must(store.load(other.new.spec.id).await).is_none());
    assert_eq!(must(store.scan(None, 10).await).len(), 1);
}

pub(super) async fn runs_without_a_key_are_never_the_same(store: Under) {
    started(&*store, spec()).await;
    started(&*store, spec()).await;
    assert_eq!(must(store.scan(None, 10).await).len(), 2);
}

pub(super) async fn a_known_id_is_an_error_and_stores_nothing(store: Under) {
    let (made, claim) = owned(&*store, spec()).await;
    let stored = load(&*store, claim.saga()).await;
    for owner in [None, Some((WORKER, ClaimId::random()))] {
        let again = store.start(made.new.clone(), owner).await;
        assert!(matches!(again, Err(StoreError::Failed { .. })), "{again:?}");
        assert_eq!(load(&*store, claim.saga()).await, stored);
    }
}

pub(super) async fn keys_are_told_apart_by_case_and_space(store: Under) {
    for key in ["k", "K", "k ", " k", "ќ", "k\u{301}"] {
        started(&*store, keyed(key)).await;
    }
    assert_eq!(must(store.scan(None, 10).await).len(), 6);
}

async fn race(store: &Under) -> Vec<Started> {
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let store = Arc::clone(store);
        starts.spawn(async move { must(store.start(accepted(keyed("k")).new, None).await) });
    }
    starts.join_all().await
}

pub(super) async fn of_fifty_racing_starts_one_wins(store: Under) {
    let won = race(&store).await.into_iter().filter(|end| matches!(end, Started::Created(_)));
    assert_eq!(won.count(), 1);
    assert_eq!(must(store.scan(None, 100).await).len(), 1);
}

pub(super) async fn the_winner_of_racing_starts_is_the_one_that_losers_read(store: Under) {
    let ends = race(&store).await;
    let winner = some(must(store.scan(None, 1).await).pop()).spec.id;
    let read: BTreeSet<_> = ends
        .into_iter()
        .filter_map(|end| match end {
            Started::Exists(spec) => Some(spec.id),
            Started::Created(_) | Started::NotEnlisted => None,
        })
        .collect();
    assert_eq!(read, BTreeSet::from([winner]));
}

pub(super) async fn labels_priority_queue_and_deadline_are_kept(store: Under) {
    let labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())].into();
    let own = Spec {
        labels,
        priority: -5,
        queue: "slow".into(),
        deadline: Some(at(99)),
        key: Some("k".into()),
        ..spec()
    };
    let made = started(&*store, own.clone()).await;
    assert_eq!(load(&*store, made.run.spec.id).await.spec, own);
}

pub(super) async fn what_is_not_there_is_not_loaded(store: Under) {
    let id = spec().id;
    assert!(must(store.load(id).await).is_none());
    assert!(must(store.head(id).await).is_none());
    assert!(must(store.rows(id, 0).await).is_empty());
    let filter = Filter { after: Some(id), limit: 10, ..Filter::default() };
    assert!(must(store.list(filter).await).is_empty());
}
