//! Each event: legal where it should be, illegal elsewhere, and then the state is unchanged.

use serde_json::json;

use super::{
    Run, approval, at, completed, edited, failed, late, output, probed, resumed, retried, run,
    run_until, signal, signal_named, step, waits,
};
use crate::machine::{By, Effect, Event, Finding, ParkReason, Then, UndoThen, Wait};

/// Every event about step 0, most general first; the name is what tables below call it.
fn events() -> Vec<(&'static str, Event)> {
    let until = at(9);
    let error = String::new;
    vec![
        ("accepted", Event::Accepted),
        ("delayed", Event::StartDelayed { until }),
        ("started", Event::StepStarted { step: 0, attempt: 1 }),
        ("started again", Event::StepStarted { step: 0, attempt: 2 }),
        ("done", completed(0, By::Execute)),
        ("found", completed(0, By::Probe)),
        ("by hand", completed(0, By::Hand)),
        ("signalled", completed(0, By::Signal)),
        ("approved", completed(0, By::Approval)),
        ("expired", completed(0, By::Expiry)),
        ("failed clean", failed(0, Effect::Clean, Then::WalkBack)),
        ("failed unknown", failed(0, Effect::Unknown, Then::RetryAt(until))),
        ("waits", waits(0, Wait::Until(until))),
        ("absent", probed(0, Finding::Absent)),
        ("step parked", Event::StepParked { step: 0, reason: ParkReason::CannotDecode }),
        ("undo started", Event::UndoStarted { step: 0, attempt: 1 }),
        ("undone", Event::UndoCompleted { step: 0 }),
        ("undo failed", Event::UndoFailed { step: 0, error: error(), then: UndoThen::Residue }),
        ("undo waits", Event::UndoWaits { step: 0, until }),
        ("probed back", Event::UndoProbed { step: 0, found: Some(output()) }),
        ("came late", late(0)),
        ("taken over", Event::TakenOver),
        ("handed over", Event::HandedOver),
        ("parked", Event::Parked { reason: ParkReason::NoCapableWorker }),
        ("deadline", Event::DeadlinePassed),
        ("hold ended", Event::HoldEnded),
        ("cancel", Event::CancelRequested),
        ("pause", Event::PauseRequested),
        ("resume", resumed()),
        ("resume edited", edited()),
        ("retry", Event::RetryRequested { step: None }),
        ("retry it", retried(0)),
        ("skip", Event::StepSkipped { step: 0 }),
        ("resolve", Event::Resolved { step: 0 }),
        ("abandon", Event::Abandoned { step: 0 }),
        ("rollback", Event::RollbackRequested),
        ("signal", signal("s", "1", None)),
        ("hold", Event::HoldSet { until }),
        ("told", Event::HookDelivered { parked: None, tries: 1 }),
        ("not told", Event::HookFailed { parked: None, tries: 1, error: error(), retry_at: until }),
    ]
}

/// Asserts that of all events exactly those called `legal` can happen to `run`; and that something came
/// late, whatever became of the run, if its step was begun and is not left on purpose.
#[track_caller]
fn only(run: &Run, legal: &[&str]) {
    let step = run.state.step(0);
    let can_be_late = step.begun() && !step.abandoned();
    for (name, event) in events() {
        let mut run = run.clone();
        if legal.contains(&name) || name == "came late" && can_be_late {
            run.does(&event);
        } else {
            run.refuses(&event);
        }
    }
    let known: Vec<_> = events().into_iter().map(|(name, _)| name).collect();
    assert!(legal.iter().all(|name| known.contains(name)));
}

/// A run of one step that can be probed, with a deadline.
fn one() -> Run {
    run_until(&json!([step("a", json!({"probe": true}))]), at(100))
}

const PEOPLE_FORWARD: [&str; 6] =
    ["taken over", "handed over", "parked", "deadline", "cancel", "pause"];

/// What may happen to any run that needs a person.
const NEEDED: [&str; 2] = ["told", "not told"];

