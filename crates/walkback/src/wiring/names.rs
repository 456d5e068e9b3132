//! Names that nobody knows, with the one that was probably meant.

use std::collections::BTreeSet;

/// `` step `ech` is unknown: did you mean `echo`? known are … ``
pub(crate) fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let by_distance: BTreeSet<(usize, &str)> =
        known.map(|other| (distance(name, other), other)).collect();
    let nearest = by_distance.first().filter(|(far, _)| *far <= 2);
    let hint = nearest.map(|(_, near)| format!(": did you mean `{near}`?")).unwrap_or_default();
    let mut names: Vec<_> = by_distance.iter().map(|(_, other)| format!("`{other}`")).collect();
    names.sort();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("{what} `{name}` is unknown{hint} known are {names}")
        .replace("unknown known", "unknown: known")
}

/// Edits that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let change = before + usize::from(x != y);
            before = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(before + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
