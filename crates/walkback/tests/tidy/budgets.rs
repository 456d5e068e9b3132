//! How much of a thing there may be.

use crate::Breach;
use crate::code::{bare, body, functions, line, words};
use crate::workspace::Source;

const FILE_LINES: usize = 500;
const MEDIAN_LINES: usize = 150;
const FUNCTION_LINES: usize = 70;
const DEPENDENCIES: usize = 14;
const ROOT_NAMES: usize = 40;
const TRAIT_METHODS: usize = 12;

pub(crate) fn long_file(source: &Source) -> Option<Breach> {
    let lines = source.text.lines().count();
    let told = format!("{}: {lines} lines; at most {FILE_LINES} are allowed", source.path);
    (lines > FILE_LINES).then_some(told)
}

/// The median of the files below `folder`.
pub(crate) fn long_median(sources: &[Source], folder: &str) -> Option<Breach> {
    let ours = sources.iter().filter(|source| source.is_rust() && source.path.starts_with(folder));
    let mut lines: Vec<usize> = ours.map(|source| source.text.lines().count()).collect();
    lines.sort_unstable();
    let median = *lines.get(lines.len() / 2)?;
    let told = format!("{folder}: the median file has {median} lines; at most {MEDIAN_LINES}");
    (median > MEDIAN_LINES).then_some(told)
}

pub(crate) fn long_functions(source: &Source) -> Vec<Breach> {
    let bare = bare(&source.text);
    let long = functions(&bare).into_iter().filter_map(|(name, place)| {
        let lines = bare[place.clone()].lines().count();
        let at = line(&bare, place.start);
        (lines > FUNCTION_LINES).then(|| {
            format!("{}:{at}: `{name}` has {lines} lines; at most {FUNCTION_LINES}", source.path)
        })
    });
    long.collect()
}

/// The direct dependencies that a manifest names in this table.
pub(crate) fn dependencies<'a>(manifest: &'a str, table: &str) -> Vec<&'a str> {
    let mut here = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let header = header.trim_end_matches(']');
            here = header == table;
            // `[dependencies.name]` is one as well.
            names.extend(header.strip_prefix(table).and_then(|rest| rest.strip_prefix('.')));
        } else if here && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next();
            // The lines of a list that goes on have no key.
            names.extend(name.filter(|_| line.contains('=')));
        }
    }
    names
}

/// The dependencies of a feature that has to be asked for.
fn asked_for(manifest: &str, feature: &str) -> usize {
    let list = manifest.split(&format!("\n{feature} = [")).nth(1);
    list.and_then(|rest| rest.split(']').next()).map_or(0, |list| list.matches("dep:").count())
}

/// Who keeps sagas in a file does not pay for a server.
pub(crate) fn many_dependencies(manifest: &str) -> Option<Breach> {
    let all = dependencies(manifest, "dependencies").len();
    let count = all - asked_for(manifest, "postgres");
    let told = format!("walkback has {count} direct dependencies; at most {DEPENDENCIES}");
    (count > DEPENDENCIES).then_some(told)
}

/// The public names at the root of a crate; what is inside a module does not count.
fn root_names(lib: &str) -> usize {
    let mut bare = bare(lib);
    let inside = |bare: &str| words(bare, "mod").find_map(|at| body(bare, at));
    while let Some(inside) = inside(&bare) {
        bare.replace_range(inside, ";");
    }
    let modules = bare.matches("pub mod ").count();
    let uses = bare.match_indices("pub use ").map(|(at, _)| {
        let list = bare[at..].split(';').next().unwrap_or_default();
        let names = list.rsplit_once('{').map_or(list, |(_, names)| names);
        names.split(',').filter(|name| !name.trim_matches(['}', ' ', '\n']).is_empty()).count()
    });
    modules + uses.sum::<usize>()
}

pub(crate) fn many_root_names(lib: &str) -> Vec<Breach> {
    let names = root_names(lib);
    let many = (names > ROOT_NAMES)
        .then(|| format!("the crate root has {names} public names; at most {ROOT_NAMES}"));
    let glob = bare(lib).contains("::*;").then(|| "the crate root re-exports a glob".to_owned());
    many.into_iter().chain(glob).collect()
}

/// Traits of the store with too many methods.
pub(crate) fn many_methods(store: &str) -> Vec<Breach> {
    let bare = bare(store);
    let long = words(&bare, "trait").filter_map(|at| {
        let name = bare[at + 5..].split([':', '{', '<']).next().unwrap_or_default().trim();
        let methods = words(&bare[body(&bare, at)?], "fn").count();
        let told = format!("trait `{name}` has {methods} methods; at most {TRAIT_METHODS}");
        (methods > TRAIT_METHODS).then_some(told)
    });
    long.collect()
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(long_file(&Source::new("a.rs", &"\n".repeat(500))), None);
    assert!(long_file(&Source::new("a.rs", &"\n".repeat(501))).is_some());
}

#[test]
fn a_long_median_is_found() {
    let of = |lines: [usize; 3]| {
        lines.map(|lines| Source::new(&format!("src/{lines}.rs"), &"\n".repeat(lines)))
    };
    assert_eq!(long_median(&of([1, 150, 499]), "src/"), None);
    assert!(long_median(&of([1, 151, 152]), "src/").is_some());
    assert_eq!(long_median(&of([1, 151, 152]), "elsewhere/"), None);
}

#[test]
fn a_long_function_is_found() {
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "x();\n".repeat(lines));
    assert!(long_functions(&Source::new("a.rs", &function(68))).is_empty());
    let found = long_functions(&Source::new("a.rs", &function(69)));
    assert_eq!(found, ["a.rs:1: `long` has 71 lines; at most 70"]);
}

#[test]
fn a_dependency_too_many_is_found() {
    let manifest = |count: usize| {
        let lines = "name.workspace = true\n".repeat(count);
        format!("[package]\nname = \"a\"\n[dependencies]\n{lines}\n[lints]\nworkspace = true\n")
    };
    assert_eq!(many_dependencies(&manifest(14)), None);
    assert!(many_dependencies(&manifest(15)).is_some());
    let with_server = "\npostgres = [\n    \"dep:a\",\n    \"dep:b\",\n]\n".to_owned();
    assert_eq!(many_dependencies(&(with_server.clone() + &manifest(16))), None);
    assert!(many_dependencies(&(with_server + &manifest(17))).is_some());
    assert!(many_dependencies(&(manifest(14) + "[dependencies.more]\nversion = \"1\"")).is_some());
}

#[test]
fn a_name_too_many_at_the_root_is_found() {
    let lib = |count: usize| {
        let names = "    Name,\n".repeat(count);
        format!(
            "//! pub use not::counted;\npub mod a {{ pub use c::C; }}\nmod b;\npub use b::One;\npub use b::{{\n{names}}};\n"
        )
    };
    assert_eq!(root_names(&lib(38)), 40);
    assert!(many_root_names(&lib(38)).is_empty());
    assert!(!many_root_names(&lib(39)).is_empty());
    assert!(!many_root_names("pub use b::*;").is_empty());
}

#[test]
fn a_trait_with_a_method_too_many_is_found() {
    let of = |count: usize| {
        format!("pub trait T: Send {{ {} }}\nfn other() {{}}", "fn m(&self);".repeat(count))
    };
    assert!(many_methods(&of(12)).is_empty());
    assert_eq!(many_methods(&of(13)), ["trait `T` has 13 methods; at most 12"]);
}
