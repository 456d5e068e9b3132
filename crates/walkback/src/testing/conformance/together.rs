//! Many at once: each call has its own verdict.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::machine::Event;
use crate::store::{Appended, Store, Transition};
use crate::testing::conformance::maker::{
    WORKER, accepted, at, begin, claim_at, enlist, ids, load, must, owned, spec, started,
    transition,
};

type Under = Arc<dyn Store>;

fn wins(ends: &[Appended]) -> usize {
    ends.iter().filter(|end| **end == Appended::Applied).count()
}

pub(super) async fn of_appends_of_one_length_exactly_one_is_applied(store: Under) {
    let (made, claim) = owned(&*store, spec()).await;
    let mut appends = JoinSet::new();
    for _ in 0..30 {
        let (store, claim, mut run) = (Arc::clone(&store), claim.clone(), made.run.clone());
        appends.spawn(async move {
            let next = transition(&mut run, &[begin(0)], Some(&claim));
            must(store.append(&claim, next).await)
        });
    }
    assert_eq!(wins(&appends.join_all().await), 1);
    assert_eq!(load(&*store, claim.saga()).await.rows.len(), 2);
}

pub(super) async fn an_owner_and_an_outsider_do_not_both_win(store: Under) {
    for _ in 0..20 {
        let (made, claim) = owned(&*store, spec()).await;
        let (mut ours, mut theirs) = (made.run.clone(), made.run);
        let next = transition(&mut ours, &[begin(0)], Some(&claim));
        let cancel = transition(&mut theirs, &[Event::CancelRequested], None);
        let (own, other) =
            tokio::join!(store.append(&claim, next), store.append_unclaimed(claim.saga(), cancel));
        assert_eq!(wins(&[must(own), must(other)]), 1);
        assert_eq!(load(&*store, claim.saga()).await.rows.len(), 2);
    }
}

pub(super) async fn many_runs_appends_each_have_their_own_verdict(store: Under) {
    let mut appends = JoinSet::new();
    for nth in 0..60_u64 {
        let (mut made, claim) = owned(&*store, spec()).await;
        let store = Arc::clone(&store);
        appends.spawn(async move {
            let next = transition(&mut made.run, &[begin(0)], Some(&claim));
            let wrong = nth % 3 == 0;
            let expected_len = if wrong { 5 } else { 1 };
            let end = must(store.append(&claim, Transition { expected_len, ..next }).await);
            assert_eq!(end == Appended::Refused, wrong);
            assert_eq!(load(&*store, claim.saga()).await.rows.len(), if wrong { 1 } else { 2 });
        });
    }
    appends.join_all().await;
}

pub(super) async fn many_workers_claim_every_run_once(store: Under) {
    for _ in 0..40 {
        started(&*store, spec()).await;
    }
    enlist(&*store, WORKER).await;
    let mut claims = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        claims.spawn(async move {
            let mut own = Vec::new();
            loop {
                let claimed = claim_at(&*store, at(9_000), 3).await;
                if claimed.is_empty() {
                    return own;
                }
                own.extend(ids(&claimed));
            }
        });
    }
    let all = claims.join_all().await.concat();
    assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (40, 40));
}

pub(super) async fn many_starts_at_once_are_all_there(store: Under) {
    let mut starts = JoinSet::new();
    for _ in 0..100 {
        let store = Arc::clone(&store);
        starts.spawn(async move { must(store.start(accepted(spec()).new, None).await) });
    }
    starts.join_all().await;
    assert_eq!(must(store.scan(None, 1_000).await).len(), 100);
}
