//! Another saga that locks what the steps of the first may want.

use serde_json::{Value, json};

use crate::engine::Operation;
use crate::machine::Status;
use crate::testing::chance::Chance;
use crate::testing::simulation::{Scene, words};
use crate::{Engine, Order, SagaId, Steps};

/// What both want for themselves, and what both want a place in.
const ALONE: &str = "site";
const TOGETHER: &str = "room";

/// A lock that a step may want.
pub(super) fn any_lock(chance: &mut Chance) -> Value {
    match chance.below(4) {
        0 => json!(ALONE),
        1 => json!({"key": ALONE, "within": "5ms"}),
        2 => json!({"key": TOGETHER, "at_most": 1}),
        _ => json!([{"key": TOGETHER, "at_most": 1}, ALONE]),
    }
}

impl Scene {
    /// Starts a saga that holds both for a while, if a step wants one of them.
    pub(super) async fn rival(&mut self, engine: &Engine) -> Result<(), String> {
        if !self.steps.locks() {
            return Ok(());
        }
        let time = self.chance.of(&["1ms", "4ms", "40ms"]);
        let signal = |within| json!({"signal": "end", "within": within, "otherwise": "go_on"});
        let list = json!([
            {"step": "wait_for", "with": signal("1ms")},
            {"step": "wait_for", "scope": "b", "with": signal(time),
             "lock": [ALONE, {"key": TOGETHER, "at_most": 1}]},
        ]);
        let list: Steps = serde_json::from_value(list).map_err(words)?;
        let id = SagaId::from_bytes(u128::from(self.chance.below(u64::MAX)).to_be_bytes());
        engine.start_as(id, Order::list("rival", list)).await.map_err(words)?;
        self.rival = Some(id);
        Ok(())
    }

    /// Nobody shares what is locked, and what the saga has locked stays its own until it rests.
    pub(super) async fn check_locks(&self, engine: &Engine, id: SagaId) -> Result<(), String> {
        if self.rival.is_none() {
            return Ok(());
        }
        let both = [ALONE, TOGETHER].map(str::to_owned).to_vec();
        let holders = self.store.holders(both).await.map_err(words)?;
        let of = |key: &'static str| holders.iter().filter(move |holder| holder.key == key);
        let Some(stored) = self.store.load(id).await.map_err(words)? else { return Ok(()) };
        let run = engine.0.fold(stored).map_err(words)?;
        // What is rolled back has its place in a limit again, and waits for none.
        let rolled_back = run.state.error().is_some_and(|error| error.reason == "rollback");
        if of(ALONE).count() > 1 || of(TOGETHER).count() > 1 && !rolled_back {
            return Err(format!("two hold one lock: {holders:?}\n{}", self.told(id).await));
        }
        let own = of(ALONE).any(|holder| holder.saga == id);
        if !run.state.status().at_rest() && !run.state.own_locks().is_empty() && !own {
            return Err(format!("its lock is not its own any more\n{}", self.told(id).await));
        }
        Ok(())
    }

    /// The rival has come to its end, too; one that was unlucky with its workers is sent on.
    pub(super) async fn rival_is_done(&mut self, engine: &Engine) -> Result<bool, String> {
        let Some(rival) = self.rival else { return Ok(true) };
        let status = engine.show_saga(rival).await.map_err(words)?.status;
        if status == Status::Parked {
            self.ask(engine, rival, &Operation::Resume { set: None }).await?;
        }
        // By a clock that is days ahead it has waited too long.
        Ok(matches!(status, Status::Completed | Status::RolledBack))
    }
}
