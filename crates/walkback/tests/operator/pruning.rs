//! What nobody needs any more goes; what it was stays known, and nothing else goes.

use walkback::engine::{Asked, Operation};
use walkback::store::{Filter, Tombstone};
use walkback::time::Timestamp;
use walkback::{Error, Order, SagaId};

use crate::stage::{STORES, Stage};

fn ada() -> Asked {
    Asked { actor: "ada".to_owned(), reason: Some("a test".to_owned()) }
}

/// Those that may go by now.
async fn prunable(stage: &Stage) -> Vec<SagaId> {
    let filter = Filter { prunable_before: Some(Timestamp::LAST), limit: 99, ..Filter::default() };
    stage.engine.find_sagas(filter).await.unwrap()
}

async fn prune(stage: &Stage, id: SagaId) -> usize {
    let stones = stones(stage, id).await;
    assert_eq!(stones.len(), 1);
    stage.engine.prune(stones).await.unwrap()
}

async fn stones(stage: &Stage, id: SagaId) -> Vec<Tombstone> {
    // However often it is asked for.
    let archived = stage.engine.archive(&[id, id], &ada()).await.unwrap();
    archived.into_iter().map(|saga| saga.stone).collect()
}

#[tokio::test]
async fn only_what_nobody_needs_is_pruned() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let mut ids = Vec::new();
        for steps in [
            r#"["make"]"#,
            r#"["make", "fail"]"#,
            r#"["stuck", "fail"]"#,
            r#"["make", "halt", "fail"]"#,
            r#"[{"wait_for": {"signal": "go"}}]"#,
        ] {
            ids.push(stage.start(steps).await);
            stage.settle(ids[ids.len() - 1]).await;
        }
        let abandoned = stage.start(r#"["stuck", "fail"]"#).await;
        stage.settle(abandoned).await;
        stage.ask(abandoned, &Operation::Abandon { step: "0".to_owned() }).await.unwrap();
        let (completed, rolled_back) = (ids[0], ids[1]);
        ids.push(stage.start(r#"["make"]"#).await);
        let may_go = prunable(&stage).await;
        assert!(may_go.contains(&completed) && may_go.contains(&rolled_back), "{store}");
        for id in ids.iter().copied().chain([abandoned]) {
            let status = stage.show(id).await.status;
            let gone = prune(&stage, id).await == 1;
            assert_eq!(gone, may_go.contains(&id), "{store}: {status:?}");
            assert_eq!(gone, status.name() == "completed" || status.name() == "rolled_back");
        }
        assert!(prunable(&stage).await.is_empty());
        stage.verify().await;
    }
}

#[tokio::test]
async fn of_a_pruned_saga_everybody_is_told_what_it_was() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let order = || Order::steps(["make"]).key("site-1");
        let id = stage.engine.start_saga(order()).await.unwrap().id;
        stage.settle(id).await;
        assert_eq!(prune(&stage, id).await, 1);
        let told = stage.engine.show_saga(id).await.unwrap_err().to_string();
        assert!(told.starts_with(&format!("saga {id} was pruned at ")), "{told}");
        assert!(told.contains(" by ada: it was completed at "), "{told}");
        let cancel = stage.ask(id, &Operation::Cancel).await;
        assert!(matches!(cancel, Err(Error::Pruned(_))));
        assert!(matches!(stage.engine.ledger(id, 0).await, Err(Error::Pruned(_))));
        assert!(matches!(stage.engine.wait_for_rest(id).await, Err(Error::Pruned(_))));
        assert!(stones(&stage, id).await.is_empty());
        let again = stage.engine.start_saga(order()).await.unwrap();
        assert!(again.created && again.id != id, "its key is free");
        stage.verify().await;
    }
}

#[tokio::test]
async fn what_is_rolled_back_meanwhile_stays() {
    for store in STORES {
        let mut stage = Stage::new(store);
        let id = stage.start(r#"["make"]"#).await;
        stage.settle(id).await;
        let stones = stones(&stage, id).await;
        assert_eq!(stones.len(), 1);
        stage.ask(id, &Operation::Rollback).await.unwrap();
        assert_eq!(stage.engine.prune(stones).await.unwrap(), 0);
        stage.settle(id).await;
        stage.verify().await;
    }
}
