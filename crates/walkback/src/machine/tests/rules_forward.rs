//! Going forward: rules S2 to S5, S10, S11, S14 and S16.

use serde_json::json;

use super::{
    Run, approval, at, compensate, completed, execute, execute_at, failed, probed, resumed,
    retried, run, run_until, signal, signal_named, step, waits,
};
use crate::machine::{
    By, Command, Effect, Event, Finding, ParkReason, Status, StepStatus, Then, Wait,
};

fn probing() -> Run {
    run(&json!([step("a", json!({"probe": true}))]))
}

fn once(probe: bool) -> Run {
    run(&json!([step("a", json!({"repeatable": false, "probe": probe}))]))
}

/// S2: each execution has its own start, and attempts are counted one by one.
#[test]
fn every_execution_has_its_own_start() {
    let mut run = run(&json!(["a", "b"]));
    run.wants(&[execute(0)]).refuses(&Event::StepStarted { step: 0, attempt: 2 });
    run.starts(0).wants(&[]).refuses(&Event::StepStarted { step: 0, attempt: 2 });
    run.completes(0).wants(&[execute(1)]);
    assert_eq!(run.state.current_step(), 1);
}

/// S3: "not yet" counts no attempt and calls the same body again, without a probe.
#[test]
fn not_yet_counts_no_attempt_and_needs_no_probe() {
    let mut run = probing();
    run.starts(0).does(&waits(0, Wait::Until(at(9)))).wants(&[execute_at(0, at(9))]);
    assert_eq!(run.state.step(0).attempts, 0);
    run.starts(0).completes(0).is(Status::Completed);
}

/// S3: what said "not yet" may have made something; a later clean end does not change that.
#[test]
fn what_said_not_yet_is_undone_even_if_it_then_fails_clean_or_is_skipped() {
    for end in [failed(0, Effect::Clean, Then::RetryAt(at(1))), Event::TakenOver] {
        let mut run = run(&json!(["a", "b"]));
        run.starts(0).does(&waits(0, Wait::Until(at(9)))).starts(0).does(&end);
        run.does(&Event::StepSkipped { step: 0 }).does(&Event::CancelRequested);
        run.wants(&[compensate(0)]);
    }
}

/// S3: a body that outlives its token parks the run, and nothing is undone beside it.
#[test]
fn nothing_is_undone_beside_a_living_body() {
    let mut run = run(&json!([["a", "b"]]));
    run.starts(0).starts(1).completes(0).does(&Event::CancelRequested).wants(&[]);
    assert!(run.state.wants_bodies_stopped());
    run.refuses(&Event::UndoStarted { step: 0, attempt: 1 });
    run.does(&Event::Parked { reason: ParkReason::BodyStillRunning });
    run.parked_for(ParkReason::BodyStillRunning).wants(&[]);
    run.fails(1, Effect::Unknown, Then::WalkBack).does(&resumed());
    run.wants(&[compensate(0), compensate(1)]);
}

/// S4: the moment of the next try is in the event; a claim that ended counts no attempt.
#[test]
fn a_retry_waits_for_its_moment_and_a_lost_claim_counts_no_attempt() {
    let mut run = run(&json!(["a"]));
    run.starts(0).fails(0, Effect::Clean, Then::RetryAt(at(60))).wants(&[execute_at(0, at(60))]);
    assert_eq!((run.state.step(0).attempts, run.state.step(0).failures), (1, 1));
    run.starts(0).does(&Event::HandedOver);
    assert_eq!((run.state.step(0).attempts, run.state.step(0).failures), (1, 1));
    run.starts(0).does(&Event::TakenOver).starts(0).completes(0);
    assert_eq!(run.state.step(0).attempts, 2);
}

/// S5: a repeatable step without a probe is executed again after an unknown outcome.
#[test]
fn a_repeatable_step_is_executed_again_after_an_unknown_outcome() {
    let mut run = run(&json!(["a"]));
    run.starts(0).fails(0, Effect::Unknown, Then::RetryAt(at(9))).wants(&[execute_at(0, at(9))]);
    run.starts(0).does(&Event::TakenOver).starts(0).completes(0).is(Status::Completed);
}

/// S5: what can probe is probed first, and what is present adopted, after a failure or a takeover.
#[test]
fn an_unknown_outcome_is_probed_and_what_is_present_adopted() {
    for end in [failed(0, Effect::Unknown, Then::RetryAt(at(9))), Event::TakenOver] {
        let mut run = probing();
        run.starts(0).does(&end).refuses(&Event::StepStarted { step: 0, attempt: 2 });
        assert!(matches!(run.state.commands()[..], [Command::Probe { step: 0, .. }]));
        run.does(&completed(0, By::Probe)).is(Status::Completed);
    }
}