#[track_caller]
fn also(run: &Run, more: &[&str]) {
    only(run, &[&PEOPLE_FORWARD[..], &["signal"], more].concat());
}

#[test]
fn nothing_happens_before_a_run_is_accepted_and_that_happens_once() {
    let mut fresh = one();
    fresh.state = crate::machine::State::new(fresh.state.plan().clone(), Some(at(100)));
    only(&fresh, &["accepted"]);
}

#[test]
fn a_pending_run_can_start_its_first_step() {
    also(&one(), &["started", "step parked", "delayed"]);
}

#[test]
fn a_body_under_way_can_only_end() {
    also(one().starts(0), &["done", "failed clean", "failed unknown", "waits"]);
}

#[test]
fn a_clean_failure_can_be_tried_again() {
    let mut run = one();
    run.starts(0).fails(0, Effect::Clean, Then::RetryAt(at(5)));
    also(&run, &["started again", "step parked", "by hand", "skip"]);
}

#[test]
fn after_an_unknown_outcome_only_a_probe_or_a_person_goes_on() {
    let mut run = one();
    run.starts(0).fails(0, Effect::Unknown, Then::RetryAt(at(5)));
    also(&run, &["found", "absent", "step parked", "by hand", "skip"]);
}

#[test]
fn what_said_not_yet_is_called_again() {
    let mut run = one();
    run.starts(0).does(&waits(0, Wait::Until(at(5))));
    also(&run, &["started", "step parked", "by hand", "skip"]);
}

#[test]
fn a_step_that_waits_for_an_approval_can_be_approved_or_denied() {
    let mut run = one();
    run.starts(0).does(&waits(0, approval()));
    also(&run, &["approved", "failed clean", "step parked", "by hand", "skip"]);
}

#[test]
fn a_wait_goes_on_without_only_if_it_has_an_end() {
    let until = Some(at(50));
    let mut run = one();
    run.starts(0).does(&waits(0, Wait::Approval { until }));
    also(&run, &["approved", "expired", "failed clean", "step parked", "by hand", "skip"]);
    let mut run = one();
    run.starts(0).does(&waits(0, Wait::Signal { name: "s".to_owned(), until }));
    also(&run, &["expired", "failed clean", "step parked", "by hand", "skip"]);
}

#[test]
fn a_step_that_waits_for_a_signal_takes_one_that_came() {
    let mut run = one();
    run.starts(0).does(&waits(0, signal_named("s")));
    also(&run, &["failed clean", "step parked", "by hand", "skip"]);
    run.does(&signal("s", "1", None));
    also(&run, &["signalled", "failed clean", "step parked", "by hand", "skip"]);
}

#[test]
fn a_parked_step_waits_for_a_person() {
    let mut run = one();
    run.starts(0).fails(0, Effect::Clean, Then::Park(ParkReason::CannotDecode));
    let people = ["cancel", "resume", "resume edited", "retry", "retry it", "by hand", "skip"];
    only(&run, &[&people[..], &NEEDED, &["signal", "taken over", "handed over"]].concat());
}

#[test]
fn a_paused_run_waits_for_a_person() {
    let mut run = one();
    run.starts(0).fails(0, Effect::Unknown, Then::RetryAt(at(5))).does(&Event::PauseRequested);
    let people = ["cancel", "resume", "resume edited", "by hand", "skip"];
    only(&run, &[&people[..], &NEEDED, &["signal", "taken over", "handed over"]].concat());
}

#[test]
fn a_held_run_waits_for_a_person_or_its_clock() {
    let mut run = one();
    run.starts(0).fails(0, Effect::Clean, Then::HoldUntil(at(50)));
    let people = ["cancel", "resume", "resume edited", "retry", "retry it", "by hand", "skip"];
    let more = ["signal", "taken over", "handed over", "hold ended", "hold"];
    only(&run, &[&people[..], &NEEDED, &more].concat());
}

