//! `upgrade-check`: what this binary would leave behind.

use walkback::{Engine, Order, Registry, SqliteStore, Steps, step_fn};

use crate::desk::Desk;

#[test]
fn a_saga_with_a_step_that_this_binary_does_not_know_is_named() {
    let desk = Desk::new();
    let fine = desk.run(&["upgrade-check"]);
    assert_eq!((fine.code, &*fine.out), (0, "this binary can go on with all 0 sagas in flight\n"));
    desk.start(r#"[{"sleep": {"for": "1h"}}]"#);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let id = runtime.block_on(async {
        let make = |(), _, (): ()| async { Ok(()) };
        let step = step_fn("make_dns", (), make).compensate(|(), _, (), _| async { Ok(()) });
        let store = SqliteStore::open(desk.path().join("walkback.db")).unwrap();
        let engine = Engine::new(Registry::with_builtins().step(step), store).unwrap();
        let steps: Steps = serde_json::from_str(r#"["echo", "make_dns"]"#).unwrap();
        engine.start_saga(Order::list("site", steps)).await.unwrap().id
    });
    let ran = desk.run(&["upgrade-check"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.out.contains("make_dns") && ran.out.contains(&id.to_string()), "{ran:?}");
    assert!(ran.out.ends_with("this binary cannot go on with 1 of 2 sagas in flight\n"), "{ran:?}");
    let ill = desk.run(&["doctor"]);
    assert_eq!(ill.code, 1, "{ill:?}");
    assert!(ill.out.contains("BAD   sagas"), "{ill:?}");
    let ran = desk.run(&["upgrade-check", "--json"]);
    let orphans = &ran.json()["orphans"];
    assert_eq!((ran.code, &ran.json()["checked"]), (1, &2.into()));
    assert_eq!((&orphans[0]["step_idx"], &orphans[0]["step"]), (&1.into(), &"make_dns".into()));
}
