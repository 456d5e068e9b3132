//! Following a saga until it is at rest, whoever works on it.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use walkback::{Engine, SagaId, Status, describe::SagaView};

use crate::failure::Failure;
use crate::output::{Out, document, lines, live::Live};

/// How often to look.
const LOOK: Duration = Duration::from_millis(100);

/// How what happens is shown.
pub(crate) enum Show {
    /// A table that is drawn again and again.
    Live(Box<Live>),
    /// One line for each row of the ledger.
    Lines(Out),
    /// One JSON document for each row of the ledger.
    Json(Out),
    /// Not at all.
    Nothing,
}

/// How following ended.
pub(crate) enum Ended {
    /// The saga is at rest.
    AtRest(Box<SagaView>),
    /// Somebody interrupted.
    Interrupted,
}

impl Show {
    /// A live view on a terminal, lines elsewhere.
    pub(crate) fn for_people(out: &Out) -> Self {
        if out.live {
            Self::Live(Box::new(Live::new(out.clone())))
        } else {
            Self::Lines(out.clone())
        }
    }

    async fn update(
        &mut self,
        engine: &Engine,
        saga: &SagaView,
        seen: &mut u64,
    ) -> Result<(), Failure> {
        let (Self::Lines(out) | Self::Json(out)) = self else {
            if let Self::Live(live) = self {
                live.draw(saga);
            }
            return Ok(());
        };
        let out = out.clone();
        for row in engine.ledger(saga.id, *seen).await? {
            *seen = row.seq + 1;
            match self {
                Self::Json(_) => out.json(&document::LedgerRow::new(saga.id, &row)?)?,
                _ => out.line(&lines::of_row(&row, saga))?,
            }
        }
        Ok(())
    }
}

/// Shows what happens to the saga until it is at rest; if `wait`, being parked is no rest.
pub(crate) async fn follow(
    engine: &Engine,
    id: SagaId,
    mut show: Show,
    wait: bool,
    stop: &CancellationToken,
) -> Result<Ended, Failure> {
    let mut rest = pin!(engine.wait_for_rest(id));
    let (mut rested, mut seen) = (false, 0);
    loop {
        // First how it stands, then the rows: so none is missing when it is at rest.
        let saga = engine.show_saga(id).await?;
        show.update(engine, &saga, &mut seen).await?;
        if saga.status.at_rest() && !(wait && saga.status == Status::Parked) {
            if let Show::Live(live) = &mut show {
                live.end(&saga);
            }
            return Ok(Ended::AtRest(Box::new(saga)));
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(Ended::Interrupted),
            // What is wrong with the store the next look finds too.
            _ = &mut rest, if !rested => rested = true,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
