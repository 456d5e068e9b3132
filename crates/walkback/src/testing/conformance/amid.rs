//! Amid many others, which may all be written in one statement, each has the verdict that it would have
//! alone.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::desired::RecordChange;
use crate::machine::Event;
use crate::store::{Appended, Claim, Store, Transition};
use crate::testing::conformance::maker::{
    Made, applied, at, begin, load, must, owned, spec, started, transition,
};
use crate::testing::conformance::prune::{ended, stone};
use crate::testing::conformance::records::open;

type Under = Arc<dyn Store>;

/// One append, with its claim or without.
type Asked = (Made, Option<Claim>, Transition);

/// The next step of a run of its own, as it is meant to be.
async fn plain(store: &dyn Store) -> Asked {
    let (mut made, claim) = owned(store, spec()).await;
    let next = transition(&mut made.run, &[begin(0)], Some(&claim));
    (made, Some(claim), next)
}

/// Asks for all of these at once, amid others that keep the store busy.
async fn amid(store: &Under, asked: Vec<Asked>) -> Vec<Appended> {
    let mut others = Vec::new();
    for _ in 0..16 {
        others.push(plain(&**store).await);
    }
    let count = asked.len();
    let behind = others.split_off(8);
    let mut appends = JoinSet::new();
    for (nth, (made, claim, next)) in asked.into_iter().enumerate() {
        // Two of the others before each.
        for (made, claim, next) in others.drain(..2) {
            appends.spawn(append(Arc::clone(store), None, made, claim, next));
        }
        appends.spawn(append(Arc::clone(store), Some(nth), made, claim, next));
    }
    for (made, claim, next) in behind {
        appends.spawn(append(Arc::clone(store), None, made, claim, next));
    }
    let ends = appends.join_all().await;
    let of = |nth| ends.iter().find(|(at, _)| *at == Some(nth)).map(|(_, end)| *end);
    assert!(ends.iter().all(|(nth, end)| nth.is_some() || *end == Appended::Applied));
    (0..count).filter_map(of).collect()
}

async fn append(
    store: Under,
    nth: Option<usize>,
    made: Made,
    claim: Option<Claim>,
    next: Transition,
) -> (Option<usize>, Appended) {
    let end = match claim {
        Some(claim) => store.append(&claim, next).await,
        None => store.append_unclaimed(made.run.spec.id, next).await,
    };
    (nth, must(end))
}

pub(super) async fn what_is_refused_alone_is_refused_amid_others(store: Under) {
    let mut asked = Vec::new();
    // Twice: the first of them may be written alone.
    for _ in 0..2 {
        let (made, claim, next) = plain(&*store).await;
        let fence = claim.map(|claim| claim.forged(claim.id(), claim.fence() + 1));
        asked.push((made, fence, next));
        let (mut made, claim) = owned(&*store, spec()).await;
        let left = transition(&mut made.run, &[], Some(&claim));
        applied(&*store, &claim, Transition { release: true, ..left }).await;
        let released = transition(&mut made.run, &[begin(0)], Some(&claim));
        asked.push((made, Some(claim), released));
    }
    assert_eq!(amid(&store, asked).await, [Appended::Refused; 4]);
}

pub(super) async fn each_is_written_to_its_own_run(store: Under) {
    let mut asked = Vec::new();
    for _ in 0..4 {
        let mut made = started(&*store, spec()).await;
        let next = transition(&mut made.run, &[Event::PauseRequested], None);
        asked.push((made, None, next));
    }
    let expected: Vec<_> = asked.iter().map(|(made, ..)| made.run.clone()).collect();
    assert_eq!(amid(&store, asked).await, [Appended::Applied; 4]);
    for run in expected {
        let stored = load(&*store, run.spec.id).await;
        assert_eq!((stored.head, stored.rows.len()), (run.head(), 2));
    }
}

pub(super) async fn what_is_closed_amid_others_is_closed_once(store: Under) {
    let mut asked = Vec::new();
    for _ in 0..4 {
        let (mut made, claim) = owned(&*store, spec()).await;
        let opens = transition(&mut made.run, &[], Some(&claim));
        applied(&*store, &claim, Transition { records: vec![open(0, "v")], ..opens }).await;
        let next = transition(&mut made.run, &[begin(0)], Some(&claim));
        let records = vec![RecordChange::Close { step: 0, at: at(4_000) }];
        asked.push((made, Some(claim), Transition { records, ..next }));
    }
    assert_eq!(amid(&store, asked).await, [Appended::Applied; 4]);
    let open = must(store.provisioned(None).await);
    assert!(open.iter().all(|row| row.closed_at == Some(at(4_000))), "{open:?}");
}

pub(super) async fn of_many_that_are_pruned_each_goes_or_stays(store: Under) {
    let mut prunes = JoinSet::new();
    for nth in 0..30 {
        let (made, _) = ended(&*store, spec()).await;
        let mut stone = stone(&made.run);
        stone.hash.0[7] ^= u8::from(nth % 3 == 0);
        let store = Arc::clone(&store);
        prunes.spawn(async move {
            let end = must(store.prune(stone.clone()).await);
            let goes = nth % 3 != 0;
            assert_eq!(end == Appended::Applied, goes);
            assert_eq!(must(store.tombstone(stone.id).await), goes.then(|| stone.clone()));
            assert_eq!(must(store.load(stone.id).await).is_none(), goes);
        });
    }
    prunes.join_all().await;
}
