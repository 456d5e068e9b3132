//! The documents: short enough, and without dead links.

use std::path::{Component, Path, PathBuf};

use crate::Breach;
use crate::budgets::dependencies;
use crate::code::line;
use crate::workspace::Source;

const ARCHITECTURE_LINES: usize = 200;

pub(crate) fn long_architecture(text: &str) -> Option<Breach> {
    let lines = text.lines().count();
    let told = format!("ARCHITECTURE.md: {lines} lines; at most {ARCHITECTURE_LINES}");
    (lines > ARCHITECTURE_LINES).then_some(told)
}

/// Dependencies of a manifest that `design` does not name.
pub(crate) fn unexplained(path: &str, manifest: &str, design: &str) -> Vec<Breach> {
    let tables = ["dependencies", "dev-dependencies"];
    let names = tables.into_iter().flat_map(|table| dependencies(manifest, table));
    let unknown = names.filter(|name| !design.contains(&format!("`{name}`")));
    unknown
        .map(|name| format!("{path}: docs/design.md does not say why `{name}` is there"))
        .collect()
}

/// Relative links of a document to files or headings that are not there.
pub(crate) fn broken_links(source: &Source, all: &[Source], root: &Path) -> Vec<Breach> {
    let prose = without_code(&source.text);
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let broken = links(&prose).filter_map(|(at, target)| {
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let path =
            if path.is_empty() { PathBuf::from(&source.path) } else { plain(&folder.join(path)) };
        let there = root.join(&path).exists() || all.iter().any(|s| Path::new(&s.path) == path);
        let document = all.iter().find(|s| Path::new(&s.path) == path);
        let leads = there
            && (heading.is_empty()
                || document.is_none_or(|s| headings(&s.text).any(|h| h == heading)));
        (!leads).then(|| format!("{}:{}: no `{target}`", source.path, line(&prose, at)))
    });
    broken.collect()
}

/// The targets of links within the workspace, and where they stand.
fn links(prose: &str) -> impl Iterator<Item = (usize, &str)> {
    let target = |(at, _): (usize, &str)| Some((at, prose[at + 2..].split([')', ' ']).next()?));
    let outside = |target: &str| target.contains("://") || target.starts_with("mailto:");
    prose.match_indices("](").filter_map(target).filter(move |(_, target)| !outside(target))
}

/// The headings as links name them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let slug = |heading: &str| {
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect::<String>()
    };
    let prose = without_code(text);
    let headings: Vec<String> = prose
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| slug(line.trim_start_matches('#')))
        .collect();
    headings.into_iter()
}

/// The text with fenced code blanked out; every line stays where it is.
fn without_code(text: &str) -> String {
    let mut fenced = false;
    let lines = text.lines().map(|line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if fence || fenced { "" } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn a_long_architecture_is_found() {
    assert_eq!(long_architecture(&"\n".repeat(200)), None);
    assert!(long_architecture(&"\n".repeat(201)).is_some());
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let manifest = "[dependencies]\nserde.workspace = true\n[dev-dependencies]\ninsta = \"1\"\n";
    assert!(unexplained("Cargo.toml", manifest, "`serde` reads, `insta` compares").is_empty());
    assert_eq!(unexplained("Cargo.toml", manifest, "`serde` reads").len(), 1);
}

#[test]
fn a_dead_link_is_found() {
    let all = [
        Source::new("docs/a.md", "# One thing, `really`\n"),
        Source::new("docs/b.md", ""),
        Source::new("README.md", ""),
    ];
    let nowhere = Path::new("nowhere");
    let broken = |text: &str| broken_links(&Source::new("docs/b.md", text), &all, nowhere).len();
    let whole = "[a](a.md) [b](../README.md) [c](https://example.com/x) [d](a.md#one-thing-really)";
    assert_eq!(broken(whole), 0);
    assert_eq!(broken("```text\n[x](gone.md)\n```\n"), 0);
    assert_eq!(broken("[x](gone.md) [y](a.md#another) [z](../docs)"), 3);
}
