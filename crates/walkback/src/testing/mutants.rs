//! T13: each guard of each statement that writes is removed in turn, and some case of the conformance suite
//! has to notice. Guards are found by reading the statements that the suite sends, so that a new one is
//! never forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::mpsc;
use std::time::Duration;

use crate::store::sent;
use crate::testing::conformance::{CASES, Fresh, run};

/// How long a case may take; one that hangs has noticed.
const PATIENCE: Duration = Duration::from_secs(4);

/// A statement without one of its guards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mutant {
    statement: String,
    guard: (usize, usize),
}

/// What became of all mutants of a store.
#[derive(Debug, Default)]
pub struct Hunt {
    /// How many there were.
    pub mutants: usize,
    /// Those that no case noticed.
    pub survivors: Vec<Mutant>,
}

impl Mutant {
    /// The guard that is missing.
    pub fn guard(&self) -> String {
        plain(&self.statement[self.guard.0..self.guard.1])
    }

    /// The statement that it is missing in.
    pub fn statement(&self) -> String {
        plain(&self.statement)
    }

    fn planted(&self) -> (String, String) {
        let mut instead = self.statement.clone();
        instead.replace_range(self.guard.0..self.guard.1, "true");
        (self.statement.clone(), instead)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in: {}", self.guard(), self.statement())
    }
}

/// In one line, and without comments.
fn plain(sql: &str) -> String {
    let lines = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    lines.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// Plants every mutant in the stores that `fresh` makes, until a case fails on it; or of so many shares of
/// them one. For a process of its own: every store of the process has the mutant.
pub fn hunt(fresh: fn() -> Fresh, (share, of): (usize, usize)) -> Hunt {
    let mut used_by: BTreeMap<String, Vec<&'static str>> = BTreeMap::new();
    sent::noted();
    for (case, _) in CASES {
        run(case, fresh());
        for statement in sent::noted() {
            used_by.entry(statement).or_default().push(case);
        }
    }
    let (mut hunt, mut nth) = (Hunt::default(), 0);
    for (statement, cases) in &used_by {
        for guard in guards(statement) {
            nth += 1;
            if nth % of != share {
                continue;
            }
            let mutant = Mutant { statement: statement.clone(), guard: (guard.start, guard.end) };
            sent::plant(Some(mutant.planted()));
            hunt.mutants += 1;
            if !cases.iter().any(|case| fails(case, fresh)) {
                hunt.survivors.push(mutant);
            }
            sent::plant(None);
        }
    }
    hunt
}

/// Whether the case fails now, or comes to no end.
fn fails(case: &'static str, fresh: fn() -> Fresh) -> bool {
    let (told, end) = mpsc::channel();
    std::thread::spawn(move || {
        let ended = std::panic::catch_unwind(|| run(case, fresh()));
        // Nobody waits any more for one that hung.
        told.send(ended.is_err()).ok();
    });
    end.recv_timeout(PATIENCE).unwrap_or(true)
}

/// A word, a sign or a bracket of a statement, and where it is.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    at: Range<usize>,
    depth: usize,
}

fn tokens(sql: &str) -> Vec<Token> {
    let (mut tokens, mut depth, mut rest) = (Vec::new(), 0, 0);
    let is_word = |c: char| c.is_alphanumeric() || "_.$?:\'".contains(c);
    while let Some(c) = sql[rest..].chars().next() {
        let from = rest;
        if sql[rest..].starts_with("--") {
            rest += sql[rest..].find('\n').unwrap_or(sql.len() - rest);
            continue;
        }
        rest += if is_word(c) {
            sql[rest..].find(|c| !is_word(c)).unwrap_or(sql.len() - rest)
        } else {
            c.len_utf8()
        };
        if c.is_whitespace() {
            continue;
        }
        depth -= usize::from(c == ')');
        let text = sql[from..rest].to_uppercase();
        tokens.push(Token { text, at: from..rest, depth });
        depth += usize::from(c == '(');
    }
    tokens
}

/// What ends a condition, beside the bracket that it stands in.
const ENDS: [&str; 14] = [
    "ORDER",
    "LIMIT",
    "RETURNING",
    "FOR",
    "GROUP",
    "UNION",
    "ON",
    "FROM",
    "THEN",
    "ELSE",
    "END",
    "WHEN",
    "SET",
    "JOIN",
];

/// Where the conditions stand that all have to hold for a statement to write.
fn guards(sql: &str) -> Vec<Range<usize>> {
    let tokens = tokens(sql);
    let writes = ["UPDATE", "INSERT", "DELETE"];
    if !tokens.iter().any(|token| writes.contains(&&*token.text)) {
        return Vec::new();
    }
    let mut found = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let after_where = token.text == "WHERE";
        let after_and = token.text == "AND" && is_condition(&tokens, at);
        if after_where || after_and {
            found.extend(operand(&tokens, at + 1, token.depth));
        }
        if after_and {
            found.extend(operand_before(&tokens, at, token.depth));
        }
    }
    found.into_iter().map(|(start, end)| start..end).collect()
}

/// Whether this `AND` stands in a condition: a `CASE` is none, nor is a range, which is in brackets of its own.
fn is_condition(tokens: &[Token], at: usize) -> bool {
    let depth = tokens[at].depth;
    let before = tokens[..at].iter().rev().take_while(|token| token.depth >= depth);
    let opener = before
        .filter(|token| token.depth == depth)
        .find(|token| ["WHERE", "WHEN", "ON", "SELECT", "BETWEEN"].contains(&&*token.text));
    opener.is_none_or(|token| token.text == "WHERE")
}

/// The condition that begins here, up to what ends it.
fn operand(tokens: &[Token], from: usize, depth: usize) -> Option<(usize, usize)> {
    let ends = |token: &&Token| {
        token.depth < depth
            || token.depth == depth
                && (["AND", "OR"].contains(&&*token.text) || ENDS.contains(&&*token.text))
    };
    let its: Vec<&Token> = tokens[from..].iter().take_while(|token| !ends(token)).collect();
    Some((its.first()?.at.start, its.last()?.at.end))
}

/// The condition that ends here.
fn operand_before(tokens: &[Token], to: usize, depth: usize) -> Option<(usize, usize)> {
    let begins = |token: &&Token| {
        token.depth < depth
            || token.depth == depth && ["AND", "OR", "WHERE"].contains(&&*token.text)
    };
    let its: Vec<&Token> = tokens[..to].iter().rev().take_while(|token| !begins(token)).collect();
    Some((its.last()?.at.start, its.first()?.at.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> Vec<&str> {
        guards(sql).into_iter().map(|guard| &sql[guard]).collect()
    }

    #[test]
    fn conditions_that_must_all_hold_are_found() {
        let sql = "UPDATE heads SET owner = CASE WHEN a AND b THEN 1 END WHERE id = $1 AND len = $2 \
                   AND ($3 IS NULL OR claim = $3 AND fence = 4) AND (at BETWEEN $5 AND $6) \
                   AND NOT EXISTS (SELECT FROM other WHERE other.id = id) RETURNING id";
        let expected = [
            "id = $1",
            "len = $2",
            "($3 IS NULL OR claim = $3 AND fence = 4)",
            "claim = $3",
            "fence = 4",
            "(at BETWEEN $5 AND $6)",
            "NOT EXISTS (SELECT FROM other WHERE other.id = id)",
            "other.id = id",
        ];
        assert_eq!(found(sql), expected);
        assert!(found("SELECT a FROM b WHERE c = 1 AND d").is_empty(), "it writes nothing");
    }
}
