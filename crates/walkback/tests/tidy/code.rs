//! Just enough reading of Rust: code without comments and strings, and the bodies of functions.

use std::ops::Range;

/// The text with comments, strings and characters blanked out; every line stays where it is.
pub(crate) fn bare(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut bare = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skipped(&chars, at);
        if end == at {
            bare.push(chars[at]);
            at += 1;
            continue;
        }
        bare.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    bare
}

/// The end of the comment, string or character that begins at `at`; `at` if none does.
fn skipped(chars: &[char], at: usize) -> usize {
    let next = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (chars[at], next(1)) {
        ('/', '/') => position(chars, at, |from| chars[from] == '\n'),
        ('/', '*') => block_comment(chars, at),
        ('"', _) => string(chars, at),
        ('r', '"' | '#') if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' => {
            raw_string(chars, at)
        }
        ('\'', '\\') => position(chars, at + 3, |from| chars[from] == '\'') + 1,
        ('\'', _) if next(2) == '\'' => at + 3,
        _ => at,
    }
}

fn position(chars: &[char], from: usize, found: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|at| found(*at)).unwrap_or(chars.len())
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut from) = (0, at);
    while from < chars.len() {
        match chars[from..].get(..2) {
            Some(['/', '*']) => (depth, from) = (depth + 1, from + 1),
            Some(['*', '/']) => (depth, from) = (depth - 1, from + 1),
            _ => {}
        }
        from += 1;
        if depth == 0 {
            break;
        }
    }
    from
}

fn string(chars: &[char], at: usize) -> usize {
    let mut from = at + 1;
    while from < chars.len() && chars[from] != '"' {
        from += if chars[from] == '\\' { 2 } else { 1 };
    }
    (from + 1).min(chars.len())
}

fn raw_string(chars: &[char], at: usize) -> usize {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return at;
    }
    let closes = |from: usize| {
        let after = chars[from + 1..].iter().take(hashes);
        chars[from] == '"' && after.filter(|c| **c == '#').count() == hashes
    };
    (position(chars, open + 1, closes) + 1 + hashes).min(chars.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands by itself in `text`, as places of bytes.
pub(crate) fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let alone = move |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    };
    text.match_indices(word).map(|(at, _)| at).filter(alone)
}

/// The number of the line, from one, of this place.
pub(crate) fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The body of a block that opens at or after `at`, braces included; nothing if a `;` ends it.
pub(crate) fn body(bare: &str, at: usize) -> Option<Range<usize>> {
    let (mut braces, mut brackets, mut open) = (0, 0, 0);
    for (place, c) in bare[at..].char_indices().map(|(place, c)| (at + place, c)) {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if braces == 0 && brackets == 0 => return None,
            '{' if braces == 0 && brackets == 0 => (braces, open) = (1, place),
            '{' if braces > 0 => braces += 1,
            '}' if braces > 0 => braces -= 1,
            _ => continue,
        }
        if c == '}' && braces == 0 && open > 0 {
            return Some(open..place + 1);
        }
    }
    None
}

/// Every function with a body: its name and its place, from `fn` to the closing brace.
pub(crate) fn functions(bare: &str) -> Vec<(&str, Range<usize>)> {
    let named = |at: usize| {
        let rest = bare[at + 2..].trim_start();
        let name = rest.split(|c| !is_word(c)).next().filter(|name| !name.is_empty())?;
        Some((name, at..body(bare, at)?.end))
    };
    words(bare, "fn").filter_map(named).collect()
}

#[test]
fn comments_and_strings_are_blanked_out() {
    let code = "let a = \"fn x() { \\\" }\"; // fn y\nlet b = '{'; /* { /* } */ */ let c: &'a str;";
    let bare = bare(code);
    assert!(!bare.contains("fn") && !bare.contains('{'), "{bare}");
    assert!(bare.contains("let c: &'a str;"), "{bare}");
    assert_eq!(bare.lines().count(), code.lines().count());
}

#[test]
fn raw_strings_and_escaped_characters_are_blanked_out() {
    let code = "let a = r#\"fn \" { \"#; let b = '\\n'; let c = b\"{\"; let r = 1; for x in y {}";
    let bare = bare(code);
    assert_eq!(bare.matches('{').count(), 1, "{bare}");
    assert!(bare.contains("let r = 1; for x in y {}"), "{bare}");
}

#[test]
fn functions_are_found_with_their_bodies() {
    let code = "trait T { fn no(&self) -> [u8; 2]; }\nfn yes<F: Fn(fn(u8))>(f: F) {\n  { }\n}\n";
    let found = functions(code);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, code[found[0].1.clone()].lines().count()), ("yes", 3));
}

#[test]
fn a_word_is_found_only_by_itself() {
    assert_eq!(words("random rand brand rand_core", "rand").collect::<Vec<_>>(), [7]);
}
