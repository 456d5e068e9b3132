//! `command`: a step in any language, as programs to execute, compensate and probe it.

use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::guard::{Ended, Guards, Program, RunError, Status};
use crate::id::Phase;
use crate::limits;
use crate::options::{NoUndo, Options};
use crate::recipe::StepRef;
use crate::{Attempt, Context, DynamicStep, Effect, Json, Probe, SagaId, StepError};

/// Exit code: it failed, trying again could help, and it may have done something.
const TRANSIENT: i32 = 75;
/// Exit code: it failed for good and certainly did nothing.
const PERMANENT_CLEAN: i32 = 69;
/// Exit code of a probe: what was to be made is not there.
const ABSENT: i32 = 3;

/// Runs a program for each phase, in a process group of its own that a guard keeps.
#[derive(Default)]
pub(crate) struct Command {
    guards: Guards,
}

/// The program and arguments of a phase, if the definition has some.
fn argv(with: &Map<String, Value>, phase: Phase) -> Option<Vec<String>> {
    let words = with.get(phase.name())?.as_array()?.iter();
    words.map(|word| word.as_str().map(str::to_owned)).collect()
}

impl Command {
    async fn run(
        &self,
        attempt: &Attempt,
        context: &Context,
        effect: Option<&Effect<Json>>,
    ) -> Result<Ended, StepError> {
        let parameters = context.parameters();
        let phase = attempt.phase();
        let words = argv(parameters, phase).ok_or_else(|| {
            StepError::permanent(format_args!("no program for {}", phase.name())).clean()
        })?;
        let known = effect.is_some_and(|effect| matches!(effect, Effect::Known(_)));
        let output = match effect {
            Some(Effect::Known(output)) => Some(output),
            _ => None,
        };
        let program = Program {
            argv: words,
            cwd: parameters.get("cwd").and_then(Value::as_str).map(PathBuf::from),
            env: environment(attempt, known),
            stdin: context.with_output(output).as_str().into(),
            run: attempt.saga_id().to_string(),
            stdout_limit: limits::OUTPUT_BYTES,
            stderr_limit: limits::ERROR_BYTES / 2,
        };
        let ended = self
            .guards
            .run(program, attempt.stop().clone())
            .await
            .map_err(|error| not_run(&error))?;
        attempt.keep_stderr(&ended.stderr);
        Ok(ended)
    }
}

fn environment(attempt: &Attempt, known: bool) -> Vec<(String, String)> {
    let variables = [
        ("SAGA_ID", attempt.saga_id().to_string()),
        ("STEP", attempt.step_name().to_owned()),
        ("STEP_IDX", attempt.step_idx().to_string()),
        ("PHASE", attempt.phase().name().to_owned()),
        ("ATTEMPT", attempt.number().to_string()),
        ("IDEMPOTENCY_KEY", attempt.idempotency_key()),
        ("EXECUTE_KEY", attempt.execute_key()),
        ("EFFECT", if known { "known" } else { "unknown" }.to_owned()),
    ];
    variables.into_iter().map(|(name, value)| (format!("WALKBACK_{name}"), value)).collect()
}

fn not_run(error: &RunError) -> StepError {
    let failed = StepError::transient(error);
    if error.nothing_ran() { failed.clean() } else { failed }
}

/// How the program ended, as an error; `None` if it exited with 0.
fn failure(ended: &Ended) -> Option<StepError> {
    let last_line = ended.stderr.trim_end().lines().last().unwrap_or_default();
    let why = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
    Some(match &ended.status {
        Status::Exited(0) => return None,
        Status::Exited(PERMANENT_CLEAN) => {
            StepError::permanent(format_args!("exit code {PERMANENT_CLEAN}{why}")).clean()
        }
        Status::Exited(TRANSIENT) => {
            StepError::transient(format_args!("exit code {TRANSIENT}{why}"))
        }
        Status::Exited(code) => StepError::transient(format_args!("exit code {code}{why}")),
        Status::Signalled(signal) => {
            StepError::transient(format_args!("ended by signal {signal}{why}"))
        }
        Status::NotStarted(error) => {
            StepError::permanent(format_args!("not started: {error}")).clean()
        }
        Status::Stopped => StepError::transient("stopped before it had ended"),
    })
}

