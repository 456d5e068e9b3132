//! People are told of what needs them: at least once, again after an error, and it is recorded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use walkback::clock::Clock;
use walkback::engine::{Enlistment, Operation};
use walkback::ledger::Row;
use walkback::store::Filter;
use walkback::testing::VirtualClock;
use walkback::worker::Until;
use walkback::worker::{Hook, Notice, ProgramHook, Told};
use walkback::{SagaId, Status};

use crate::stage::{STORES, Stage};

/// Remembers what it was told; fails so often first, and holds each call until it is let go.
#[derive(Default)]
struct Remembers {
    told: Mutex<Vec<Notice>>,
    fails: Mutex<u32>,
    gate: Option<Notify>,
}

impl Remembers {
    fn failing(times: u32) -> Arc<Self> {
        Arc::new(Self { fails: Mutex::new(times), ..Self::default() })
    }

    fn told(&self) -> Vec<Notice> {
        self.told.lock().unwrap().clone()
    }
}

impl Hook for Remembers {
    fn name(&self) -> String {
        "pager".to_owned()
    }

    fn call<'a>(&'a self, notice: &'a Notice) -> Told<'a> {
        Box::pin(async move {
            self.told.lock().unwrap().push(notice.clone());
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let mut fails = self.fails.lock().unwrap();
            if *fails == 0 {
                return Ok(());
            }
            *fails -= 1;
            Err("nobody home".to_owned())
        })
    }
}

/// A saga whose undo fails for good.
const STUCK: &str = r#"["stuck", "fail"]"#;

async fn work(stage: &Stage, hook: &Arc<Remembers>) {
    let Enlistment::Working(worker) = stage.engine.enlist().await.unwrap() else {
        panic!("somebody else works");
    };
    let hook: Arc<dyn Hook> = Arc::clone(hook) as _;
    let stop = tokio_util::sync::CancellationToken::new();
    worker.hook(hook).run(Until::Idle, stop).await.unwrap();
}

/// The rows that the hook left.
async fn calls(stage: &Stage, id: SagaId) -> Vec<Row> {
    let rows = stage.ledger(id).await;
    rows.into_iter().filter(|row| row.kind.starts_with("hook_")).collect()
}