#[test]
fn a_completed_run_can_only_be_rolled_back() {
    only(one().runs([0]), &["rollback"]);
}

#[test]
fn on_the_walk_back_only_undoing_goes_on() {
    let mut run = one();
    run.runs([0]).does(&Event::RollbackRequested);
    let always = ["taken over", "handed over", "parked", "pause"];
    only(&run, &[&always[..], &["undo started", "step parked"]].concat());
    run.starts_undo(0);
    only(&run, &[&always[..], &["undone", "undo failed", "undo waits"]].concat());
}

#[test]
fn an_unknown_effect_is_looked_for_before_it_is_undone() {
    let mut run = one();
    run.starts(0).fails(0, Effect::Unknown, Then::WalkBack);
    let always = ["taken over", "handed over", "parked", "pause", "step parked"];
    only(&run, &[&always[..], &["probed back"]].concat());
}

#[test]
fn a_body_that_drains_after_a_turn_can_still_end() {
    let mut run = one();
    run.starts(0).does(&Event::CancelRequested);
    let ends = ["done", "failed clean", "failed unknown", "waits"];
    only(&run, &[&ends[..], &["taken over", "handed over", "parked", "pause"]].concat());
}

#[test]
fn a_parked_undo_waits_for_a_person() {
    let mut run = one();
    run.runs([0]).does(&Event::RollbackRequested);
    run.fails_undo(0, UndoThen::Park(ParkReason::UndoHalted));
    let people = ["resume", "retry", "retry it", "resolve", "abandon"];
    only(&run, &[&people[..], &NEEDED, &["taken over", "handed over"]].concat());
}

#[test]
fn a_failed_run_waits_for_its_residue_to_be_settled() {
    let mut run = one();
    run.runs([0]).does(&Event::RollbackRequested).fails_undo(0, UndoThen::Residue);
    only(&run, &[&["retry", "retry it", "resolve", "abandon"], &NEEDED[..]].concat());
    run.does(&Event::Abandoned { step: 0 });
    only(&run, &["resolve"]);
}

#[test]
fn nothing_happens_to_a_run_that_is_rolled_back() {
    let mut run = one();
    only(run.does(&Event::CancelRequested), &[]);
    let mut run = one();
    run.runs([0]).does(&Event::RollbackRequested).undoes(0);
    only(&run, &[]);
}

#[test]
fn a_step_that_does_not_exist_is_refused() {
    let nowhere = |event: &Event| {
        let stored = format!("{event:?}").contains("step: 7");
        stored.then(|| one().refuses(event).state.rows())
    };
    let about_7 = [
        Event::StepStarted { step: 7, attempt: 1 },
        completed(7, By::Execute),
        completed(7, By::Probe),
        completed(7, By::Hand),
        completed(7, By::Approval),
        failed(7, Effect::Clean, Then::WalkBack),
        waits(7, approval()),
        probed(7, Finding::Absent),
        Event::StepParked { step: 7, reason: ParkReason::CannotDecode },
        Event::UndoStarted { step: 7, attempt: 1 },
        Event::UndoCompleted { step: 7 },
        Event::UndoWaits { step: 7, until: at(1) },
        Event::UndoProbed { step: 7, found: None },
        late(7),
        Event::StepSkipped { step: 7 },
        Event::Resolved { step: 7 },
    ];
    assert!(about_7.iter().all(|event| nowhere(event).is_some()));
}

#[test]
fn a_step_starts_only_after_what_precedes_it() {
    let mut run = run(&json!(["a", ["b", ["c", "d"]], "e"]));
    for step in 1..5 {
        run.refuses(&Event::StepStarted { step, attempt: 1 });
    }
    run.runs([0]).refuses(&Event::StepStarted { step: 4, attempt: 1 });
    run.starts(1).starts(2).refuses(&Event::StepStarted { step: 3, attempt: 1 });
    run.completes(2).starts(3).completes(1).completes(3).runs([4]);
}
