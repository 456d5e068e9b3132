//! What another process does to a worker of this one: by a second hand on the same store.

use std::sync::Arc;

use crate::id::ClaimId;
use crate::store::{Enlisted, Party, Started, Store, StoreError, Wanted, WorkerId};
use crate::testing::conformance::beside;
use crate::testing::conformance::maker::{
    WORKER, accepted, applied, at, begin, enlist, enlisted, ids, must, owned, spec, started,
    transition, wanted,
};

type Under = Arc<dyn Store>;

/// Another worker, and one that is enlisted here and was taken for dead elsewhere. Nothing, where there
/// is one worker at a time.
async fn taken_for_dead(store: &dyn Store) -> Option<WorkerId> {
    enlist(store, WORKER).await;
    let other = WorkerId(8);
    if !matches!(enlisted(store, other).await, Enlisted::Working) {
        return None;
    }
    must(beside()?.retire(WORKER).await);
    Some(other)
}

pub(super) async fn who_is_taken_for_dead_elsewhere_claims_nothing(store: Under) {
    for turns_after in [None, Some(Party(0))] {
        let Some(other) = taken_for_dead(&*store).await else { return };
        let made = started(&*store, spec()).await;
        let asked = |worker| Wanted { worker, turns_after, ..wanted(&[], at(9_000), 10) };
        let refused = store.claim(asked(WORKER)).await;
        assert!(matches!(refused, Err(StoreError::NotEnlisted { .. })), "{refused:?}");
        let claimed = ids(&must(store.claim(asked(other)).await));
        assert!(claimed.contains(&made.run.spec.id), "it is the other's");
        must(store.retire(other).await);
        must(store.retire(WORKER).await);
    }
}

pub(super) async fn who_is_taken_for_dead_elsewhere_starts_nothing(store: Under) {
    if taken_for_dead(&*store).await.is_none() {
        return;
    }
    let begun = store.start(accepted(spec()).new, Some((WORKER, ClaimId::random()))).await;
    assert!(matches!(must(begun), Started::NotEnlisted));
}

pub(super) async fn nobody_leaves_for_another(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    for other in [WorkerId(8), WorkerId(9)] {
        if !matches!(enlisted(&*store, other).await, Enlisted::Working) {
            return;
        }
    }
    must(store.retire(WorkerId(8)).await);
    applied(&*store, &claim, transition(&mut made.run, &[begin(0)], Some(&claim))).await;
    // Without anything to do, too.
    let made = started(&*store, spec()).await;
    let asked = Wanted { worker: WorkerId(9), ..wanted(&[], at(9_000), 10) };
    assert_eq!(ids(&must(store.claim(asked).await)), [made.run.spec.id]);
}