/// Puts the JSON object that the program printed.
fn take_output(ended: Ended, context: &mut Context) -> Result<(), StepError> {
    if ended.stdout_overflow {
        let most = limits::OUTPUT_BYTES;
        return Err(StepError::permanent(format_args!("it printed more than {most} bytes")));
    }
    let text = String::from_utf8(ended.stdout).map_err(|_| {
        StepError::permanent("it printed what is not UTF-8: expected a JSON object")
    })?;
    if text.trim().is_empty() {
        return Ok(());
    }
    let object = Json::parse(text).ok().filter(|json| json.as_str().starts_with('{'));
    let object = object.ok_or_else(|| {
        StepError::permanent("it printed what is no JSON object: expected one, or nothing")
    })?;
    context.put_all(&object);
    Ok(())
}

impl DynamicStep for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn options(&self) -> Options {
        Options { no_undo: Some(NoUndo::Retained("no `compensate` is given")), ..Options::new() }
    }

    fn has_undo(&self, used: &StepRef) -> bool {
        used.with.contains_key("compensate")
    }

    fn has_probe(&self, used: &StepRef) -> bool {
        used.with.contains_key("probe")
    }

    fn check(&self, used: &StepRef) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (name, value) in &used.with {
            let words = value.as_array().filter(|words| !words.is_empty());
            let words = words.is_some_and(|words| words.iter().all(Value::is_string));
            match name.as_str() {
                "execute" | "compensate" | "probe" if !words => mistakes.push(format!(
                    "`{name}` is {value}: expected a program and its arguments, like `[\"./make.sh\", \"web\"]`"
                )),
                "cwd" if !value.is_string() => {
                    mistakes.push(format!("`cwd` is {value}: expected a folder"));
                }
                "execute" | "compensate" | "probe" | "cwd" => {}
                other => mistakes.push(format!(
                    "parameter `{other}` is unknown: expected `execute`, `compensate`, `probe` or `cwd`"
                )),
            }
        }
        if !used.with.contains_key("execute") {
            mistakes.push("`execute` is missing: expected a program and its arguments".to_owned());
        }
        mistakes
    }

    fn parameters(&self) -> Option<&Value> {
        static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
            let words = json!({"type": "array", "items": {"type": "string"}, "minItems": 1});
            json!({
                "type": "object", "required": ["execute"], "additionalProperties": false,
                "properties": {
                    "execute": words, "compensate": words, "probe": words, "cwd": {"type": "string"}
                }
            })
        });
        Some(&SCHEMA)
    }

    async fn quiesce(&self, saga: SagaId) {
        if let Err(error) = self.guards.wait_for_guards(&saga.to_string()).await {
            tracing::error!(%saga, %error, "cannot tell whether a program of the last owner still runs");
        }
    }

    async fn execute(&self, attempt: &Attempt, context: &mut Context) -> Result<(), StepError> {
        let ended = self.run(attempt, context, None).await?;
        match failure(&ended) {
            Some(error) => Err(error),
            None => take_output(ended, context),
        }
    }

    async fn compensate(
        &self,
        attempt: &Attempt,
        context: &Context,
        effect: Effect<Json>,
    ) -> Result<(), StepError> {
        let ended = self.run(attempt, context, Some(&effect)).await?;
        failure(&ended).map_or(Ok(()), Err)
    }

    async fn probe(
        &self,
        attempt: &Attempt,
        context: &mut Context,
    ) -> Result<Probe<()>, StepError> {
        let ended = self.run(attempt, context, None).await?;
        Ok(match ended.status {
            Status::Exited(0) => {
                take_output(ended, context)?;
                Probe::Present(())
            }
            Status::Exited(ABSENT) => Probe::Absent,
            _ => Probe::CannotTell,
        })
    }
}
