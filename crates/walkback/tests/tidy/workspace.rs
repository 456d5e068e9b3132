//! The files of the workspace that are ours: what git knows, or without git whatever is there.

use std::path::Path;
use std::process::Command;

/// A text file, by its path from the root of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    fn ends_with(&self, ending: &str) -> bool {
        Path::new(&self.path).extension().is_some_and(|found| found == ending)
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.ends_with("rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.ends_with("md")
    }
}

/// Every text file of the workspace.
pub(crate) fn read_workspace(root: &Path) -> Vec<Source> {
    let paths = known_to_git(root).unwrap_or_else(|| all_files(root));
    let read = |path: String| {
        let text = std::fs::read_to_string(root.join(&path)).ok()?;
        Some(Source { path, text })
    };
    paths.into_iter().filter_map(read).collect()
}

fn known_to_git(root: &Path) -> Option<Vec<String>> {
    let listing = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").arg("-C").arg(root).args(listing).output().ok()?;
    let paths = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(paths.lines().map(str::to_owned).collect())
}

/// Without git: everything except what is built and what is hidden.
fn all_files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder that can be read") {
            let path = entry.expect("an entry that can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else if let Some(path) = path.strip_prefix(root).ok().and_then(Path::to_str) {
                found.push(path.to_owned());
            }
        }
    }
    found
}

#[test]
fn both_ways_of_listing_find_this_file() {
    let root = super::root();
    let this = "crates/walkback/tests/tidy/workspace.rs".to_owned();
    assert!(all_files(root).contains(&this));
    assert!(known_to_git(root).is_none_or(|paths| paths.contains(&this)));
}
