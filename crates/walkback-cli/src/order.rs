//! What `run`, `start` and `plan` are told to start.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use walkback::time::{Timestamp, parse_duration, parse_moment};
use walkback::{Definition, Order};

use crate::failure::Failure;

/// An order, as the command line has it.
#[derive(Debug, Args)]
pub(crate) struct OrderArgs {
    #[command(flatten)]
    what: What,
    /// What it is started with: a JSON object, `@FILE` to read one, `-` for stdin.
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    input: Option<String>,
    /// Starting twice with one key starts one saga.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The kind's name for steps of `--steps` or `--file`.
    #[arg(long = "kind", value_name = "NAME", conflicts_with = "known")]
    name: Option<String>,
    /// For finding it again; may be said several times.
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Walk back if it is not done so long after its start: `90s`, `1h 30m`.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    deadline: Option<Duration>,
    /// Begin so much later and not at once: `90s`, `2d`.
    #[arg(long = "in", value_name = "DURATION", value_parser = parse_duration, conflicts_with = "at")]
    within: Option<Duration>,
    /// Begin at this moment and not at once: `2026-12-24T08:00:00Z`.
    #[arg(long, value_name = "MOMENT", value_parser = parse_moment)]
    at: Option<Timestamp>,
    /// Only workers that serve this queue take it.
    #[arg(long, value_name = "QUEUE", default_value = "default")]
    queue: String,
    /// Higher goes first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
}

/// What to start: one of three.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false)]
struct What {
    /// A kind of saga that this binary knows (see `walkback kinds`).
    #[arg(id = "known", value_name = "KIND")]
    kind: Option<String>,
    /// Steps that this binary knows, one after another (see `walkback steps`).
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    steps: Option<Vec<String>>,
    /// A definition, in YAML or JSON.
    #[arg(long, value_name = "SAGA.YAML", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
}

/// `name=value`, for clap.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected `name=value`".to_owned()),
    }
}

impl OrderArgs {
    /// The order, once everything it names is read.
    ///
    /// # Errors
    /// Every file that cannot be read, every mistake in a definition.
    pub(crate) fn order(self) -> Result<Order, Failure> {
        let mut mistakes = Vec::new();
        let order = self.what.order(self.name).map_err(|found| mistakes.extend(found));
        let input = self.input.map(|text| read_json("input", &text)).transpose();
        let input = input.map_err(|mistake| mistakes.push(mistake));
        let (Ok(mut order), Ok(input)) = (order, input) else {
            return Err(Failure::usage(mistakes));
        };
        order = order.queue(self.queue).priority(self.priority);
        if let Some(input) = input {
            order = order.input(input);
        }
        if let Some(key) = self.key {
            order = order.key(key);
        }
        if let Some(time) = self.within {
            order = order.begin_in(time);
        }
        if let Some(moment) = self.at {
            order = order.begin_at(moment);
        }
        if let Some(after) = self.deadline {
            order = order.deadline(after);
        }
        Ok(self.labels.into_iter().fold(order, |order, (name, value)| order.label(name, value)))
    }
}

impl What {
    fn order(self, name: Option<String>) -> Result<Order, Vec<String>> {
        match self {
            Self { kind: Some(kind), .. } => Ok(Order::kind(kind)),
            Self { steps: Some(steps), .. } => {
                let list = steps.into_iter().collect();
                Ok(Order::list(name.unwrap_or_else(|| "adhoc".to_owned()), list))
            }
            Self { file: Some(file), .. } => definition(&file, name),
            _ => Err(vec!["nothing to start: expected KIND, --steps or --file".to_owned()]),
        }
    }
}

/// The order of a definition's file, under another name if one is given.
fn definition(file: &Path, name: Option<String>) -> Result<Order, Vec<String>> {
    let mut definition = Definition::read(file).map_err(|found| found.0)?;
    if let Some(name) = name {
        definition = definition.named(name);
    }
    Ok(Order::definition(&definition))
}

/// The text that `JSON|@FILE|-` means, given for `what`.
///
/// # Errors
/// If the file or stdin cannot be read.
pub(crate) fn read_json(what: &str, text: &str) -> Result<String, String> {
    if text == "-" {
        let mut read = String::new();
        let from = std::io::stdin().read_to_string(&mut read);
        return from
            .map(|_| read)
            .map_err(|error| format!("{what}: stdin cannot be read: {error}"));
    }
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let read = std::fs::read_to_string(file)
        .map_err(|error| format!("{what}: file `{file}` cannot be read: {error}"))?;
    let ending = Path::new(file).extension();
    if !ending.is_some_and(|ending| ending == "yaml" || ending == "yml") {
        return Ok(read);
    }
    let value: serde_json::Value = serde_saphyr::from_str(&read)
        .map_err(|error| format!("{what}: file `{file}` is no YAML: {error}"))?;
    Ok(value.to_string())
}