/// S5: "absent" counts after the settle delay only; then it is executed again.
#[test]
fn absent_too_soon_probes_again_and_absent_executes_again() {
    let mut run = once(true);
    run.starts(0).does(&Event::TakenOver).does(&probed(0, Finding::AbsentTooSoon(at(30))));
    run.wants(&[Command::Probe { step: 0, not_before: at(30) }]);
    run.does(&probed(0, Finding::Absent)).starts(0).completes(0).is(Status::Completed);
}

/// S5: a probe that cannot tell lets a repeatable step execute again.
#[test]
fn a_probe_that_cannot_tell_executes_a_repeatable_step_again() {
    let mut run = probing();
    run.starts(0).does(&Event::TakenOver).does(&probed(0, Finding::CannotTell));
    run.starts(0).completes(0);
}

/// S5: what is not repeatable parks where nothing can tell; a person can.
#[test]
fn what_is_not_repeatable_parks_when_nothing_can_tell() {
    let mut probed_once = once(true);
    probed_once.starts(0).does(&Event::TakenOver).does(&probed(0, Finding::CannotTell));
    let mut blind = once(false);
    blind.starts(0).does(&Event::TakenOver);
    let reason = ParkReason::UnknownOutcome;
    blind.wants(&[Command::ParkStep { step: 0, reason }]);
    blind.refuses(&Event::StepStarted { step: 0, attempt: 1 });
    blind.does(&Event::StepParked { step: 0, reason });
    for mut run in [probed_once, blind] {
        run.parked_for(reason).wants(&[]).does(&retried(0)).starts(0).completes(0);
    }
}

/// S10: clean, a pivot turns the run; unknown, it parks; behind it, everything parks.
#[test]
fn a_pivot_turns_only_if_it_failed_clean_and_nothing_behind_it_turns() {
    let pivot = || step("p", json!({"pivot": true}));
    let mut run = run(&json!([pivot(), "b", pivot()]));
    for effect in [Effect::Unknown, Effect::Clean] {
        let mut run = run.clone();
        run.starts(0);
        if effect == Effect::Unknown {
            run.refuses(&failed(0, effect, Then::WalkBack));
            run.refuses(&failed(0, effect, Then::HoldUntil(at(9))));
            run.fails(0, effect, Then::Park(ParkReason::PivotUnknown)).is(Status::Parked);
        } else {
            run.fails(0, effect, Then::WalkBack).is(Status::RolledBack);
        }
    }
    run.runs([0]).starts(1).refuses(&failed(1, Effect::Clean, Then::WalkBack));
    run.refuses(&failed(1, Effect::Clean, Then::HoldUntil(at(9)))).completes(1);
    run.starts(2).refuses(&failed(2, Effect::Clean, Then::WalkBack));
}

/// S10: from a pivot's start on the deadline is ignored; S9: and pause is not.
#[test]
fn a_pivot_ignores_the_deadline() {
    let mut run = run_until(&json!([step("p", json!({"pivot": true})), "b"]), at(100));
    run.wants(&[Command::PassDeadline { at: at(100) }, execute(0)]);
    run.starts(0).refuses(&Event::DeadlinePassed).refuses(&Event::CancelRequested);
    run.does(&Event::PauseRequested).completes(0).parked_for(ParkReason::Paused);
    run.does(&resumed()).wants(&[execute(1)]);
}

/// S10: a pivot that was skipped before it did anything binds nobody.
#[test]
fn a_skipped_pivot_does_not_bind() {
    let mut run = run(&json!([step("p", json!({"pivot": true})), "b"]));
    run.does(&Event::PauseRequested).does(&Event::StepSkipped { step: 0 });
    run.does(&Event::CancelRequested).is(Status::RolledBack);
}

/// S11: a hold parks, and ends by its clock, a cancel, or the step going on.
#[test]
fn a_hold_ends_by_its_clock_a_cancel_or_a_retry() {
    let mut held = run(&json!(["a"]));
    held.starts(0).fails(0, Effect::Unknown, Then::HoldUntil(at(60)));
    held.parked_for(ParkReason::Held).wants(&[Command::EndHold { at: at(60) }]);
    assert_eq!(held.state.parked().and_then(|parked| parked.until), Some(at(60)));
    held.does(&Event::HoldSet { until: at(90) }).wants(&[Command::EndHold { at: at(90) }]);
    held.refuses(&Event::DeadlinePassed);
    held.clone().does(&Event::HoldEnded).wants(&[compensate(0)]);
    held.clone().does(&Event::CancelRequested).wants(&[compensate(0)]);
    held.clone().does(&retried(0)).starts(0).completes(0).is(Status::Completed);
    held.does(&completed(0, By::Hand)).is(Status::Completed);
}

