//! What is done to one is done to no other: cases that only a missing guard fails, as the hunt for mutants
//! (T13) found them.

use std::sync::Arc;

use crate::desired::{Change, Observed, Provisioned, RecordChange, Resource, Seen, Survey};
use crate::id::SagaId;
use crate::json::Json;
use crate::machine::{Lock, Status};
use crate::run::Run;
use crate::store::{Appended, Claim, Filter, Locks, Spec, Store, Transition};
use crate::testing::conformance::maker::{
    Made, applied, at, begin, claim_at, ids, json, must, owned, refused, spec, transition,
};
use crate::testing::conformance::prune::{ended, stone};
use crate::testing::conformance::records::{made, makes, open};
use crate::time::Timestamp;

type Under = Arc<dyn Store>;

fn other() -> Json {
    json(r#"{"cidr":"10.9.0.0/16"}"#)
}

/// The run records this.
async fn records(store: &dyn Store, run: &mut Run, claim: &Claim, records: Vec<RecordChange>) {
    let next = transition(run, &[], Some(claim));
    applied(store, claim, Transition { records, ..next }).await;
}

fn close(step: usize, moment: i64) -> RecordChange {
    RecordChange::Close { step, at: at(moment) }
}

fn swap(change: &Change) -> RecordChange {
    RecordChange::Swap { change: change.clone(), at: at(5_000) }
}

fn restore(change: &Change) -> RecordChange {
    RecordChange::Restore { change: change.clone(), at: at(6_000) }
}

async fn rows(store: &dyn Store, saga: SagaId) -> Vec<Provisioned> {
    let mut rows = must(store.provisioned(Some(saga)).await);
    rows.sort_by_key(|row| row.step_idx);
    rows
}

async fn thing(store: &dyn Store, name: &str) -> Resource {
    let mut things = must(store.resources().await);
    things.retain(|thing| thing.external_id == name);
    things.remove(0)
}

pub(super) async fn a_thing_is_gone_when_nobody_wants_it_any_more(store: Under) {
    let (mut first, one) = owned(&*store, spec()).await;
    records(&*store, &mut first.run, &one, vec![open(0, "v"), open(1, "w")]).await;
    let (mut second, two) = owned(&*store, spec()).await;
    records(&*store, &mut second.run, &two, vec![open(0, "v")]).await;
    records(&*store, &mut first.run, &one, vec![close(0, 4_000)]).await;
    assert_eq!(thing(&*store, "v").await.gone_at, None, "another run wants it");
    records(&*store, &mut second.run, &two, vec![close(0, 4_500)]).await;
    assert_eq!(thing(&*store, "v").await.gone_at, Some(at(4_500)));
    assert_eq!(thing(&*store, "w").await.gone_at, None);
}

pub(super) async fn what_was_closed_once_is_left_alone(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    let again = vec![open(0, "v"), close(0, 4_000), open(0, "v")];
    records(&*store, &mut run.run, &claim, again).await;
    let closed = |rows: &[Provisioned]| rows.iter().map(|row| row.closed_at).collect::<Vec<_>>();
    let (mut by, other_claim) = owned(&*store, spec()).await;
    let live = rows(&*store, claim.saga()).await.remove(1);
    let change = live.becomes(Some(other()));
    records(&*store, &mut by.run, &other_claim, vec![swap(&change)]).await;
    let held = rows(&*store, claim.saga()).await;
    assert_eq!((&held[0].what, held[0].spec_version), (&made("v"), 1));
    assert_eq!((&held[1].what.spec, held[1].spec_version), (&other(), 2));
    records(&*store, &mut run.run, &claim, vec![close(0, 8_000)]).await;
    let held = rows(&*store, claim.saga()).await;
    assert_eq!(closed(&held), [Some(at(4_000)), Some(at(8_000))]);
}

pub(super) async fn what_was_closed_once_is_not_removed_again(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    let again = vec![open(0, "v"), close(0, 4_000), open(0, "v")];
    records(&*store, &mut run.run, &claim, again).await;
    let (mut by, other_claim) = owned(&*store, spec()).await;
    let live = rows(&*store, claim.saga()).await.remove(1);
    records(&*store, &mut by.run, &other_claim, vec![swap(&live.becomes(None))]).await;
    let closed: Vec<_> =
        rows(&*store, claim.saga()).await.iter().map(|row| row.closed_at).collect();
    assert_eq!(closed, [Some(at(4_000)), Some(at(5_000))]);
}

/// Three things: two steps of one run, and one of another.
async fn three(store: &dyn Store) -> (SagaId, SagaId) {
    let (mut first, one) = owned(store, spec()).await;
    records(store, &mut first.run, &one, vec![open(0, "v"), open(1, "w")]).await;
    let (mut second, two) = owned(store, spec()).await;
    records(store, &mut second.run, &two, vec![open(0, "x")]).await;
    (one.saga(), two.saga())
}

pub(super) async fn a_change_is_of_one_step_of_one_run(store: Under) {
    for becomes in [Some(other()), None] {
        let (one, two) = three(&*store).await;
        let (mut by, claim) = owned(&*store, spec()).await;
        let row = rows(&*store, one).await.remove(0);
        records(&*store, &mut by.run, &claim, vec![swap(&row.becomes(becomes))]).await;
        for untouched in [rows(&*store, one).await.remove(1), rows(&*store, two).await.remove(0)] {
            assert_eq!((untouched.spec_version, untouched.closed_at), (1, None));
        }
    }
}

pub(super) async fn what_is_taken_back_is_of_one_step_of_one_run(store: Under) {
    let (one, two) = three(&*store).await;
    let (mut by, claim) = owned(&*store, spec()).await;
    let mut changes: Vec<Change> = Vec::new();
    for row in rows(&*store, one).await.into_iter().chain(rows(&*store, two).await) {
        changes.push(row.becomes(Some(other())));
    }
    let swaps = changes.iter().map(swap).collect();
    records(&*store, &mut by.run, &claim, swaps).await;
    records(&*store, &mut by.run, &claim, vec![restore(&changes[0])]).await;
    let versions: Vec<_> = [rows(&*store, one).await, rows(&*store, two).await]
        .concat()
        .iter()
        .map(|row| row.spec_version)
        .collect();
    assert_eq!(versions, [1, 2, 2]);
}

pub(super) async fn an_older_change_is_not_taken_back_before_a_newer_one(store: Under) {
    let (one, _) = three(&*store).await;
    let (mut by, claim) = owned(&*store, spec()).await;
    let first = rows(&*store, one).await.remove(0).becomes(Some(other()));
    records(&*store, &mut by.run, &claim, vec![swap(&first)]).await;
    let second = rows(&*store, one).await.remove(0).becomes(Some(json("{}")));
    records(&*store, &mut by.run, &claim, vec![swap(&second)]).await;
    records(&*store, &mut by.run, &claim, vec![restore(&first)]).await;
    assert_eq!(rows(&*store, one).await[0].spec_version, 3);
}

pub(super) async fn what_another_changed_instead_is_not_taken_back(store: Under) {
    let (one, _) = three(&*store).await;
    let change = rows(&*store, one).await.remove(0).becomes(Some(other()));
    let (mut faster, claim) = owned(&*store, spec()).await;
    records(&*store, &mut faster.run, &claim, vec![swap(&change)]).await;
    let (mut slower, late) = owned(&*store, spec()).await;
    records(&*store, &mut slower.run, &late, vec![restore(&change)]).await;
    let row = rows(&*store, one).await.remove(0);
    assert_eq!((row.spec_version, row.changed_by), (2, Some(claim.saga())));
}

/// A row that looks like another one of the same saga, and like one of another saga.
pub(super) async fn a_change_of_a_row_that_is_closed_is_refused_though_others_look_like_it(
    store: Under,
) {
    let (mut first, one) = owned(&*store, spec()).await;
    records(&*store, &mut first.run, &one, vec![open(0, "v"), open(1, "v")]).await;
    let (mut second, two) = owned(&*store, spec()).await;
    records(&*store, &mut second.run, &two, vec![open(0, "v")]).await;
    let change = rows(&*store, one.saga()).await.remove(0).becomes(Some(other()));
    records(&*store, &mut first.run, &one, vec![close(0, 4_000)]).await;
    let (mut by, claim) = owned(&*store, spec()).await;
    let next = transition(&mut by.run, &[], Some(&claim));
    refused(&*store, &claim, Transition { records: vec![swap(&change)], ..next }).await;
}

pub(super) async fn a_change_says_who_changed_it_before_and_what_was_wanted(store: Under) {
    let (one, _) = three(&*store).await;
    let (mut by, claim) = owned(&*store, spec()).await;
    let change = rows(&*store, one).await.remove(0).becomes(Some(other()));
    for wrong in [
        Change { changed_by: Some(one), ..change.clone() },
        Change { before: other(), ..change.clone() },
    ] {
        let next = transition(&mut by.run, &[], Some(&claim));
        refused(&*store, &claim, Transition { records: vec![swap(&wrong)], ..next }).await;
    }
}

pub(super) async fn what_is_closed_with_a_row_is_closed_once(store: Under) {
    let (mut made, claim) = owned(&*store, spec()).await;
    records(&*store, &mut made.run, &claim, vec![open(0, "v")]).await;
    let next = transition(&mut made.run, &[begin(0)], Some(&claim));
    applied(&*store, &claim, Transition { records: vec![close(0, 4_000)], ..next }).await;
    assert_eq!(rows(&*store, claim.saga()).await[0].closed_at, Some(at(4_000)));
}

pub(super) async fn others_things_are_neither_gone_nor_back_with_one(store: Under) {
    survey(&*store, "cloud", "vpc", &["seen"], 1_000).await;
    let (mut first, one) = owned(&*store, spec()).await;
    records(&*store, &mut first.run, &one, vec![open(0, "v"), open(1, "w")]).await;
    records(&*store, &mut first.run, &one, vec![close(0, 4_000)]).await;
    assert_eq!(thing(&*store, "seen").await.gone_at, None, "nobody said that it is gone");
    let (mut by, claim) = owned(&*store, spec()).await;
    let change = rows(&*store, one.saga()).await.remove(1).becomes(None);
    records(&*store, &mut by.run, &claim, vec![swap(&change)]).await;
    records(&*store, &mut by.run, &claim, vec![restore(&change)]).await;
    assert_eq!(thing(&*store, "w").await.gone_at, None);
    assert_eq!(thing(&*store, "v").await.gone_at, Some(at(4_000)), "it is still gone");
}

async fn survey(
    store: &dyn Store,
    provider: &str,
    kind: &str,
    found: &[&str],
    begun: i64,
) -> Observed {
    let seen = |id: &&str| Seen {
        kind: kind.to_owned(),
        external_id: (*id).to_owned(),
        name: None,
        region: None,
        tags: Vec::new(),
        state: json("{}"),
    };
    let (provider, kinds) = (provider.to_owned(), vec![kind.to_owned()]);
    let found = found.iter().map(seen).collect();
    let (begun_at, at) = (at(begun), at(begun + 10));
    must(store.observe(Survey { provider, kinds, found, begun_at, at }).await)
}

pub(super) async fn what_another_provider_has_is_new_here(store: Under) {
    for provider in ["cloud", "sky"] {
        assert_eq!(survey(&*store, provider, "vpc", &["v"], 1_000).await.new, 1);
    }
    assert_eq!(survey(&*store, "sky", "vpc", &["v"], 2_000).await.new, 0);
}

pub(super) async fn a_survey_tells_of_its_provider_and_its_kinds_alone(store: Under) {
    for (provider, kind) in [("cloud", "vpc"), ("sky", "vpc"), ("cloud", "droplet")] {
        survey(&*store, provider, kind, &[&format!("{provider}-{kind}")], 1_000).await;
    }
    survey(&*store, "cloud", "vpc", &[], 2_000).await;
    let missing = |things: &[Resource]| things.iter().filter(|t| t.missing_since.is_some()).count();
    assert_eq!(missing(&must(store.resources().await)), 1);
    survey(&*store, "sky", "vpc", &[], 2_100).await;
    survey(&*store, "cloud", "droplet", &[], 2_200).await;
    survey(&*store, "cloud", "vpc", &[], 3_000).await;
    let things = must(store.resources().await);
    let gone: Vec<_> = things.iter().filter(|thing| thing.gone_at.is_some()).collect();
    assert_eq!((gone.len(), &*gone[0].external_id), (1, "cloud-vpc"));
}

pub(super) async fn an_older_survey_that_comes_late_proves_nothing(store: Under) {
    survey(&*store, "cloud", "vpc", &["v"], 2_000).await;
    survey(&*store, "cloud", "vpc", &[], 3_000).await;
    survey(&*store, "cloud", "vpc", &[], 1_500).await;
    let thing = thing(&*store, "v").await;
    assert_eq!((thing.missing_since, thing.gone_at), (Some(at(3_010)), None));
}

fn lock(at_most: Option<u32>) -> Vec<Lock> {
    vec![Lock { key: "k".to_owned(), at_most }]
}

/// A run that takes, or waits for, the key; let go until much later.
async fn locking(store: &dyn Store, take: Vec<Lock>, wait_for: Vec<Lock>) -> (Made, Claim) {
    let (mut made, claim) = owned(store, spec()).await;
    let mut next = transition(&mut made.run, &[], None);
    next.head.wake_at = Some(at(50_000));
    let locks = Locks { take, wait_for };
    applied(store, &claim, Transition { locks, release: true, ..next }).await;
    (made, claim)
}

/// It stands so from here on.
async fn ends(store: &dyn Store, made: &mut Made, status: Status, attention: bool) {
    let mut next = transition(&mut made.run, &[], None);
    (next.head.status, next.head.attention, next.head.wake_at) = (status, attention, None);
    next.head.finished_at = Some(at(9));
    let id = made.run.spec.id;
    assert_eq!(must(store.append_unclaimed(id, next).await), Appended::Applied);
}

async fn due(store: &dyn Store) -> Vec<SagaId> {
    ids(&claim_at(store, Timestamp::from_micros(9_000), 10).await)
}

pub(super) async fn whoever_holds_is_not_woken_for_another_place(store: Under) {
    let limit = || lock(Some(2));
    let (mut first, _) = locking(&*store, limit(), vec![]).await;
    locking(&*store, limit(), vec![]).await;
    let (_, waiter) = locking(&*store, vec![], limit()).await;
    ends(&*store, &mut first, Status::Completed, false).await;
    must(store.let_go(first.run.spec.id).await);
    assert_eq!(due(&*store).await, [waiter.saga()]);
}

pub(super) async fn whoever_waits_no_more_is_passed_over(store: Under) {
    let (mut holder, _) = locking(&*store, lock(None), vec![]).await;
    let (mut first, _) = locking(&*store, vec![], lock(None)).await;
    let (_, second) = locking(&*store, vec![], lock(None)).await;
    ends(&*store, &mut first, Status::RolledBack, false).await;
    ends(&*store, &mut holder, Status::Completed, false).await;
    must(store.let_go(holder.run.spec.id).await);
    assert_eq!(due(&*store).await, [second.saga()]);
}

pub(super) async fn a_lock_is_not_let_go_by_anothers_end(store: Under) {
    let (mut over, _) = locking(&*store, vec![], vec![]).await;
    ends(&*store, &mut over, Status::Completed, false).await;
    let (holder, _) = locking(&*store, lock(None), vec![]).await;
    locking(&*store, vec![], lock(None)).await;
    must(store.let_go(holder.run.spec.id).await);
    assert!(due(&*store).await.is_empty());
    assert_eq!(must(store.holders(vec!["k".to_owned()]).await).len(), 1);
}

pub(super) async fn what_a_failed_run_lets_go_depends_on_what_is_left(store: Under) {
    let cases = [(None, true, true), (None, false, false), (Some(1), true, false)];
    for (at_most, attention, stays) in cases {
        let (mut holder, _) = locking(&*store, lock(at_most), vec![]).await;
        let (mut waiter, claim) = locking(&*store, vec![], lock(at_most)).await;
        ends(&*store, &mut holder, Status::Failed, attention).await;
        must(store.let_go(holder.run.spec.id).await);
        let expected = if stays { vec![] } else { vec![claim.saga()] };
        assert_eq!(due(&*store).await, expected, "{at_most:?} {attention}");
        let left = must(store.holders(vec!["k".to_owned()]).await).len();
        assert_eq!(left, usize::from(stays));
        // Out of the way of the next case.
        ends(&*store, &mut holder, Status::RolledBack, false).await;
        ends(&*store, &mut waiter, Status::RolledBack, false).await;
        must(store.let_go(holder.run.spec.id).await);
        must(store.let_go(waiter.run.spec.id).await);
    }
}

pub(super) async fn whoever_waits_for_another_key_is_not_woken(store: Under) {
    let key = |key: &str| vec![Lock { key: key.to_owned(), at_most: None }];
    let (mut holder, _) = locking(&*store, key("k"), vec![]).await;
    locking(&*store, key("other"), vec![]).await;
    let (_, waiter) = locking(&*store, vec![], key("k")).await;
    locking(&*store, vec![], key("other")).await;
    ends(&*store, &mut holder, Status::Completed, false).await;
    must(store.let_go(holder.run.spec.id).await);
    assert_eq!(due(&*store).await, [waiter.saga()]);
}

/// A run that is at its end, with this label.
async fn over(store: &dyn Store, tenant: &str) -> Made {
    let labels = [("tenant".to_owned(), tenant.to_owned())].into();
    ended(store, Spec { labels, ..spec() }).await.0
}

pub(super) async fn what_others_own_keeps_nobody_from_being_pruned(store: Under) {
    let (mut owner, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut owner.run, &claim, 0, "v")).await;
    let made = over(&*store, "a").await;
    assert_eq!(must(store.prune(stone(&made.run)).await), Appended::Applied);
}

pub(super) async fn others_keep_their_labels_when_one_is_pruned(store: Under) {
    let (pruned, stays) = (over(&*store, "a").await, over(&*store, "a").await);
    assert_eq!(must(store.prune(stone(&pruned.run)).await), Appended::Applied);
    let labels = vec![("tenant".to_owned(), "a".to_owned())];
    let found = must(store.list(Filter { labels, limit: 9, ..Filter::default() }).await);
    assert_eq!(found, [stays.run.spec.id]);
}

pub(super) async fn others_keep_their_locks_and_their_records_when_one_is_pruned(store: Under) {
    locking(&*store, lock(None), vec![]).await;
    let (mut other, claim) = owned(&*store, spec()).await;
    records(&*store, &mut other.run, &claim, vec![open(0, "v"), close(0, 4_000)]).await;
    let pruned = over(&*store, "a").await;
    assert_eq!(must(store.prune(stone(&pruned.run)).await), Appended::Applied);
    assert_eq!(must(store.holders(vec!["k".to_owned()]).await).len(), 1);
    assert_eq!(rows(&*store, claim.saga()).await.len(), 1);
}
