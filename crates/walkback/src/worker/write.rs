//! One commit of a claimed run, until it is known what became of it.

use tracing::{debug, warn};

use crate::engine::{Again, Inner, is_final};
use crate::error::Error;
use crate::run::Run;
use crate::store::{Appended, Claim, Transition};

/// What became of a write.
pub(super) enum Written {
    Applied,
    /// Not applied, the claim still holds: the run as it is now.
    Again(Box<Run>),
    Lost,
    /// The store has lost what it had of the run: nothing that was known of it holds.
    Backwards,
}

/// Writes, and where the answer is not plain, reads back (rule S18, promise I19).
///
/// What is not there then may still come: a server has it from a connection that broke, and has not begun
/// with it. So the very same is written again, rows with the same hashes: one of the two is refused, and
/// whichever it is, the rows that are there are known for ours. Written anew it would be somebody
/// else's, and the bodies that it says begin would never do so.
pub(super) async fn write(
    engine: &Inner,
    claim: &Claim,
    transition: Transition,
) -> Result<Written, Error> {
    let saga = claim.saga();
    let last = transition.rows.last().map(|row| (row.seq, row.hash(saga)));
    let (released, known) = (transition.release, transition.expected_len);
    let mut again = Again::new(&*engine.clock);
    loop {
        let answered = match engine.store.append(claim, transition.clone()).await {
            Ok(Appended::Applied) => return Ok(Written::Applied),
            Ok(Appended::Refused) => true,
            // Nothing was written, and the store has waited where that helps: the next worker takes over.
            Err(error) if is_final(&error) => return Err(error.into()),
            Err(error) => {
                warn!(%saga, %error, "a commit has no answer; reading back");
                false
            }
        };
        let stored = engine.store.load(saga).await?;
        let Some(stored) = stored.filter(|stored| stored.head.len >= known) else {
            warn!(%saga, "the store's history went backwards; what was known of this saga is dropped");
            return Ok(Written::Backwards);
        };
        let there = last.is_some_and(|(seq, hash)| {
            let row = stored.rows.iter().find(|row| row.seq == seq);
            row.is_some_and(|row| row.hash(saga) == hash)
        });
        let ours = stored.owner == Some(claim.id());
        // Whoever wrote after it has nudged us, or finds the run released.
        if there && (ours || released) {
            return Ok(Written::Applied);
        }
        if !ours {
            return Ok(Written::Lost);
        }
        if answered || stored.head.len != known {
            debug!(%saga, "somebody else wrote; folding again");
            return Ok(Written::Again(Box::new(engine.fold(stored)?)));
        }
        again.wait(None).await;
    }
}
