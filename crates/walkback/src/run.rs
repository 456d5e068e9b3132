//! A run in memory: what it was started with, its state, and the end of its ledger.

use std::fmt::Write;
use std::sync::Arc;

use crate::error::Error;
use crate::json::Json;
use crate::ledger::{Row, Tip, Writer, root_hash};
use crate::machine::{Event, State, Status};
use crate::plan::Plan;
use crate::store::{Head, Spec, StoredRun};
use crate::time::Timestamp;

/// A run, folded from its ledger.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) spec: Arc<Spec>,
    pub(crate) state: State,
    pub(crate) tip: Tip,
    /// When something last happened to it.
    pub(crate) last_at: Timestamp,
}

impl Run {
    /// A run to which nothing has happened.
    pub(crate) fn new(spec: Spec, plan: Arc<Plan>) -> Self {
        let state = State::new(plan, spec.deadline);
        let hash = root_hash(spec.id, &spec.kind, &spec.steps, spec.inputs.as_str());
        let last_at = spec.created_at;
        Self { spec: Arc::new(spec), state, tip: Tip { len: 0, hash }, last_at }
    }

    /// The run that these rows tell of.
    pub(crate) fn fold(stored: StoredRun, plan: Arc<Plan>) -> Result<Self, Error> {
        let mut run = Self::new(stored.spec, plan);
        for row in &stored.rows {
            run.take_in(row)?;
        }
        Ok(run)
    }

    /// Takes in a row that is stored already.
    pub(crate) fn take_in(&mut self, row: &Row) -> Result<(), Error> {
        let id = self.spec.id;
        let damaged = |why: String| Error::Damaged { id, why };
        let event = row.event().map_err(|error| damaged(error.to_string()))?;
        self.state.apply(row.at, &event).map_err(|illegal| damaged(illegal.to_string()))?;
        self.tip = Tip { len: row.seq + 1, hash: row.hash(id) };
        self.happened(row.at, &event);
        Ok(())
    }

    /// Lets `event` happen and makes its row, which is not stored yet.
    pub(crate) fn record(&mut self, event: &Event, writer: &Writer<'_>) -> Result<Row, Error> {
        let id = self.spec.id;
        let damaged = |why: String| Error::Damaged { id, why };
        self.state.apply(writer.at, event).map_err(|illegal| damaged(illegal.to_string()))?;
        self.happened(writer.at, event);
        self.tip.row(id, event, writer).map_err(|error| damaged(error.to_string()))
    }

    /// Something happened to the run; that people were told of it is nothing of that, and what came late
    /// is what did not happen to it.
    pub(crate) fn happened(&mut self, at: Timestamp, event: &Event) {
        if !event.is_of_hook() && !matches!(event, Event::CameLate { .. }) {
            self.last_at = at;
        }
    }

    /// The run's row, as its ledger says it must be.
    pub(crate) fn head(&self) -> Head {
        let status = self.state.status();
        let ended = matches!(status, Status::Completed | Status::Failed | Status::RolledBack);
        Head {
            status,
            current_step: self.state.current_step(),
            steps: self.steps_in_short(),
            cancel_requested: self.state.cancel_requested(),
            error: self.state.error().and_then(|error| serde_json::to_string(&error).ok()),
            parked: self.state.parked().map(|parked| parked.reason.to_string()),
            attention: self.state.needs_attention(),
            wake_at: self.wake_at(),
            call_at: self.state.call_at(),
            started_at: self.state.steps().iter().filter_map(|step| step.started_at).min(),
            finished_at: ended.then_some(self.last_at),
            len: self.tip.len,
            hash: self.tip.hash,
        }
    }

    fn steps_in_short(&self) -> String {
        let mut text = String::from("[");
        for (idx, step) in self.state.steps().iter().enumerate() {
            let comma = if idx == 0 { "" } else { "," };
            let letter = self.state.step_status(idx).letter();
            // Writing to a string cannot fail.
            write!(text, "{comma}\"{letter}{}", step.attempts).ok();
            if step.undo_attempts > 0 {
                write!(text, ".{}", step.undo_attempts).ok();
            }
            if step.round_from > 0 {
                write!(text, "@{}", step.round_from).ok();
            }
            text.push('"');
        }
        text.push(']');
        text
    }

    /// When there is something to do for it, if there will be by itself.
    pub(crate) fn wake_at(&self) -> Option<Timestamp> {
        self.state.commands().iter().map(crate::machine::Command::not_before).min()
    }

    /// Everything it knows, as one JSON object.
    pub(crate) fn context(&self) -> Json {
        crate::context::Context::of_run(&self.spec.inputs, &self.state).to_json()
    }
}