/// S11: a hold goes on for the other member that failed.
#[test]
fn a_hold_outlives_the_first_of_two_failed_members() {
    let goes_on = [retried(0), completed(0, By::Hand), Event::StepSkipped { step: 0 }];
    for event in goes_on {
        let mut run = run(&json!([["a", "b"]]));
        run.starts(0).starts(1).fails(0, Effect::Clean, Then::HoldUntil(at(60)));
        run.fails(1, Effect::Clean, Then::HoldUntil(at(70))).does(&event);
        run.parked_for(ParkReason::Held).wants(&[Command::EndHold { at: at(60) }]);
        run.does(&retried(1));
        assert!(run.state.commands().contains(&execute_at(1, at(run.now))));
    }
}

/// S14: members go together; a parked one lets its siblings finish, and then parks the run.
#[test]
fn a_parked_member_lets_its_siblings_finish() {
    let mut run = run(&json!([["a", ["b", "c"]], "d"]));
    run.wants(&[execute(0), execute(1)]).starts(0).starts(1);
    run.fails(0, Effect::Clean, Then::Park(ParkReason::CannotDecode)).is(Status::Running);
    run.completes(1).is(Status::Running).wants(&[execute(2)]).runs([2]);
    run.parked_for(ParkReason::CannotDecode).wants(&[]);
    assert_eq!(run.state.parked().and_then(|parked| parked.step), Some(0));
    assert_eq!(run.state.parked().map(|parked| parked.since), Some(at(run.now)));
    run.does(&completed(0, By::Hand)).wants(&[execute(3)]);
}

/// S16: signals are kept in order, from before the step on, and a duplicate is none.
#[test]
fn signals_are_kept_first_in_first_out_and_once_by_id() {
    let mut run = run(&json!(["a", "b"]));
    run.does(&signal("s", "1", Some("x"))).does(&signal("s", "2", None));
    run.does(&signal("other", "3", None)).refuses(&signal("s", "1", Some("x")));
    for (step, payload) in [(0, "1"), (1, "2")] {
        run.starts(step).does(&waits(step, signal_named("s")));
        run.wants(&[Command::Deliver { step }]);
        let first = run.state.first_signal("s").map(|signal| signal.payload.as_str().to_owned());
        assert_eq!(first.as_deref(), Some(payload));
        run.does(&completed(step, By::Signal));
    }
    assert!(run.state.first_signal("s").is_none());
}

/// A start that is delayed begins at its moment; what has begun is not delayed.
#[test]
fn a_delayed_run_begins_at_its_moment() {
    let mut run = run(&json!(["a", "b"]));
    run.does(&Event::StartDelayed { until: at(50) });
    run.wants(&[Command::Execute { step: 0, not_before: at(50) }]).is(Status::Pending);
    run.runs([0]).wants(&[execute(1)]).refuses(&Event::StartDelayed { until: at(60) });
}

/// S16: a wait expires at its moment; a signal that came first is delivered instead.
#[test]
fn a_wait_expires_unless_its_signal_came_first() {
    let mut run = run(&json!(["a"]));
    let wait = Wait::Signal { name: "s".to_owned(), until: Some(at(50)) };
    run.starts(0).does(&waits(0, wait)).wants(&[Command::Expire { step: 0, at: at(50) }]);
    run.clone().fails(0, Effect::Clean, Then::WalkBack).is(Status::RolledBack);
    run.clone().does(&completed(0, By::Expiry)).is(Status::Completed);
    run.does(&signal("s", "1", None)).wants(&[Command::Deliver { step: 0 }]);
}

/// S16: an approval names its step; denied or expired it fails clean, and nothing is undone.
#[test]
fn an_approval_completes_and_a_denial_fails_clean() {
    let mut run = run(&json!(["a"]));
    run.starts(0).does(&waits(0, approval())).wants(&[]).is(Status::Running);
    assert_eq!(run.state.step_status(0), StepStatus::Running);
    run.refuses(&failed(0, Effect::Unknown, Then::WalkBack));
    run.clone().does(&completed(0, By::Approval)).is(Status::Completed);
    run.fails(0, Effect::Clean, Then::WalkBack).is(Status::RolledBack);
}