#[tokio::test]
async fn people_are_told_once_of_each_saga_that_needs_them() {
    for store in STORES {
        let stage = Stage::new(store);
        let (stuck, fine) = (stage.start(STUCK).await, stage.start(r#"["make"]"#).await);
        let paused = stage.start(r#"["make"]"#).await;
        stage.ask(paused, &Operation::Pause).await.unwrap();
        let hook = Remembers::failing(0);
        work(&stage, &hook).await;
        work(&stage, &hook).await;
        let mut told: Vec<_> = hook.told().iter().map(|notice| notice.saga.id).collect();
        told.sort_unstable();
        assert_eq!(told, [stuck, paused], "{store}");
        let notices = hook.told();
        let notice = notices.iter().find(|notice| notice.saga.id == stuck).unwrap();
        assert!(notice.saga.attention);
        assert_eq!(notice.saga.residue[0].step, "stuck");
        assert_eq!(notice.saga.next[0].command, format!("walkback retry {stuck}"));
        let rows = calls(&stage, stuck).await;
        assert_eq!((rows.len(), &*rows[0].kind), (1, "hook_delivered"));
        assert_eq!(rows[0].actor.as_deref(), Some("pager"));
        assert!(calls(&stage, fine).await.is_empty());
        stage.verify().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_is_called_again_ever_later_until_it_does_not() {
    let clock = VirtualClock::new();
    let stage = Stage::with_clock("memory", clock);
    let id = stage.start(STUCK).await;
    let hook = Remembers::failing(3);
    for (round, wait) in [(1, 1), (2, 2), (3, 4)] {
        work(&stage, &hook).await;
        assert_eq!(hook.told().len(), round, "once before it is idle");
        let notice = stage.engine.explain_saga(id).await.unwrap().notice.unwrap();
        assert!(notice.contains("in vain") && notice.contains("called again"), "{notice}");
        let calls = stage.engine.store().calls(9).await.unwrap();
        assert_eq!(calls, [(id, clock.now().plus(Duration::from_secs(wait)))]);
        clock.sleep(Duration::from_secs(wait)).await;
    }
    work(&stage, &hook).await;
    work(&stage, &hook).await;
    let told = hook.told();
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|notice| notice.id == told[0].id), "one thing is told");
    let rows = calls(&stage, id).await;
    let kinds: Vec<_> = rows.iter().map(|row| &*row.kind).collect();
    assert_eq!(kinds, ["hook_failed", "hook_failed", "hook_failed", "hook_delivered"]);
    assert!(rows[2].payload.contains(r#""tries":3,"error":"nobody home""#), "{}", rows[2].payload);
    assert!(stage.engine.store().calls(9).await.unwrap().is_empty());
    stage.verify().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_acts_while_the_hook_is_called_is_not_overlooked() {
    for (operation, rows, kind) in [
        (Operation::Resolve { step: "0".to_owned() }, 0, Status::RolledBack),
        (Operation::Abandon { step: "0".to_owned() }, 0, Status::Failed),
    ] {
        let stage = Stage::new("memory");
        let id = stage.start(STUCK).await;
        stage.engine.work_until_idle().await.unwrap();
        let hook = Arc::new(Remembers { gate: Some(Notify::new()), ..Remembers::default() });
        let acts = async {
            while hook.told().is_empty() {
                tokio::task::yield_now().await;
            }
            stage.ask(id, &operation).await.unwrap();
            hook.gate.as_ref().unwrap().notify_one();
        };
        tokio::join!(work(&stage, &hook), acts);
        assert_eq!(hook.told().len(), 1);
        assert_eq!(calls(&stage, id).await.len(), rows);
        assert_eq!(stage.show(id).await.status, kind);
        stage.verify().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_is_given_up() {
    let stage = Stage::new("memory");
    let id = stage.start(STUCK).await;
    let hook = Arc::new(Remembers { gate: Some(Notify::new()), ..Remembers::default() });
    let begun = tokio::time::Instant::now();
    work(&stage, &hook).await;
    assert_eq!(begun.elapsed().as_secs(), 30);
    let rows = calls(&stage, id).await;
    assert!(rows[0].payload.contains("no answer in 30 seconds"), "{}", rows[0].payload);
}

#[tokio::test]
async fn a_program_is_told_on_its_stdin() {
    let stage = Stage::new("memory");
    let id = stage.start(STUCK).await;
    stage.engine.work_until_idle().await.unwrap();
    let saga = stage.engine.attention(Filter { limit: 9, ..Filter::default() }).await.unwrap();
    let notice = Notice {
        id: "n".to_owned(),
        what: "saga.attention",
        at: walkback::time::Timestamp::default(),
        saga: saga[0].clone(),
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("page");
    let run = |text: &str| {
        std::fs::write(&script, format!("#!/bin/sh\n{text}\n")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&script, mode).unwrap();
        let (hook, notice) = (ProgramHook::new(&script), notice.clone());
        async move { hook.call(&notice).await }
    };
    let out = folder.path().join("told");
    let kept = format!("echo $WALKBACK_NOTICE_ID $WALKBACK_SAGA_ID; cat > {}", out.display());
    assert_eq!(run(&kept).await, Ok(()));
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    assert_eq!((&told["id"], &told["type"]), (&"n".into(), &"saga.attention".into()));
    assert_eq!(told["data"]["id"], id.to_string());
    let failed = run("echo no >&2; echo really >&2; exit 3").await.unwrap_err();
    assert!(failed.ends_with("ended with exit status: 3: really"), "{failed}");
    let much = run("exec <&-; head -c 1000000 /dev/zero >&2; exit 0").await;
    assert_eq!(much, Ok(()), "it never waits for us");
    let absent = ProgramHook::new("/nowhere/page").call(&notice).await.unwrap_err();
    assert!(absent.contains("cannot be started"), "{absent}");
}
