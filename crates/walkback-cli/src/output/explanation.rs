//! Why a saga stands as it does, for people: in full for one, in short for a list of many.

use walkback::describe::Explanation;

use crate::output::table::{clean, wrap};
use crate::output::{Out, time};

/// Before what stands beneath the head.
const INDENT: usize = 10;

/// Everything, with every command that fits.
pub(crate) fn full(explained: &Explanation, out: &Out) -> Vec<String> {
    let mut lines = vec![head(explained, out)];
    let since = time::moment(explained.since);
    lines.extend(entry(out, "since", &format!("{since}, {}", time::ago(explained.since))));
    let owned = if explained.owned { "a worker has it" } else { "no worker has it" };
    lines.extend(entry(out, "owner", owned));
    lines.extend(causes(explained, out));
    for (at, next) in explained.next.iter().enumerate() {
        let name = if at == 0 { "you can" } else { "" };
        lines.push(format!("{name:<INDENT$}{}", out.bold(&next.command)));
        lines.push(format!("{:<INDENT$}    {}", "", out.dim(next.does)));
    }
    lines
}

/// What it is about, and the commands that end it.
pub(crate) fn brief(explained: &Explanation, out: &Out) -> Vec<String> {
    let mut lines = vec![head(explained, out)];
    lines.extend(entry(out, "since", &time::ago(explained.since)));
    lines.extend(causes(explained, out));
    // Those that end its trouble stand before those that are merely possible.
    for (at, next) in explained.next.iter().take(3).enumerate() {
        let name = if at == 0 { "end it" } else { "or" };
        lines.push(format!("{name:<INDENT$}{}", out.bold(&next.command)));
    }
    if explained.next.len() > 3 {
        let more = format!("walkback explain {} shows all", explained.id);
        lines.push(format!("{:<INDENT$}{}", "", out.dim(&more)));
    }
    lines
}

fn head(explained: &Explanation, out: &Out) -> String {
    let Explanation { id, kind, status, .. } = explained;
    format!("{}  {id}  {status}", out.bold(kind))
}

fn causes(explained: &Explanation, out: &Out) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, cause) in explained.because.iter().enumerate() {
        lines.extend(entry(out, if at == 0 { "because" } else { "" }, cause));
    }
    if let Some(error) = &explained.error {
        lines.extend(entry(out, "error", error));
    }
    if let Some(until) = explained.until {
        let moment = format!("{}, {}", time::moment(until), time::until(until));
        lines.extend(entry(out, "until", &moment));
    }
    for left in &explained.residue {
        let what = left.output.as_ref().map_or("not known".to_owned(), ToString::to_string);
        let error = left.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        let text = format!("by step {} `{}`, {what}{error}", left.step_idx, left.step);
        lines.extend(entry(out, "left", &text));
    }
    lines
}

/// A name and what it is, wrapped beneath itself.
fn entry(out: &Out, name: &str, text: &str) -> Vec<String> {
    let width = out.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT).max(20));
    let parts = wrap(&clean(text), width).into_iter().enumerate();
    parts.map(|(at, part)| format!("{:<INDENT$}{part}", if at == 0 { name } else { "" })).collect()
}
