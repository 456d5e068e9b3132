//! Relative paths of `command` steps, made absolute.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::recipe::Steps;

/// The parameters of `command` that are programs with their arguments.
const PROGRAMS: [&str; 3] = ["execute", "compensate", "probe"];

/// Takes programs and directories that have a relative path from `base`: a worker may run
/// elsewhere. A program without a `/` is looked up by its name.
pub(super) fn resolve(steps: &mut Steps, base: Option<&Path>, mistakes: &mut Vec<String>) {
    let Some(base) = base else { return };
    let mut absolute = None;
    steps.for_each_mut(&mut |step| {
        if step.step != "command" {
            return;
        }
        let programs = PROGRAMS.map(|name| (name, true));
        for (name, is_program) in programs.into_iter().chain([("cwd", false)]) {
            let path = match step.with.get_mut(name) {
                Some(Value::Array(words)) if is_program => words.first_mut(),
                Some(path) if !is_program => Some(path),
                _ => None,
            };
            let Some(Value::String(path)) = path else { continue };
            if Path::new(path).is_absolute() || (is_program && !path.contains('/')) {
                continue;
            }
            let base = absolute.get_or_insert_with(|| canonical(base));
            match base.as_ref().map(|base| join(base, path)) {
                Ok(Some(joined)) => *path = joined,
                Ok(None) => mistakes.push(format!("the path of `{path}` is no UTF-8 text")),
                Err(mistake) => mistakes.push(mistake.clone()),
            }
        }
    });
}

fn canonical(base: &Path) -> Result<PathBuf, String> {
    base.canonicalize()
        .map_err(|error| format!("directory `{}` cannot be read: {error}", base.display()))
}

/// Without `.` in between; `..` stays, as it may follow a link.
fn join(base: &Path, path: &str) -> Option<String> {
    let joined: PathBuf = base.join(path).components().collect();
    joined.to_str().map(str::to_owned)
}
