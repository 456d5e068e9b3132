//! Every limit by name (promise I18). A limit is checked before any effect.

/// Most bytes of a run's inputs, as JSON text: 256 KiB.
pub const INPUT_BYTES: usize = 256 * 1024;
/// Most bytes of one step's output, as JSON text: 256 KiB.
pub const OUTPUT_BYTES: usize = 256 * 1024;
/// Most bytes of a run's context (inputs, edits and all outputs together): 1 MiB.
pub const CONTEXT_BYTES: usize = 1024 * 1024;
/// Most bytes of a saga's definition, as written and written out: 1 MiB.
pub const DEFINITION_BYTES: usize = 1024 * 1024;
/// Most levels of nesting in any JSON that is accepted.
pub const JSON_DEPTH: usize = 64;
/// Most steps of one run.
pub const STEPS: usize = 1_000;
/// Ledger rows of one run; a run that reaches them parks, and `resume` grants it
/// [`LEDGER_ROWS_GRANT`] more.
pub const LEDGER_ROWS: u64 = 10_000;
/// Rows that `resume` adds for a run that is parked at its limit.
pub const LEDGER_ROWS_GRANT: u64 = 1_000;
/// Rows kept back for the walk back of a run, beside two for each of its steps.
pub const LEDGER_ROWS_RESERVE: u64 = 1_000;
/// Most bytes of an error's text; what is longer is cut, with a mark.
pub const ERROR_BYTES: usize = 4 * 1024;
/// Most bytes of a name: of a kind, a step, a scope, a queue, a label, a signal, an actor.
pub const NAME_BYTES: usize = 200;
/// Most labels of one run.
pub const LABELS: usize = 64;

/// What is wrong with a name that holds a NUL: no PostgreSQL text may.
pub(crate) fn no_nul(what: &str, name: &str) -> Option<String> {
    name.contains('\0').then(|| format!("{what} holds a NUL character: expected text without one"))
}

/// Cuts `text` to [`ERROR_BYTES`] on a character boundary and marks the cut.
pub fn cut(mut text: String) -> String {
    const MARK: &str = " … (cut)";
    if text.len() > ERROR_BYTES {
        text.truncate(text.floor_char_boundary(ERROR_BYTES - MARK.len()));
        text.push_str(MARK);
    }
    text
}
