//! Whether what somebody asks can be taken: sizes, names, who may. Every mistake at once.

use crate::builtin::{any_of, deciders};
use crate::context::Context;
use crate::engine::operate::Asked;
use crate::error::{Error, Mistakes};
use crate::json::Json;
use crate::limits;
use crate::plan::StepIdx;
use crate::run::Run;

pub(in crate::engine) fn check_asked(asked: &Asked) -> Result<(), Error> {
    let most = limits::NAME_BYTES;
    let mut mistakes = Vec::new();
    if asked.actor.len() > most {
        mistakes.push(format!("actor: {} bytes; at most {most} are allowed", asked.actor.len()));
    }
    let reason = asked.reason.as_ref().map_or(0, String::len);
    if reason > limits::ERROR_BYTES {
        let most = limits::ERROR_BYTES;
        mistakes.push(format!("reason: {reason} bytes; at most {most} are allowed"));
    }
    for (what, text) in [("actor", Some(&asked.actor)), ("reason", asked.reason.as_ref())] {
        mistakes.extend(text.and_then(|text| limits::no_nul(what, text)));
    }
    Mistakes(mistakes).none_or()
}

pub(super) fn check_signal(name: &str, payload: &Json, id: Option<&str>) -> Result<(), Error> {
    let mut mistakes = Vec::new();
    for (what, text) in [("signal's name", Some(name)), ("signal's id", id)] {
        let size = text.map_or(1, str::len);
        if size == 0 || size > limits::NAME_BYTES {
            let most = limits::NAME_BYTES;
            mistakes.push(format!("{what} has {size} bytes: expected 1 to {most}"));
        }
    }
    if payload.members().is_none() {
        let kind = crate::recipe::kind_of(&payload.value());
        mistakes.push(format!("signal's payload is {kind}: expected a JSON object"));
    }
    let (size, most) = (payload.as_str().len(), limits::OUTPUT_BYTES);
    if size > most {
        mistakes.push(format!("signal's payload has {size} bytes; at most {most} are allowed"));
    }
    Mistakes(mistakes).none_or()
}

pub(super) fn check_context(run: &Run, more: &Json) -> Result<(), Error> {
    let size = Context::of_run(&run.spec.inputs, &run.state).size() + more.as_str().len();
    let most = limits::CONTEXT_BYTES;
    if size > most {
        return Err(mistake(format!(
            "with this the context has {size} bytes; at most {most} are allowed"
        )));
    }
    Ok(())
}

/// Whether the list of steps lets this person decide.
pub(super) fn may_decide(run: &Run, step: StepIdx, asked: &Asked) -> Result<(), Error> {
    let plan = run.state.plan();
    let Some(deciders) = deciders(plan.step(step)) else { return Ok(()) };
    if deciders.iter().any(|name| *name == asked.actor) {
        return Ok(());
    }
    let (name, who, names) = (plan.name(step), &asked.actor, any_of(&deciders));
    let text =
        format!("`{who}` may not decide on step {step} `{name}`: expected {names} (`--actor`)");
    Err(mistake(text))
}

pub(super) fn mistake(text: String) -> Error {
    Error::Mistakes(Mistakes(vec![text]))
}
