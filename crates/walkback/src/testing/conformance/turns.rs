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

/// Tenants in the order of their turns.
fn in_order() -> [String; 3] {
    let mut names = ["a", "b", "c"].map(str::to_owned);
    names.sort_by_key(|name| Party::of(&tenant(name)));
    names
}

/// The turn before everybody's, the first one's, and the one behind everybody's.
fn turns() -> [Party; 3] {
    [Party(i64::MIN), Party::of(&tenant(&in_order()[0])), Party(i64::MAX)]
}

/// The only one that is due gets all places, wherever the others stand and whatever they have: what is
/// somebody's already, or of a lower priority.
pub(super) async fn who_has_nothing_to_claim_takes_no_place(store: Under) {
    enlist(&*store, WORKER).await;
    for after in turns() {
        for (nth, name) in in_order().iter().enumerate() {
            for other in in_order().iter().filter(|other| *other != name) {
                due(&*store, 1, || tenant(other)).await;
            }
            must(store.claim(wanted(&[], at(9), 10)).await);
            for other in in_order().iter().filter(|other| *other != name) {
                due(&*store, 2, || Spec { priority: -1, ..tenant(other) }).await;
            }
            let only = due(&*store, 4, || tenant(name)).await;
            let claimed = ids(&claim(&*store, Some(after), 4).await);
            let (claimed, only): (BTreeSet<_>, BTreeSet<_>) =
                (claimed.into_iter().collect(), only.into_iter().collect());
            assert_eq!(claimed, only, "the {nth}th, after {after:?}");
            must(store.claim(wanted(&[], at(9), 10)).await);
        }
    }
}

pub(super) async fn nobody_has_two_turns_at_once(store: Under) {
    enlist(&*store, WORKER).await;
    for after in turns() {
        for name in in_order() {
            due(&*store, 4, || tenant(&name)).await;
        }
        assert_eq!(claim(&*store, Some(after), 12).await.len(), 12, "after {after:?}");
    }
}

/// What is due longer, but of a lower priority, comes later within a party too.
pub(super) async fn a_party_is_served_by_priority(store: Under) {
    enlist(&*store, WORKER).await;
    due(&*store, 3, || Spec { priority: -1, ..tenant("a") }).await;
    let made = waking(accepted(tenant("a")), Some(at(5)));
    start_as(&*store, &made).await;
    due(&*store, 3, || tenant("b")).await;
    let claimed = ids(&claim(&*store, Some(Party(0)), 4).await);
    assert!(claimed.contains(&made.run.spec.id), "{claimed:?}");
}

pub(super) async fn turns_are_of_the_queues_and_the_steps_asked_for(store: Under) {
    enlist(&*store, WORKER).await;
    due(&*store, 1, || Spec { queue: "mail".into(), ..tenant("a") }).await;
    let other = accepted(Spec { steps: r#"["fail"]"#.into(), ..tenant("b") });
    let cannot: Arc<[_]> = Arc::new([other.new.needs]);
    start_as(&*store, &waking(other, Some(at(1)))).await;
    let ours = due(&*store, 1, || tenant("c")).await;
    let asked = wanted(&["default"], at(9), 10);
    let asked = Wanted { turns_after: Some(Party(0)), cannot, ..asked };
    assert_eq!(ids(&must(store.claim(asked).await)), ours);
}
