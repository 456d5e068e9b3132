//! Bodies of a run that is somebody else's by now: what they made must not be left without a word.

use tracing::warn;

use crate::engine::Inner;
use crate::error::Error;
use crate::machine::Event;
use crate::plan::StepIdx;
use crate::store::{Appended, Claim};

/// Says of executes that were begun under `claim`, and have ended or were dropped, that they came late,
/// if others have gone on with the run since: what they made is undone once more.
pub(super) async fn tell(engine: &Inner, claim: &Claim, steps: &[StepIdx]) -> Result<(), Error> {
    for step in steps {
        let event = Event::CameLate { step: *step };
        loop {
            let Some(stored) = engine.store.load(claim.saga()).await? else { return Ok(()) };
            // Whoever takes over later finds that it was under way.
            if stored.rows.iter().all(|row| row.fence <= claim.fence()) {
                return Ok(());
            }
            let run = engine.fold(stored)?;
            if run.state.clone().apply(engine.clock.now(), &event).is_err() {
                break;
            }
            let name = run.state.plan().name(*step).to_owned();
            if engine.write_unclaimed(run, event.clone().into(), None).await? == Appended::Applied {
                let saga = claim.saga();
                warn!(%saga, step = name, "a body came late: others had gone on with its saga");
                break;
            }
        }
    }
    Ok(())
}
