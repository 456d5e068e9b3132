//! S13, S19: a saga changes what another has made: compared, swapped, taken back.

use walkback::desired::{Change, Provision};
use walkback::engine::{Asked, Operation};
use walkback::{
    Attempt, Effect, Engine, Error, Json, MemoryStore, Order, Probe, Registry, SagaId, Status,
    StepError, step_fn,
};

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Net {
    net: String,
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Site {
    site: String,
    #[serde(default)]
    slow: bool,
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Widened {
    widened: Vec<Change>,
}

async fn create((): (), _: Attempt, (): ()) -> Result<Net, StepError> {
    Ok(Net { net: "vpc-1".to_owned() })
}

async fn delete((): (), _: Attempt, (): (), _: Effect<Net>) -> Result<(), StepError> {
    Ok(())
}

/// Reads what the site has and wants it wider; `slow` lets somebody else be faster.
async fn widen((): (), attempt: Attempt, of: Site) -> Result<Widened, StepError> {
    let rows = attempt.provisioned(of.site.parse()?).await?;
    if of.slow {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
    let wide = Json::parse(r#"{"range": "/8"}"#)?;
    Ok(Widened { widened: rows.iter().map(|row| row.becomes(Some(wide.clone()))).collect() })
}

async fn narrow((): (), _: Attempt, _: Site, _: Effect<Widened>) -> Result<(), StepError> {
    Ok(())
}

fn engine() -> Engine {
    let create = step_fn("create", (), create).compensate(delete).provisions(|(), made: &Net| {
        Some(Provision::new("cloud", "vpc", &made.net, Json::empty_object()))
    });
    let widen = step_fn("widen", (), widen)
        .compensate(narrow)
        .changes(|made: &Widened| made.widened.clone());
    Engine::new(Registry::new().step(create).step(widen), MemoryStore::new()).unwrap()
}

fn widening(site: SagaId, slow: bool) -> Order {
    let input = serde_json::json!({"site": site, "slow": slow});
    Order::steps(["widen"]).input(input.to_string())
}

async fn start(engine: &Engine, order: Order) -> SagaId {
    engine.start_saga(order).await.unwrap().id
}

/// The version of what the site made, and who changed it last.
async fn version(engine: &Engine, site: SagaId) -> (u64, Option<SagaId>) {
    let rows = engine.list_provisioned(Some(site)).await.unwrap();
    (rows[0].spec_version, rows[0].changed_by)
}

async fn roll_back(engine: &Engine, id: SagaId) -> Result<Status, Error> {
    engine.operate(id, &Operation::Rollback, &Asked::default()).await?;
    engine.work_until_idle().await?;
    Ok(engine.show_saga(id).await?.status)
}

#[tokio::test(start_paused = true)]
async fn a_change_of_anothers_thing_is_written_and_taken_back_with_its_step() {
    let engine = engine();
    let site = start(&engine, Order::steps(["create"])).await;
    engine.work_until_idle().await.unwrap();
    let first = start(&engine, widening(site, false)).await;
    engine.work_until_idle().await.unwrap();
    assert_eq!(version(&engine, site).await, (2, Some(first)));
    // Neither what was changed nor what was changed since is rolled back.
    let refused = roll_back(&engine, site).await;
    assert!(matches!(refused, Err(Error::NotTheOwner { owner: Some(id), .. }) if id == first));
    let second = start(&engine, widening(site, false)).await;
    engine.work_until_idle().await.unwrap();
    let refused = roll_back(&engine, first).await;
    assert!(matches!(refused, Err(Error::NotTheOwner { owner: Some(id), .. }) if id == second));
    // In the other order everything is as it was.
    for id in [second, first, site] {
        assert_eq!(roll_back(&engine, id).await.unwrap(), Status::RolledBack);
    }
    assert!(engine.list_provisioned(Some(site)).await.unwrap()[0].closed_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_comes_too_late_is_undone() {
    let engine = engine();
    let site = start(&engine, Order::steps(["create"])).await;
    engine.work_until_idle().await.unwrap();
    let slow = start(&engine, widening(site, true)).await;
    let fast = start(&engine, widening(site, false)).await;
    engine.work_until_idle().await.unwrap();
    assert_eq!(engine.show_saga(fast).await.unwrap().status, Status::Completed);
    let late = engine.show_saga(slow).await.unwrap();
    assert_eq!(late.status, Status::RolledBack, "{late:#?}");
    let said = format!("{:?}", late.steps);
    assert!(said.contains("has moved on from version 1, by saga"), "{said}");
    assert_eq!(version(&engine, site).await, (2, Some(fast)));
}

/// Says that it failed, though it may have worked.
async fn stumble((): (), attempt: Attempt, of: Site) -> Result<Widened, StepError> {
    if attempt.number() == 1 {
        return Err(StepError::transient("no answer"));
    }
    widen((), attempt, of).await
}

/// Finds what was there before somebody else changed it.
async fn look_back((): (), attempt: Attempt, of: Site) -> Result<Probe<Widened>, StepError> {
    let rows = attempt.provisioned(of.site.parse()?).await?;
    let stale = rows.iter().map(|row| Change { spec_version: 9, ..row.becomes(None) });
    Ok(Probe::Present(Widened { widened: stale.collect() }))
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_finds_what_was_changed_since_tells_nothing() {
    let create = step_fn("create", (), create).compensate(delete).provisions(|(), made: &Net| {
        Some(Provision::new("cloud", "vpc", &made.net, Json::empty_object()))
    });
    let stumble = step_fn("widen", (), stumble)
        .compensate(narrow)
        .probe(look_back)
        .changes(|made: &Widened| made.widened.clone());
    let registry = Registry::new().step(create).step(stumble);
    let engine = Engine::new(registry, MemoryStore::new()).unwrap();
    let site = start(&engine, Order::steps(["create"])).await;
    engine.work_until_idle().await.unwrap();
    let id = start(&engine, widening(site, false)).await;
    engine.work_until_idle().await.unwrap();
    assert_eq!(engine.show_saga(id).await.unwrap().status, Status::Completed);
    assert_eq!(version(&engine, site).await, (2, Some(id)));
}
