//! Definitions as files: the examples first.

use std::path::Path;

use crate::desk::Desk;

fn example(name: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    examples.join(name).display().to_string()
}

/// The documents that a site's saga leaves in its folder.
fn left(desk: &Desk) -> Vec<String> {
    let sites = std::fs::read_dir(desk.path().join("sites")).unwrap();
    let pages = sites.flat_map(|site| std::fs::read_dir(site.unwrap().path()).unwrap());
    let mut names: Vec<_> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_examples_end_as_they_say() {
    let desk = Desk::new();
    let ran = desk.run(&["run", "--file", &example("hello.yaml"), "--json"]);
    assert_eq!((ran.code, &ran.json()["kind"]), (0, &"hello".into()), "{ran:?}");
    let ran = desk.run(&["run", "--file", &example("walk-back.yaml"), "--kind", "other", "--json"]);
    assert_eq!((ran.code, &ran.json()["kind"]), (1, &"other".into()), "{ran:?}");
}

#[test]
fn a_site_of_commands_is_there_or_nothing_of_it_is_left() {
    let desk = Desk::new();
    let run = |fails: &str| {
        let site = example("local-site.yaml");
        let mut command = desk.command(&["run", "--file", &site, "--json"]);
        command.env("SITES", desk.path().join("sites")).env("BREAK", fails).output().unwrap()
    };
    let made = run("");
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    assert_eq!(left(&desk), ["about.html", "index.html"]);
    std::fs::remove_dir_all(desk.path().join("sites")).unwrap();
    let broken = run("about.html");
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    assert_eq!(left(&desk), [""; 0]);
}

#[test]
fn a_plan_of_a_definition_shows_groups_and_what_is_not_undone() {
    let ran = Desk::new().run(&["plan", "--file", &example("local-site.yaml")]);
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.out);
}

#[test]
fn a_definition_with_mistakes_names_the_file_and_each_of_them() {
    let desk = Desk::new();
    desk.write("bad.yaml", "kind: bad\nsteps: [ech, {sleep: {}}]\n");
    let ran = desk.run(&["run", "--file", "bad.yaml"]);
    assert_eq!((ran.code, ran.err.lines().count()), (2, 2), "{ran:?}");
    desk.write("worse.yaml", "kind: [\n");
    let ran = desk.run(&["start", "--file", "worse.yaml"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("`worse.yaml`"), "{ran:?}");
    assert_eq!(desk.count(), 0);
}
