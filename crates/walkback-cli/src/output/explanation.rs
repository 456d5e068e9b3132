//! Why a saga stands as it does, for people: in full for one, in short for a list of many.

use walkback::describe::{Explanation, Next};

use crate::output::table::{clean, wrap};
use crate::output::{Out, time};

/// Before what stands beneath the head.
const INDENT: usize = 10;

/// Everything, with every command that fits.
pub(crate) fn full(explained: &Explanation, out: &Out) -> Vec<String> {
    let mut lines = vec![head(explained, out)];
    let since = time::moment(explained.since);
    lines.extend(entry(out, "since", &format!("{since}, {}", time::ago(explained.since))));
    if explained.owned {
        lines.extend(entry(out, "worker", "one works on it now"));
    }
    lines.extend(causes(explained, out));
    lines.extend(commands(explained.next.iter(), "you can", "", out));
    lines
}

/// Commands, each with what it does beneath it.
fn commands<'a>(
    next: impl Iterator<Item = &'a Next>,
    first: &str,
    others: &str,
    out: &Out,
) -> Vec<String> {
    let width = out.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT + 4).max(20));
    let told = next.enumerate().flat_map(|(at, next)| {
        let name = if at == 0 { first } else { others };
        let does = wrap(&next.does, width).into_iter();
        let does = does.map(|line| format!("{:<INDENT$}    {}", "", out.dim(&line)));
        std::iter::once(format!("{name:<INDENT$}{}", out.bold(&next.command))).chain(does)
    });
    told.collect()
}

/// What it is about, and the commands that end it.
pub(crate) fn brief(explained: &Explanation, out: &Out) -> Vec<String> {
    let mut lines = vec![head(explained, out)];
    lines.extend(entry(out, "since", &time::ago(explained.since)));
    lines.extend(causes(explained, out));
    // Those that end its trouble stand before those that are merely possible.
    lines.extend(commands(explained.next.iter().take(3), "end it", "or", out));
    let more = explained.next.len().saturating_sub(3);
    if more > 0 {
        let text = format!("walkback explain {} (what else may be asked: {more})", explained.id);
        lines.push(format!("{:<INDENT$}{}", "more", out.dim(&text)));
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
        let then = explained.then.map(|then| format!("; {then}")).unwrap_or_default();
        let moment = format!("{}, {}{then}", time::moment(until), time::until(until));
        lines.extend(entry(out, "until", &moment));
    }
    for left in &explained.residue {
        let what = match &left.output {
            None => ", of which it is not known what it made".to_owned(),
            Some(output) if output.as_str() == "{}" => String::new(),
            Some(output) => format!(", which put out {output}"),
        };
        let error = left.error.as_ref().map(|error| format!("; its undo failed: {error}"));
        let error = error.unwrap_or_default();
        let text = format!("by step {} `{}`{what}{error}", left.step_idx, left.step);
        lines.extend(entry(out, "left", &text));
    }
    if let Some(notice) = &explained.notice {
        lines.extend(entry(out, "notice", notice));
    }
    lines
}

/// A name and what it is, wrapped beneath itself.
fn entry(out: &Out, name: &str, text: &str) -> Vec<String> {
    let width = out.width.map_or(usize::MAX, |width| width.saturating_sub(INDENT).max(20));
    let parts = wrap(&clean(text), width).into_iter().enumerate();
    parts.map(|(at, part)| format!("{:<INDENT$}{part}", if at == 0 { name } else { "" })).collect()
}
