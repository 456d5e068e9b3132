//! Listing and scanning.

use std::sync::Arc;

use crate::id::SagaId;
use crate::machine::Status;
use crate::store::{Filter, Spec, Store};
use crate::testing::conformance::maker::{accepted, load, must, spec, start_as, started};

type Under = Arc<dyn Store>;

fn all() -> Filter {
    Filter { limit: 100, ..Filter::default() }
}

async fn list(store: &dyn Store, filter: Filter) -> Vec<SagaId> {
    must(store.list(filter).await)
}

/// Five runs, oldest first.
async fn five(store: &dyn Store) -> Vec<SagaId> {
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(started(store, spec()).await.run.spec.id);
    }
    ids
}

/// A run in this state.
async fn in_status(store: &dyn Store, own: Spec, status: Status, parked: Option<&str>) -> SagaId {
    let mut made = accepted(own);
    made.new.head.status = status;
    made.new.head.parked = parked.map(str::to_owned);
    made.new.head.attention = parked.is_some();
    start_as(store, &made).await;
    made.run.spec.id
}

fn labelled(labels: &[(&str, &str)]) -> Spec {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Spec { labels: labels.iter().map(owned).collect(), ..spec() }
}

fn wanting(labels: &[(&str, &str)]) -> Filter {
    Filter { labels: labelled(labels).labels.into_iter().collect(), ..all() }
}

pub(super) async fn a_list_is_newest_first(store: Under) {
    let mut ids = five(&*store).await;
    ids.reverse();
    assert_eq!(list(&*store, all()).await, ids);
}

pub(super) async fn a_list_is_cut_to_its_limit(store: Under) {
    let ids = five(&*store).await;
    let listed = list(&*store, Filter { limit: 2, ..all() }).await;
    assert_eq!(listed, [ids[4], ids[3]]);
    let unlimited = Filter { limit: usize::MAX, ..all() };
    assert_eq!(list(&*store, unlimited).await.len(), 5);
}

pub(super) async fn a_list_goes_on_after_a_run(store: Under) {
    let ids = five(&*store).await;
    let next = Filter { after: Some(ids[3]), limit: 2, ..all() };
    assert_eq!(list(&*store, next).await, [ids[2], ids[1]]);
    assert!(list(&*store, Filter { after: Some(ids[0]), ..all() }).await.is_empty());
}

pub(super) async fn a_list_is_filtered_by_status(store: Under) {
    for status in Status::ALL {
        let id = in_status(&*store, spec(), status, None).await;
        let only = Filter { statuses: vec![status], ..all() };
        assert_eq!(list(&*store, only).await, [id], "{status:?}");
    }
    let two = Filter { statuses: vec![Status::Failed, Status::Parked], ..all() };
    assert_eq!(list(&*store, two).await.len(), 2);
}

pub(super) async fn a_list_is_filtered_by_kind(store: Under) {
    started(&*store, spec()).await;
    let own = started(&*store, Spec { kind: "other".into(), ..spec() }).await.run.spec.id;
    let kind = |kind: &str| Filter { kind: Some(kind.to_owned()), ..all() };
    assert_eq!(list(&*store, kind("other")).await, [own]);
    assert!(list(&*store, kind("othe_")).await.is_empty());
}

pub(super) async fn a_list_is_filtered_by_every_label(store: Under) {
    let both = started(&*store, labelled(&[("a", "1"), ("b", "2")])).await.run.spec.id;
    let one = started(&*store, labelled(&[("a", "1")])).await.run.spec.id;
    assert_eq!(list(&*store, wanting(&[("a", "1")])).await, [one, both]);
    assert_eq!(list(&*store, wanting(&[("a", "1"), ("b", "2")])).await, [both]);
    for absent in [("a", "2"), ("b", "1"), ("c", ""), ("a", "")] {
        assert!(list(&*store, wanting(&[absent])).await.is_empty(), "{absent:?}");
    }
}

pub(super) async fn a_list_is_filtered_by_why_it_is_parked(store: Under) {
    let paused = in_status(&*store, spec(), Status::Parked, Some("paused")).await;
    in_status(&*store, spec(), Status::Parked, Some("poison")).await;
    started(&*store, spec()).await;
    let filter = Filter { parked: Some("paused".to_owned()), ..all() };
    assert_eq!(list(&*store, filter).await, [paused]);
}

pub(super) async fn a_list_is_filtered_by_what_needs_a_person(store: Under) {
    started(&*store, spec()).await;
    let mut made = accepted(spec());
    made.new.head.attention = true;
    start_as(&*store, &made).await;
    let filter = Filter { attention: true, ..all() };
    assert_eq!(list(&*store, filter).await, [made.run.spec.id]);
}

pub(super) async fn filters_add_up(store: Under) {
    let own = Spec { kind: "site".into(), ..labelled(&[("a", "1")]) };
    let wanted = in_status(&*store, own.clone(), Status::Failed, None).await;
    let again = Spec { id: SagaId::new(), ..own };
    in_status(&*store, again, Status::Completed, None).await;
    in_status(&*store, labelled(&[("a", "1")]), Status::Failed, None).await;
    let filter = Filter {
        kind: Some("site".into()),
        statuses: vec![Status::Failed],
        ..wanting(&[("a", "1")])
    };
    assert_eq!(list(&*store, filter).await, [wanted]);
}

pub(super) async fn an_empty_store_lists_nothing(store: Under) {
    assert!(list(&*store, all()).await.is_empty());
    assert!(must(store.scan(None, 10).await).is_empty());
    assert!(must(store.provisioned(None).await).is_empty());
}

pub(super) async fn a_scan_reads_every_run_once(store: Under) {
    let ids = five(&*store).await;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = must(store.scan(after, 2).await);
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.spec.id);
        found.extend(page.iter().map(|run| run.spec.id));
    }
    assert_eq!(found, ids);
}

pub(super) async fn a_scan_is_in_the_order_of_ids(store: Under) {
    let (earlier, later) = (spec(), spec());
    let ids = [earlier.id, later.id];
    started(&*store, later).await;
    started(&*store, earlier).await;
    let mut sorted = ids;
    sorted.sort_unstable();
    let found: Vec<_> = must(store.scan(None, 9).await).iter().map(|run| run.spec.id).collect();
    assert_eq!(found, sorted);
}

pub(super) async fn a_scan_shows_rows_and_heads(store: Under) {
    let made = started(&*store, spec()).await;
    let scanned = must(store.scan(None, 1).await).swap_remove(0);
    let loaded = load(&*store, made.run.spec.id).await;
    assert_eq!((scanned.spec, scanned.head), (loaded.spec, loaded.head));
    assert_eq!((scanned.rows, scanned.owner), (loaded.rows, loaded.owner));
}
