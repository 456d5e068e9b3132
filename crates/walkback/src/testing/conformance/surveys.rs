//! What the provider says exists: missing once may be overlooked, missing twice is gone.

use std::sync::Arc;

use crate::desired::{Observed, Seen, Survey};
use crate::store::Store;
use crate::testing::conformance::maker::{applied, at, json, must, owned, spec};
use crate::testing::conformance::records::{closes, makes};

type Under = Arc<dyn Store>;

fn seen(id: &str) -> Seen {
    Seen {
        kind: "vpc".to_owned(),
        external_id: id.to_owned(),
        name: Some(format!("called {id}")),
        region: None,
        tags: vec!["a".to_owned(), "b".to_owned()],
        state: json(r#"{"members":2}"#),
    }
}

/// A survey of the networks at this moment.
async fn survey(store: &dyn Store, found: &[&str], moment: i64) -> Observed {
    let found = found.iter().map(|id| seen(id)).collect();
    let (provider, kinds) = ("cloud".to_owned(), vec!["vpc".to_owned()]);
    let (begun_at, at) = (at(moment), at(moment + 10));
    must(store.observe(Survey { provider, kinds, found, begun_at, at }).await)
}

fn observed(seen: usize, new: usize, missing: usize, gone: usize) -> Observed {
    Observed { seen, new, missing, gone }
}

pub(super) async fn what_is_seen_is_kept(store: Under) {
    assert_eq!(survey(&*store, &["v"], 1_000).await, observed(1, 1, 0, 0));
    let things = must(store.resources().await);
    let (thing, seen) = (&things[0], seen("v"));
    assert_eq!((&thing.external_id, &thing.name), (&seen.external_id, &seen.name));
    assert_eq!((&thing.tags, &thing.state), (&seen.tags, &Some(seen.state)));
    assert_eq!((thing.first_seen, thing.last_seen), (at(1_010), at(1_010)));
    assert_eq!((thing.missing_since, thing.gone_at, thing.wanted_by), (None, None, None));
}

pub(super) async fn what_was_made_is_no_news_and_is_wanted(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 0, "v")).await;
    assert_eq!(survey(&*store, &["v", "w"], 8_000).await, observed(2, 1, 0, 0));
    let things = must(store.resources().await);
    let sagas: Vec<_> = things.iter().map(|thing| (thing.wanted_by, thing.made_by)).collect();
    let saga = Some(claim.saga());
    assert_eq!(sagas, [(saga, saga), (None, None)]);
    applied(&*store, &claim, closes(&mut run.run, &claim, 0)).await;
    let thing = must(store.resources().await).remove(0);
    assert_eq!((thing.wanted_by, thing.made_by), (None, saga));
}

pub(super) async fn what_is_missing_twice_is_gone(store: Under) {
    survey(&*store, &["v", "w"], 1_000).await;
    assert_eq!(survey(&*store, &["w"], 2_000).await, observed(1, 0, 1, 0));
    let missing = must(store.resources().await).remove(0);
    assert_eq!((missing.missing_since, missing.gone_at), (Some(at(2_010)), None));
    assert_eq!(survey(&*store, &["w"], 3_000).await, observed(1, 0, 0, 1));
    assert_eq!(must(store.resources().await)[0].gone_at, Some(at(3_010)));
    assert_eq!(survey(&*store, &["w"], 4_000).await, observed(1, 0, 0, 0));
}

pub(super) async fn what_comes_back_was_only_overlooked(store: Under) {
    survey(&*store, &["v"], 1_000).await;
    survey(&*store, &[], 2_000).await;
    assert_eq!(survey(&*store, &["v"], 3_000).await, observed(1, 0, 0, 0));
    assert_eq!(must(store.resources().await)[0].missing_since, None);
    assert_eq!(survey(&*store, &[], 4_000).await, observed(0, 0, 1, 0));
}

pub(super) async fn what_is_made_during_a_survey_is_not_missed(store: Under) {
    let (mut run, claim) = owned(&*store, spec()).await;
    applied(&*store, &claim, makes(&mut run.run, &claim, 0, "v")).await;
    assert_eq!(survey(&*store, &[], 3_000).await, observed(0, 0, 0, 0));
    assert_eq!(survey(&*store, &[], 3_001).await, observed(0, 0, 1, 0));
}
