//! House-keeping: reads the sources of the workspace and fails with a list of every breach.
//!
//! Each check is a function from text to breaches, and each is shown failing on a planted one.

use std::path::Path;

#[path = "tidy/budgets.rs"]
mod budgets;
#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/habits.rs"]
mod habits;
#[path = "tidy/machine.rs"]
mod machine;
#[path = "tidy/workspace.rs"]
mod workspace;

use workspace::{Source, read_workspace};

/// Something that is not as the house has it, as `path:line: what`.
type Breach = String;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn text<'a>(sources: &'a [Source], path: &str) -> &'a str {
    let source = sources.iter().find(|source| source.path == path);
    &source.expect("every file that a check names is there").text
}

fn breaches(sources: &[Source]) -> Vec<Breach> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        found.extend(budgets::long_file(source));
        found.extend(budgets::long_functions(source));
        found.extend(habits::no_opening_line(source));
        found.extend(habits::named_mod(source));
        found.extend(habits::unfinished(source));
        found.extend(machine::impure(source));
    }
    found.extend(budgets::long_median(sources, "crates/walkback/src/"));
    found.extend(budgets::long_median(sources, "crates/walkback-cli/src/"));
    let manifest = text(sources, "crates/walkback/Cargo.toml");
    found.extend(budgets::many_dependencies(manifest));
    found.extend(budgets::many_methods(text(sources, "crates/walkback/src/store.rs")));
    let lib = text(sources, "crates/walkback/src/lib.rs");
    found.extend(budgets::many_root_names(lib));
    found.extend(documents::example_of_its_own(text(sources, "README.md"), lib));
    found.extend(documents::long_architecture(text(sources, "ARCHITECTURE.md")));
    for path in [
        "crates/walkback/Cargo.toml",
        "crates/walkback-cli/Cargo.toml",
        "crates/walkback-digitalocean/Cargo.toml",
        "crates/walkback-powercut/Cargo.toml",
    ] {
        let design = text(sources, "docs/design.md");
        found.extend(documents::unexplained(path, text(sources, path), design));
    }
    for source in sources {
        found.extend(habits::foreign_path(source));
        if source.is_markdown() {
            found.extend(documents::broken_links(source, sources, root()));
        }
    }
    found
}

#[test]
fn the_workspace_is_tidy() {
    let sources = read_workspace(root());
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    let found = breaches(&sources);
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}
