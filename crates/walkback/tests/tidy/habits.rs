//! What no file may contain.

use crate::Breach;
use crate::code::{bare, line};
use crate::workspace::Source;

/// Work that was left for later. Joined here, so that this file does not contain the words.
const UNFINISHED: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
    concat!("#[", "ignore"),
];
/// Places on the machine of whoever wrote it.
const FOREIGN: [&str; 5] = [
    concat!("../", "shared"),
    concat!("/", "home/"),
    concat!("/", "root/"),
    concat!("/", "Users/"),
    concat!("/", "work/"),
];

pub(crate) fn no_opening_line(source: &Source) -> Option<Breach> {
    let opens = source.text.starts_with("//! ");
    (!opens).then(|| format!("{}:1: does not begin with `//!` and its purpose", source.path))
}

pub(crate) fn named_mod(source: &Source) -> Option<Breach> {
    let named = source.path.ends_with("/mod.rs");
    named.then(|| format!("{}: expected `name.rs` beside the folder `name`", source.path))
}

pub(crate) fn unfinished(source: &Source) -> Vec<Breach> {
    let in_code = bare(&source.text);
    let found = UNFINISHED.into_iter().flat_map(|word| {
        // The marks of comments count anywhere, macros and attributes only where they are code.
        let text = if word.starts_with(char::is_uppercase) { &source.text } else { &in_code };
        let places = text.match_indices(word).map(|(at, _)| line(text, at));
        places.map(|at| format!("{}:{at}: `{word}`", source.path)).collect::<Vec<_>>()
    });
    found.collect()
}

pub(crate) fn foreign_path(source: &Source) -> Vec<Breach> {
    let text = &source.text;
    let found = FOREIGN.into_iter().flat_map(|place| {
        let absolute = move |at: &usize| {
            let before = text[..*at].chars().next_back().unwrap_or(' ');
            !(before.is_alphanumeric() || "._-})>/".contains(before))
        };
        let places = text.match_indices(place).map(|(at, _)| at).filter(absolute);
        places.map(move |at| format!("{}:{}: `{place}`", source.path, line(text, at)))
    });
    found.collect()
}

#[test]
fn a_file_without_its_purpose_is_found() {
    assert_eq!(no_opening_line(&Source::new("a.rs", "//! What it is.\n")), None);
    assert!(no_opening_line(&Source::new("a.rs", "use std::fmt;\n")).is_some());
}

#[test]
fn a_mod_rs_is_found() {
    assert_eq!(named_mod(&Source::new("src/store.rs", "")), None);
    assert!(named_mod(&Source::new("src/store/mod.rs", "")).is_some());
}

#[test]
fn unfinished_work_is_found() {
    for word in UNFINISHED {
        let planted = match word.chars().next() {
            Some('#') => format!("{word}]\nfn test() {{}}"),
            Some('a'..='z') => format!("fn f() {{\n    {word}()\n}}"),
            _ => format!("// {word}: later"),
        };
        assert_eq!(unfinished(&Source::new("a.rs", &planted)).len(), 1, "{planted}");
    }
    assert!(unfinished(&Source::new("a.rs", "// a todo list! and \"todo!()\"")).is_empty());
}

#[test]
fn a_path_of_this_machine_is_found() {
    for place in FOREIGN {
        let planted = format!("see\n`{place}notes`");
        assert_eq!(foreign_path(&Source::new("a.md", &planted)).len(), 1, "{planted}");
    }
    let elsewhere = format!("https://example.com{}x and crates{}y", FOREIGN[1], FOREIGN[4]);
    assert!(foreign_path(&Source::new("a.md", &elsewhere)).is_empty());
}
