//! A folder of one's own, and the command in it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use walkback::{Engine, Order, Registry, SagaId, SqliteStore, Steps};

/// An empty folder; gone when it is dropped.
pub(crate) struct Desk {
    folder: PathBuf,
    /// The store, if it is not the usual file.
    store: Option<String>,
}

/// What the command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("walkback-cli-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Self { folder: dir, store: None }
    }

    /// The same with this store.
    pub(crate) fn with_store(url: &str) -> Self {
        let mut desk = Self::new();
        desk.store = Some(url.to_owned());
        desk
    }

    pub(crate) fn path(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let file = self.folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    /// The command with nothing of the caller's environment that it reads.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walkback"));
        command.args(args).current_dir(&self.folder).stdin(Stdio::null());
        let read =
            |name: &str| ["WALKBACK_", "DIGITALOCEAN_", "PG"].iter().any(|of| name.starts_with(of));
        for (name, _) in std::env::vars().filter(|(name, _)| read(name)) {
            command.env_remove(name);
        }
        if let Some(store) = &self.store {
            command.env("WALKBACK_STORE", store);
        }
        command.env("XDG_CONFIG_HOME", self.folder.join("xdg"));
        command.env("USER", "ada");
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Starts steps that the command line cannot name, such as `{"sleep": {"for": "1h"}}`.
    pub(crate) fn start(&self, steps: &str) -> SagaId {
        let steps: Steps = serde_json::from_str(steps).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::open(self.folder.join("walkback.db")).unwrap();
            let engine = Engine::new(Registry::with_builtins(), store).unwrap();
            engine.start_saga(Order::list("adhoc", steps)).await.unwrap().id
        })
    }

    /// How many sagas are in the store.
    pub(crate) fn count(&self) -> usize {
        let listed = self.run(&["list", "--json"]);
        listed.json().as_array().unwrap().len()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        Self { code, out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Stdout as one JSON document; nothing else may be there.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Stdout as JSON lines.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Stdout without ids, moments and durations, which differ every time.
    pub(crate) fn stable(&self) -> String {
        stable(&self.out)
    }
}

/// `text` with ids, moments and durations replaced by signs, and gaps between columns all alike.
pub(crate) fn stable(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<String> = line.split(' ').map(stable_word).collect();
        // Columns are as wide as the durations in them, so their gaps differ too.
        let columns = words.join(" ");
        let columns = columns.split("  ").map(str::trim).filter(|column| !column.is_empty());
        columns.collect::<Vec<_>>().join("  ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn stable_word(word: &str) -> String {
    let core = word.trim_matches(|c| matches!(c, '(' | ')' | ',' | ':' | '`' | '"'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let shape: String = core.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let unit = core.strip_suffix("ms").or_else(|| core.strip_suffix('s')).unwrap_or_default();
    let sign = if core.len() == 36 && core.parse::<SagaId>().is_ok() {
        "ID----------------------------------"
    } else if shape == "0000-00-00" {
        "DAY-------"
    } else if shape.starts_with("0000-00-00T00:00:00") {
        "MOMENT"
    } else if shape.starts_with("00:00:00") {
        "TIME"
    } else if digits(&unit.replace('.', "")) {
        "TOOK"
    } else {
        return word.to_owned();
    };
    word.replace(core, sign)
}
