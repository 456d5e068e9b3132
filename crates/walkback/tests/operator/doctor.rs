//! `Engine::examine`: what a look at the store finds.

use std::time::Duration;

use walkback::store::Grade;
use walkback::testing::VirtualClock;

use crate::stage::Stage;

/// The grade of what the look says about the workers, and its words.
async fn workers(stage: &Stage) -> (Grade, String) {
    let found = stage.engine.examine().await.unwrap();
    let found = found.into_iter().find(|finding| finding.what == "workers").unwrap();
    (found.grade, found.found)
}

#[tokio::test(start_paused = true)]
async fn what_is_due_and_taken_by_nobody_is_found() {
    let mut stage = Stage::with_clock("memory", VirtualClock::new());
    assert_eq!(workers(&stage).await, (Grade::Good, "none, and nothing is due".to_owned()));
    let id = stage.start(r#"["make"]"#).await;
    assert_eq!(workers(&stage).await.0, Grade::Good);
    tokio::time::sleep(Duration::from_mins(2)).await;
    let (grade, says) = workers(&stage).await;
    assert_eq!(grade, Grade::Bad);
    assert!(says.contains("1 due for over a minute"), "{says}");
    stage.work().await;
    stage.engine.wait_for_rest(id).await.unwrap();
    assert_eq!(workers(&stage).await, (Grade::Good, "1".to_owned()));
    stage.stop().await;
}
