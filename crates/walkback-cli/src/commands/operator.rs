//! The operator's verbs: what each takes, and what it asks.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use walkback::engine::Operation;
use walkback::{Json, SagaId, time::parse_duration};

use crate::commands::ask::{Said, Target, Who, each, one};
use crate::commands::{App, Outcome};
use crate::failure::Failure;
use crate::order::read_json;

/// One verb each.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Cancel a saga: it walks back until nothing it made is left.
    #[command(after_long_help = BULK)]
    Cancel(Many),
    /// Stop a saga where it is, without walking back; bodies under way end first.
    #[command(after_long_help = BULK)]
    Pause(Many),
    /// Let a parked saga go on where it stands, perhaps with edited inputs.
    #[command(after_long_help = BULK)]
    Resume(Resume),
    /// Try again what is parked, or every undo that failed for good.
    #[command(after_long_help = BULK)]
    Retry(ManyOrStep),
    /// Undo a completed saga: the same walk back, on purpose.
    #[command(after_long_help = BULK)]
    Rollback(Many),
    /// Give a held saga so much time from now before it walks back.
    Hold(Hold),
    /// This step is done, by hand: the saga goes on behind it.
    Complete(Complete),
    /// This step need not run: the saga goes on behind it.
    Skip(OneStep),
    /// What this step left is removed, by hand: nothing of it is left.
    Resolve(OneStep),
    /// What this step left is left on purpose: it stays listed and needs nobody any more.
    Abandon(OneStep),
    /// Send a signal; a step that waits for it goes on, or will when it gets there.
    Signal(Signal),
    /// Approve a step that waits for it.
    #[command(after_long_help = BULK)]
    Approve(ManyOrStep),
    /// Deny a step that waits for approval: it fails, and the saga walks back.
    #[command(after_long_help = BULK)]
    Deny(ManyOrStep),
}

const BULK: &str = "\
With --all it is asked of every saga that fits the filters: without --yes it only says how many those are.";

/// Nothing but the sagas.
#[derive(Debug, Args)]
pub(crate) struct Many {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    who: Who,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    target: Target,
    /// This field of the inputs has another value from here on: JSON, or else a text. May be said
    /// several times.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = field)]
    set: Vec<(String, Value)>,
    #[command(flatten)]
    who: Who,
}

/// Sagas, or one step of one.
#[derive(Debug, Args)]
pub(crate) struct ManyOrStep {
    #[command(flatten)]
    target: Target,
    /// Only this step: an index, `scope.step`, or a name that only one has.
    #[arg(conflicts_with = "all")]
    step: Option<String>,
    #[command(flatten)]
    who: Who,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Hold {
    /// The saga.
    id: SagaId,
    /// How long: `30m`, `2h`.
    #[arg(value_name = "DURATION", value_parser = parse_duration)]
    time: Duration,
    #[command(flatten)]
    who: Who,
}

/// A step of one saga.
#[derive(Debug, Args)]
pub(crate) struct OneStep {
    /// The saga.
    id: SagaId,
    /// The step: an index, `scope.step`, or a name that only one has.
    step: String,
    #[command(flatten)]
    who: Who,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Complete {
    #[command(flatten)]
    step: OneStep,
    /// What it would have put out: a JSON object, `@FILE` to read one, `-` for stdin.
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    output: String,
}

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// The saga.
    id: SagaId,
    /// What it is called by whoever waits for it.
    name: String,
    /// What it brings: a JSON object, `@FILE` to read one, `-` for stdin.
    #[arg(value_name = "JSON|@FILE|-", default_value = "{}")]
    payload: String,
    /// Two signals with one id are one.
    #[arg(long = "id", value_name = "DEDUPE")]
    dedupe: Option<String>,
    #[command(flatten)]
    who: Who,
}

/// `field=value`; what is no JSON is a text.
fn field(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("expected `field=value`")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

fn json(what: &str, text: &str) -> Result<Json, Failure> {
    let text = read_json(what, text).map_err(|mistake| Failure::usage(vec![mistake]))?;
    Json::parse(text).map_err(|error| Failure::usage(vec![format!("{what}: {error}")]))
}

impl Resume {
    fn operation(&self) -> Result<Operation, Failure> {
        let edits: Map<String, Value> = self.set.iter().cloned().collect();
        let set = if edits.is_empty() { None } else { Some(Json::of(&edits)?) };
        Ok(Operation::Resume { set })
    }
}

const fn said(done: &'static str, already: &'static str) -> Said {
    Said { done, already }
}

impl OneStep {
    async fn ask(self, app: &App, make: fn(String) -> Operation, done: &'static str) -> Outcome {
        one(app, self.id, &make(self.step), self.who, said(done, "is so already")).await
    }
}

pub(crate) async fn run(app: &App, verb: Verb) -> Outcome {
    const GOES_ON: Said = said("goes on", "goes on already");
    const WALKS_BACK: Said = said("is cancelled: it walks back", "walks back already");
    match verb {
        Verb::Cancel(Many { target, who }) => {
            each(app, target, &Operation::Cancel, who, WALKS_BACK).await
        }
        Verb::Pause(Many { target, who }) => {
            let pauses = said("pauses: `resume` lets it go on", "pauses already");
            each(app, target, &Operation::Pause, who, pauses).await
        }
        Verb::Resume(args) => {
            let operation = args.operation()?;
            each(app, args.target, &operation, args.who, GOES_ON).await
        }
        Verb::Retry(ManyOrStep { target, step, who }) => {
            each(app, target, &Operation::Retry { step }, who, GOES_ON).await
        }
        Verb::Rollback(Many { target, who }) => {
            let back = said("walks back, as was asked", "walks back already");
            each(app, target, &Operation::Rollback, who, back).await
        }
        Verb::Hold(Hold { id, time, who }) => {
            one(app, id, &Operation::Hold { time }, who, said("holds", "holds already")).await
        }
        Verb::Complete(Complete { step: OneStep { id, step, who }, output }) => {
            let output = json("output", &output)?;
            one(app, id, &Operation::Complete { step, output }, who, GOES_ON).await
        }
        Verb::Skip(step) => step.ask(app, |step| Operation::Skip { step }, "goes on").await,
        Verb::Resolve(step) => {
            let make = |step| Operation::Resolve { step };
            step.ask(app, make, "has that residue resolved").await
        }
        Verb::Abandon(step) => {
            let make = |step| Operation::Abandon { step };
            step.ask(app, make, "leaves that residue on purpose").await
        }
        Verb::Signal(Signal { id, name, payload, dedupe, who }) => {
            let payload = json("payload", &payload)?;
            let operation = Operation::Signal { name, payload, id: dedupe };
            one(app, id, &operation, who, said("has the signal", "has it already")).await
        }
        Verb::Approve(ManyOrStep { target, step, who }) => {
            let approved = said("has the approval", "has it already");
            each(app, target, &Operation::Approve { step }, who, approved).await
        }
        Verb::Deny(ManyOrStep { target, step, who }) => {
            let denied = said("has the denial", "has it already");
            each(app, target, &Operation::Deny { step }, who, denied).await
        }
    }
}
