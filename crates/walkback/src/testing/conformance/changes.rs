//! Changes of what other runs have provisioned: compared, swapped, taken back (rule S19).

use std::sync::Arc;

use crate::desired::{Change, Identity, Provisioned, RecordChange};
use crate::id::SagaId;
use crate::json::Json;
use crate::run::Run;
use crate::store::{Appended, Claim, Store, Transition};
use crate::testing::conformance::maker::{
    applied, at, begin, done, json, must, owned, spec, transition,
};
use crate::testing::conformance::records::{made, makes};

type Under = Arc<dyn Store>;

/// A run that made `v` at step 0, and another that changes that, as the change says.
async fn changing(store: &dyn Store, change: impl FnOnce(&Provisioned) -> Change) -> Two {
    let (mut first, claim) = owned(store, spec()).await;
    applied(store, &claim, makes(&mut first.run, &claim, 0, "v")).await;
    let row = must(store.provisioned(Some(claim.saga())).await).remove(0);
    let change = change(&row);
    let (mut second, by) = owned(store, spec()).await;
    let next = transition(&mut second.run, &[begin(0), done(0, "{}")], Some(&by));
    let swap = RecordChange::Swap { change: change.clone(), at: at(5_000) };
    let next = Transition { records: vec![swap], ..next };
    let appended = must(store.append(&by, next).await);
    Two { made: claim.saga(), change, second: second.run, by, appended }
}

struct Two {
    made: SagaId,
    change: Change,
    second: Run,
    by: Claim,
    appended: Appended,
}

impl Two {
    /// The row of what was made.
    async fn row(&self, store: &dyn Store) -> Provisioned {
        must(store.provisioned(Some(self.made)).await).remove(0)
    }

    async fn restored(&mut self, store: &dyn Store) -> Provisioned {
        let next = transition(&mut self.second, &[], Some(&self.by));
        let restore = RecordChange::Restore { change: self.change.clone(), at: at(6_000) };
        applied(store, &self.by, Transition { records: vec![restore], ..next }).await;
        self.row(store).await
    }
}

fn other() -> Json {
    json(r#"{"cidr":"10.1.0.0/16"}"#)
}

pub(super) async fn another_run_may_change_what_was_made(store: Under) {
    let two = changing(&*store, |row| row.becomes(Some(other()))).await;
    let row = two.row(&*store).await;
    assert_eq!((two.appended, row.spec_version), (Appended::Applied, 2));
    assert_eq!((row.what.spec, row.changed_by), (other(), Some(two.by.saga())));
    assert_eq!((row.saga_id, row.closed_at), (two.made, None));
}

pub(super) async fn a_change_that_comes_too_late_writes_nothing(store: Under) {
    let late = |row: &Provisioned| Change { spec_version: 9, ..row.becomes(Some(other())) };
    let two = changing(&*store, late).await;
    let row = two.row(&*store).await;
    assert_eq!((two.appended, row.spec_version), (Appended::Refused, 1));
    assert_eq!((row.what, row.changed_by), (made("v"), None));
    assert_eq!(must(store.rows(two.by.saga(), 0).await).len(), 1);
}

pub(super) async fn another_run_may_remove_what_was_made(store: Under) {
    let two = changing(&*store, |row| row.becomes(None)).await;
    let row = two.row(&*store).await;
    assert_eq!((row.spec_version, row.closed_at), (2, Some(at(5_000))));
    assert_eq!(row.what, made("v"));
    assert_eq!(must(store.resources().await)[0].gone_at, Some(at(5_000)));
}

pub(super) async fn a_change_is_taken_back(store: Under) {
    let mut two = changing(&*store, |row| row.becomes(Some(other()))).await;
    let row = two.restored(&*store).await;
    assert_eq!((row.what, row.spec_version, row.closed_at), (made("v"), 1, None));
    assert_eq!(row.changed_by, None);
}

pub(super) async fn a_removal_is_taken_back(store: Under) {
    let mut two = changing(&*store, |row| row.becomes(None)).await;
    let row = two.restored(&*store).await;
    assert_eq!((row.what, row.spec_version, row.closed_at), (made("v"), 1, None));
    assert_eq!(row.changed_by, None);
    assert_eq!(must(store.resources().await)[0].gone_at, None);
}

pub(super) async fn what_somebody_changed_since_is_not_taken_back(store: Under) {
    let mut two = changing(&*store, |row| row.becomes(Some(other()))).await;
    let row = two.row(&*store).await;
    let (mut third, by) = owned(&*store, spec()).await;
    let next = transition(&mut third.run, &[], Some(&by));
    let swap = RecordChange::Swap { change: row.becomes(Some(json("{}"))), at: at(5_500) };
    applied(&*store, &by, Transition { records: vec![swap], ..next }).await;
    let row = two.restored(&*store).await;
    assert_eq!((row.what.spec, row.spec_version), (json("{}"), 3));
}

/// Of what was made: a snapshot, in its place.
fn snapshot(row: &Provisioned) -> Change {
    let (kind, external_id) = ("snapshot".to_owned(), "s".to_owned());
    let name = Some("of-v".to_owned());
    row.is_replaced(Identity { kind, external_id, name, region: None }, other())
}

pub(super) async fn another_thing_may_stand_for_what_was_made(store: Under) {
    let (mut other, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut other.run, &claim, 0, "w")).await;
    let two = changing(&*store, snapshot).await;
    let others = must(store.provisioned(Some(claim.saga())).await).remove(0);
    assert_eq!((others.what, others.spec_version), (made("w"), 1));
    let row = two.row(&*store).await;
    assert_eq!((&*row.what.kind, &*row.what.external_id), ("snapshot", "s"));
    assert_eq!((row.what.name.as_deref(), &*row.what.provider), (Some("of-v"), "cloud"));
    assert_eq!((row.spec_version, row.closed_at), (2, None));
    let things = must(store.resources().await);
    let gone = |id: &str| things.iter().find(|thing| thing.external_id == id).map(|t| t.gone_at);
    assert_eq!((gone("v"), gone("s")), (Some(Some(at(5_000))), Some(None)));
}

pub(super) async fn what_stands_for_something_else_is_taken_back(store: Under) {
    let mut two = changing(&*store, snapshot).await;
    let row = two.restored(&*store).await;
    assert_eq!((row.what, row.spec_version, row.closed_at), (made("v"), 1, None));
    let things = must(store.resources().await);
    let gone = |id: &str| things.iter().find(|thing| thing.external_id == id).map(|t| t.gone_at);
    assert_eq!((gone("v"), gone("s")), (Some(None), Some(Some(at(6_000)))));
}
