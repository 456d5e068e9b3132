//! The live view: a table of the steps that is drawn again over itself.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};
use walkback::machine::StepStatus;
use walkback::{describe::SagaView, describe::StepResult};

use crate::output::table::Fit;
use crate::output::{Out, steps, time};

const SPINNER: [&str; 10] = ["⠋ ", "⠙ ", "⠹ ", "⠸ ", "⠼ ", "⠴ ", "⠦ ", "⠧ ", "⠇ ", "⠏ "];
/// Lines of the view that are no steps: its head, the table's header, two "more", the cursor's.
const FRAME: usize = 5;

/// A view on a terminal; what was drawn last stays when it is dropped.
pub(crate) struct Live {
    out: Out,
    bar: ProgressBar,
    frame: usize,
}

impl Live {
    pub(crate) fn new(out: Out) -> Self {
        let target = ProgressDrawTarget::stdout();
        let bar = ProgressBar::with_draw_target(None, target).with_finish(ProgressFinish::Abandon);
        // A template without mistakes: the fallback is never drawn.
        let style = ProgressStyle::with_template("{msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        *drawn() = Some(bar.clone());
        Self { out, bar, frame: 0 }
    }

    /// Draws how the saga stands.
    pub(crate) fn draw(&mut self, saga: &SagaView) {
        self.frame = (self.frame + 1) % SPINNER.len();
        self.bar.set_message(self.lines(saga).join("\n"));
        self.bar.tick();
    }

    /// Draws it for the last time.
    pub(crate) fn end(&mut self, saga: &SagaView) {
        self.draw(saga);
    }

    fn lines(&self, saga: &SagaView) -> Vec<String> {
        let steps = saga.steps.as_deref().unwrap_or_default();
        let (from, to) = window(steps, self.out.height.saturating_sub(FRAME).max(3));
        let spinner = SPINNER[self.frame];
        let table =
            steps::table(saga, time::now(), steps[from..to].iter(), |status| mark(status, spinner));
        let mut lines = vec![self.head(saga)];
        let mut drawn = table.lines(&self.out, Fit::Cut);
        if from > 0 {
            drawn.insert(1, self.out.dim(&format!("… {from} before")));
        }
        lines.append(&mut drawn);
        if to < steps.len() {
            lines.push(self.out.dim(&format!("… {} after", steps.len() - to)));
        }
        lines
    }

    fn head(&self, saga: &SagaView) -> String {
        let end = saga.finished_at.unwrap_or_else(time::now);
        let took = time::duration(end.since(saga.started_at.unwrap_or(saga.created_at)));
        let status = saga.status.name();
        format!("{}  {}  {status}  {took}", self.out.bold(&saga.kind), saga.id)
    }
}

/// What is written next begins on a line of its own.
impl Drop for Live {
    fn drop(&mut self) {
        drawn().take();
        self.bar.abandon();
        // A terminal that is gone needs no line.
        self.out.line("").ok();
    }
}

/// The view that is on the terminal now.
static DRAWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

fn drawn() -> MutexGuard<'static, Option<ProgressBar>> {
    DRAWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes something else, above the view if one is drawn.
pub(crate) fn beside<T>(write: impl FnOnce() -> T) -> T {
    let bar = drawn().clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Says something to a person who did not ask for it on stdout.
pub(crate) fn say(text: &str) {
    beside(|| eprintln!("{text}"));
}

fn mark(status: StepStatus, spinner: &'static str) -> &'static str {
    match status {
        StepStatus::Running | StepStatus::Compensating => spinner,
        StepStatus::Completed => "✓ ",
        StepStatus::Failed | StepStatus::CompensationFailed => "✗ ",
        StepStatus::Compensated => "↩ ",
        StepStatus::Pending => "· ",
        StepStatus::Skipped | StepStatus::Abandoned | StepStatus::Resolved => "- ",
    }
}

/// Which steps are drawn if not all have room: those around the first that moves.
fn window(steps: &[StepResult], room: usize) -> (usize, usize) {
    let moves =
        |step: &StepResult| matches!(step.status, StepStatus::Running | StepStatus::Compensating);
    let pending = || steps.iter().position(|step| step.status == StepStatus::Pending);
    let at = steps.iter().position(moves).or_else(pending).unwrap_or(steps.len());
    let from = at.saturating_sub(room / 2).min(steps.len().saturating_sub(room));
    (from, (from + room).min(steps.len()))
}
