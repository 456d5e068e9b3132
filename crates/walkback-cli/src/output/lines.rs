//! A row of a ledger on one line, for people who read a log.

use serde_json::Value;
use walkback::describe::SagaView;
use walkback::ledger::Row;

use crate::output::table::clean;
use crate::output::time;

/// The most that is said of a row.
const LONGEST: usize = 200;

/// `03:20:01.123  step_completed  0 echo  {"echoed_at_step_0":"hello"}`.
pub(crate) fn of_row(row: &Row, saga: &SagaView) -> String {
    let steps = saga.steps.as_deref().unwrap_or_default();
    let step = row.step_idx.and_then(|idx| steps.get(idx)).map(|step| {
        let scope = step.scope.as_ref().map(|scope| format!("{scope}.")).unwrap_or_default();
        format!("{} {scope}{}", step.step_idx, step.step)
    });
    let (at, step) = (time::clock(row.at), step.unwrap_or_default());
    let line =
        format!("{at}  {:<16}  {step:<16}  {}", row.kind, cut_to(&clean(&remark(row)), LONGEST));
    line.trim_end().to_owned()
}

/// So many letters at most, the last a sign that there are more: `show` has all of it.
fn cut_to(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest - 1).chain(['…']).collect()
}

/// What is worth saying beside the name of what happened.
pub(crate) fn remark(row: &Row) -> String {
    let payload: Value = serde_json::from_str(&row.payload).unwrap_or_default();
    let text = |name: &str| payload.get(name).map(as_text);
    let mut parts: Vec<String> = Vec::new();
    parts.extend(row.attempt.filter(|attempt| *attempt > 1).map(|n| format!("try {n}")));
    // What follows it has room, too.
    parts.extend(text("error").map(|error| cut_to(&error, LONGEST - 50)));
    parts.extend(text("output").filter(|output| output != "{}"));
    parts.extend(payload.get("then").and_then(then));
    parts.extend(payload.get("wait").and_then(wait));
    parts.extend(text("why"));
    parts.extend(row.actor.as_ref().map(|actor| format!("by {actor}")));
    parts.extend(text("reason"));
    parts.join("; ")
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What a step waits for that somebody has to do; moments that come by themselves say nothing.
fn wait(wait: &Value) -> Option<String> {
    let (what, of) = wait.as_object()?.iter().next()?;
    match what.as_str() {
        "approval" => Some("for an approval (`walkback approve`, or `deny`)".to_owned()),
        "signal" => Some(format!("for the signal `{}`", as_text(&of["name"]))),
        "lock" => Some(format!("for the lock `{}`, which others hold", as_text(&of["key"]))),
        _ => None,
    }
}

fn then(then: &Value) -> Option<String> {
    match then {
        Value::String(word) => Some(word.replace('_', " ")),
        Value::Object(one) => one.iter().next().map(|(word, what)| {
            let moment = serde_json::from_value(what.clone()).ok().map(time::clock);
            format!("{} {}", word.replace('_', " "), moment.unwrap_or_else(|| as_text(what)))
        }),
        _ => None,
    }
}
