//! Turns: where more is due than a worker takes, nobody's many keep out another's one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::SagaId;
use crate::store::{Claimed, Party, Spec, Store, Wanted};
use crate::testing::conformance::maker::{
    WORKER, accepted, at, enlist, ids, must, spec, start_as, waking, wanted,
};

type Under = Arc<dyn Store>;

fn tenant(name: &str) -> Spec {
    let labels = [("tenant".to_owned(), name.to_owned())].into();
    Spec { labels, ..spec() }
}

/// So many due runs.
async fn due(store: &dyn Store, count: usize, spec: impl Fn() -> Spec) -> Vec<SagaId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let made = waking(accepted(spec()), Some(at(1)));
        start_as(store, &made).await;
        ids.push(made.run.spec.id);
    }
    ids
}

async fn claim(store: &dyn Store, after: Option<Party>, limit: usize) -> Vec<Claimed> {
    must(store.claim(Wanted { turns_after: after, ..wanted(&[], at(9), limit) }).await)
}

pub(super) async fn every_tenant_gets_a_turn(store: Under) {
    enlist(&*store, WORKER).await;
    due(&*store, 8, || tenant("many")).await;
    let one = due(&*store, 1, || tenant("one")).await;
    let claimed = ids(&claim(&*store, Some(Party(0)), 4).await);
    assert!(claimed.contains(&one[0]), "{claimed:?}");
    assert_eq!(claimed.len(), 3, "an equal share for each");
    assert_eq!(claim(&*store, None, 10).await.len(), 6);
}

pub(super) async fn turns_go_round_about(store: Under) {
    enlist(&*store, WORKER).await;
    for name in ["a", "b", "c"] {
        due(&*store, 3, || tenant(name)).await;
    }
    let mut after = Party(0);
    for _ in 0..3 {
        let mut served = BTreeSet::new();
        for _ in 0..3 {
            let claimed = claim(&*store, Some(after), 1).await.swap_remove(0);
            after = Party::of(&claimed.run.spec);
            served.insert(after);
        }
        assert_eq!(served.len(), 3, "each once before anybody comes again");
    }
    assert!(claim(&*store, Some(after), 1).await.is_empty());
}

pub(super) async fn queues_take_turns_too(store: Under) {
    enlist(&*store, WORKER).await;
    due(&*store, 8, || Spec { queue: "mail".into(), ..spec() }).await;
    let other = due(&*store, 1, spec).await;
    assert!(ids(&claim(&*store, Some(Party(7)), 2).await).contains(&other[0]));
}

pub(super) async fn a_turn_does_not_come_before_a_higher_priority(store: Under) {
    enlist(&*store, WORKER).await;
    due(&*store, 1, || tenant("low")).await;
    let high = due(&*store, 2, || Spec { priority: 1, ..tenant("high") }).await;
    let claimed: BTreeSet<_> = ids(&claim(&*store, Some(Party(0)), 2).await).into_iter().collect();
    assert_eq!(claimed, high.into_iter().collect());
}

pub(super) async fn what_is_not_due_has_no_turn(store: Under) {
    enlist(&*store, WORKER).await;
    start_as(&*store, &waking(accepted(tenant("later")), Some(at(10)))).await;
    let one = due(&*store, 1, || tenant("one")).await;
    assert_eq!(ids(&claim(&*store, Some(Party(0)), 4).await), one);
}
