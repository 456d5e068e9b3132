//! Bodies of a run that is somebody else's by now: what they made must not be left without a word.

use tracing::warn;

use crate::engine::{Inner, Outside};
use crate::error::Error;
use crate::ledger::Row;
use crate::machine::{Event, UndoThen};
use crate::plan::StepIdx;
use crate::store::{Appended, Claim};

/// Says of executes that were begun under `claim`, and have ended or were dropped, that they came late,
/// if others have gone on with the run since: what they made is undone once more.
pub(super) async fn tell(engine: &Inner, claim: &Claim, steps: &[StepIdx]) -> Result<(), Error> {
    for step in steps {
        while !is_told(engine, claim, *step).await.inspect_err(|error| {
            let saga = claim.saga();
            warn!(%saga, step, %error, "what a body made that came late may be left: nobody can be told");
        })? {}
    }
    Ok(())
}

/// One attempt at telling: nothing, if somebody else wrote at the same time.
async fn is_told(engine: &Inner, claim: &Claim, step: StepIdx) -> Result<bool, Error> {
    let (saga, fence) = (claim.saga(), claim.fence());
    let Some(stored) = engine.store.load(saga).await? else { return Ok(true) };
    let others = stored.rows.iter().any(|row| row.fence > fence);
    let ours = |row: &&Row| row.fence == fence && row.step_idx == Some(step);
    let newest = stored.rows.iter().rfind(ours);
    // Whoever takes over later finds that it was under way; and an outcome of ours may be there.
    if !others || newest.is_none_or(|row| row.kind != "step_started") {
        return Ok(true);
    }
    let run = engine.fold(stored)?;
    let name = run.state.plan().name(step).to_owned();
    // Where others have its locks by now, a person says when it is undone; what completed stays.
    let turned = run.state.turned();
    let locks = if turned { run.state.locks_to_walk_back() } else { Vec::new() };
    let (then, locks) = if engine.in_the_way(saga, &locks).await?.is_empty() {
        (UndoThen::RetryAt(engine.clock.now()), locks)
    } else {
        (UndoThen::Residue, Vec::new())
    };
    let event = Event::CameLate { step, then };
    if let Err(error) = run.state.clone().apply(engine.clock.now(), &event) {
        warn!(%saga, step = name, %error, "a body came late, and what it made is not undone");
        return Ok(true);
    }
    let outside = Outside { locks, ..event.into() };
    let told = engine.write_unclaimed(run, outside, None).await? == Appended::Applied;
    if told {
        warn!(%saga, step = name, "a body came late: others had gone on with its saga");
    }
    Ok(told)
}
