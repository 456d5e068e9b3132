//! A saga in words: how it ended, what is left, what to do.

use walkback::desired::Provisioned;
use walkback::{Status, describe::SagaView};

use crate::output::table::{clean, wrap};
use crate::output::{Out, steps, time};

/// Characters of a long value that `show` still shows.
const LONG: usize = 2_000;

/// How it stands, in a sentence or a few lines.
pub(crate) fn summary(saga: &SagaView, out: &Out) -> Vec<String> {
    let end = saga.finished_at.unwrap_or_else(time::now);
    let took = time::duration(end.since(saga.started_at.unwrap_or(saga.created_at)));
    let why = saga.error.as_ref().map(|error| error.reason.clone()).unwrap_or_default();
    let id = saga.id;
    let mut lines = match saga.status {
        Status::Completed => vec![format!("saga {id} completed in {took}")],
        Status::RolledBack => {
            vec![format!("saga {id} rolled back in {took} ({why}): nothing it made is left")]
        }
        Status::Failed => {
            vec![format!("saga {id} failed after {took} ({why}): not everything could be undone")]
        }
        Status::Parked => vec![format!("saga {id} is parked and waits for a person")],
        status => vec![format!("saga {id} is {}", status.name())],
    };
    lines.extend(cause(saga));
    lines.extend(parked(saga));
    if let Some(width) = out.width {
        lines = lines.iter().flat_map(|line| wrap(line, width)).collect();
    }
    lines.extend(residue(saga, out));
    lines
}

/// What a completed saga came to: what it provisioned, and what its last step says of it.
pub(crate) fn result(saga: &SagaView, provisioned: &[Provisioned], out: &Out) -> Vec<String> {
    let live: Vec<_> = provisioned.iter().filter(|row| row.closed_at.is_none()).collect();
    if saga.status != Status::Completed || live.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), out.bold("exists now")];
    let width = live.iter().map(|row| row.what.kind.len()).max().unwrap_or_default();
    for row in &live {
        let name = row.what.name.as_deref().unwrap_or_default();
        let (kind, id) = (&row.what.kind, &row.what.external_id);
        lines.push(format!("  {kind:<width$}  {id}  {name}").trim_end().to_owned());
    }
    let last = saga.steps.as_ref().and_then(|steps| steps.last()?.output.as_ref());
    if let Some(serde_json::Value::Object(said)) = last.map(walkback::Json::value) {
        lines.push(String::new());
        let width = said.keys().map(String::len).max().unwrap_or_default();
        lines.extend(said.iter().map(|(name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!("{name:<width$}  {}", cut(&value))
        }));
    }
    lines
}

/// The error of the step that turned or parked it, whole: a table shows only its beginning.
fn cause(saga: &SagaView) -> Option<String> {
    let failed = saga.error.as_ref().and_then(|error| error.reason.strip_prefix("step_failed:"));
    let parked = saga.parked.as_ref().and_then(|parked| parked.step_idx);
    let is_it = |idx: usize, name: &str| failed == Some(name) || parked == Some(idx);
    let mut steps = saga.steps.iter().flatten().filter(|step| is_it(step.step_idx, &step.step));
    let (name, error) = steps.find_map(|step| Some((&step.step, step.error.as_ref()?)))?;
    Some(format!("`{name}`: {}", cut(error)))
}

/// Why it stands still, and what may be done.
pub(crate) fn parked(saga: &SagaView) -> Vec<String> {
    let Some(parked) = &saga.parked else { return Vec::new() };
    let step = parked.step_idx.and_then(|idx| saga.steps.as_ref()?.get(idx));
    let at = step.map(|step| format!(", step {} `{}`", step.step_idx, step.step));
    let until = parked.until.map(|at| format!(", goes on {}", time::until(at)));
    let since = time::ago(parked.since);
    vec![
        format!(
            "parked    {}{}, since {since}{}",
            parked.reason,
            at.unwrap_or_default(),
            until.unwrap_or_default()
        ),
        format!("legal     {}", parked.legal.join(", ")),
    ]
}

/// What it made and could not take back, and which commands end that.
pub(crate) fn residue(saga: &SagaView, out: &Out) -> Vec<String> {
    let mut lines = Vec::new();
    for left in &saga.residue {
        let scope = left.scope.as_ref().map(|scope| format!("{scope}.")).unwrap_or_default();
        let what = left.output.as_ref().map_or("not known".to_owned(), ToString::to_string);
        lines.push(String::new());
        lines.push(out.bold(&format!("left by step {} `{scope}{}`", left.step_idx, left.step)));
        lines.push(format!("  what    {}", cut(&what)));
        if let Some(error) = &left.error {
            lines.push(format!("  error   {}", cut(error)));
        }
        for (at, command) in left.commands.iter().enumerate() {
            lines.push(format!("  {}{command}", if at == 0 { "end it  " } else { "     or " }));
        }
    }
    lines
}

/// The facts about it, one a line, before its steps.
pub(crate) fn facts(saga: &SagaView, out: &Out) -> Vec<String> {
    let mut facts = vec![
        ("saga", saga.id.to_string()),
        ("kind", saga.kind.clone()),
        ("status", status(saga)),
        ("created", time::moment(saga.created_at)),
    ];
    let took = saga.started_at.zip(saga.finished_at).map(|(from, to)| to.since(from));
    facts.extend(saga.finished_at.map(|at| {
        let took = took.map(|took| format!(" (took {})", time::duration(took)));
        ("finished", format!("{}{}", time::moment(at), took.unwrap_or_default()))
    }));
    let labels: Vec<_> =
        saga.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !labels.is_empty() {
        facts.push(("labels", labels.join(" ")));
    }
    facts.extend(saga.waiting_for.as_ref().map(|waiting| {
        ("waiting", format!("step {}: {}", waiting.step_idx, steps::wait(waiting)))
    }));
    facts.push(("inputs", saga.inputs.to_string()));
    let mut lines = Vec::new();
    for (name, value) in facts {
        let width = out.width.map_or(usize::MAX, |width| width.saturating_sub(10).max(20));
        for (at, part) in wrap(&cut(&clean(&value)), width).into_iter().enumerate() {
            lines.push(format!("{:<10}{part}", if at == 0 { name } else { "" }));
        }
    }
    lines.extend(parked(saga));
    lines
}

fn status(saga: &SagaView) -> String {
    let mut status = saga.status.name().to_owned();
    if let Some(error) = &saga.error {
        let from = error.compensate_from_idx.map(|idx| format!(", undone from step {idx}"));
        status = format!("{status}: {}{}", error.reason, from.unwrap_or_default());
    }
    if saga.cancel_requested {
        status.push_str(" (cancel accepted)");
    }
    status
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONG) {
        Some((at, _)) => format!("{}… (`--json` shows all)", &text[..at]),
        None => text.to_owned(),
    }
}
