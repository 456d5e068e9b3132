//! People: some ask for anything, others settle what needs them.

use std::time::Duration;

use crate::engine::{Operation, SagaView};
use crate::json::Json;
use crate::machine::{Status, StepStatus};
use crate::testing::chance::Chance;

/// What people do about a saga.
pub(super) enum Remedy {
    Ask(Operation),
    Wait,
    Done,
}

/// Everything that can be asked.
const ASKED: [&str; 13] = [
    "cancel", "pause", "resume", "retry", "rollback", "hold", "complete", "skip", "resolve",
    "abandon", "signal", "approve", "deny",
];

fn operation(name: &str, step: String, chance: &mut Chance) -> Operation {
    let one = Some(step.clone()).filter(|_| chance.once_in(2));
    match name {
        "cancel" => Operation::Cancel,
        "pause" => Operation::Pause,
        "resume" => {
            let edited =
                chance.once_in(3).then(|| Json::of(&serde_json::json!({"edit": chance.below(9)})));
            Operation::Resume { set: edited.and_then(Result::ok) }
        }
        "retry" => Operation::Retry { step: one },
        "rollback" => Operation::Rollback,
        "hold" => Operation::Hold { time: Duration::from_millis(chance.below(5)) },
        "complete" => Operation::Complete { step, output: Json::empty_object() },
        "skip" => Operation::Skip { step },
        "resolve" => Operation::Resolve { step },
        "abandon" => Operation::Abandon { step },
        "approve" => Operation::Approve { step: one },
        "deny" => Operation::Deny { step: one },
        _ => {
            let id = chance.once_in(2).then(|| chance.below(3).to_string());
            Operation::Signal { name: "go".to_owned(), payload: Json::empty_object(), id }
        }
    }
}

/// Something, whether it fits or not.
pub(super) fn anything(chance: &mut Chance, saga: &SagaView) -> Operation {
    let steps = saga.steps.as_ref().map_or(1, Vec::len);
    let (name, step) = (chance.of(&ASKED), chance.index(steps).to_string());
    operation(name, step, chance)
}

/// What settles the saga: at first this and that, in the end what surely does.
pub(super) fn remedy(chance: &mut Chance, saga: &SagaView, round: u32) -> Remedy {
    let try_this_and_that = round < 12 && !chance.once_in(3);
    match saga.status {
        Status::Completed | Status::RolledBack => Remedy::Done,
        Status::Failed => {
            let open = |status| status == StepStatus::CompensationFailed;
            let steps = saga.steps.iter().flatten();
            let mut left =
                steps.filter(|step| open(step.status)).map(|step| step.step_idx.to_string());
            match left.next_back() {
                None => Remedy::Done,
                Some(_) if try_this_and_that => Remedy::Ask(Operation::Retry { step: None }),
                Some(step) if chance.once_in(2) => Remedy::Ask(Operation::Abandon { step }),
                Some(step) => Remedy::Ask(Operation::Resolve { step }),
            }
        }
        Status::Parked => {
            let Some(parked) = &saga.parked else { return Remedy::Wait };
            let step = parked.step_idx.unwrap_or_default().to_string();
            let whole = parked.step_idx.is_none();
            let sure = if whole {
                ["cancel", "resume", "", ""]
            } else {
                ["cancel", "resolve", "complete", "resume"]
            };
            let sure = sure.into_iter().find(|name| parked.legal.contains(name));
            let name =
                if try_this_and_that { chance.of(&parked.legal) } else { sure.unwrap_or("resume") };
            Remedy::Ask(operation(name, step, chance))
        }
        _ => match &saga.waiting_for {
            Some(waits) if waits.what == "signal" => {
                Remedy::Ask(operation("signal", String::new(), chance))
            }
            Some(waits) if waits.what == "approval" => {
                let name = chance.of(&["approve", "deny"]);
                let step = waits.step_idx.to_string();
                Remedy::Ask(match operation(name, step.clone(), chance) {
                    Operation::Deny { .. } => Operation::Deny { step: Some(step) },
                    _ => Operation::Approve { step: Some(step) },
                })
            }
            _ => Remedy::Wait,
        },
    }
}
