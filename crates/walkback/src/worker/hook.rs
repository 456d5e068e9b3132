//! Telling people that a saga needs one: what is told, and by whom.

use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, Command};

use crate::describe::Explanation;
use crate::limits;
use crate::time::Timestamp;

/// What a hook's call comes to; the error is for people.
pub type Told<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Tells people that a saga needs one. A worker that has a hook calls it for every saga that parks or
/// ends with something left, at least once, again after an error, and writes into the saga's ledger
/// what became of it.
///
/// ```
/// use walkback::worker::{Hook, Notice, Told};
///
/// /// Tells whoever reads the log.
/// struct Log;
/// impl Hook for Log {
///     fn name(&self) -> String {
///         "log".to_owned()
///     }
///     fn call<'a>(&'a self, notice: &'a Notice) -> Told<'a> {
///         println!("{} needs a person: {}", notice.saga.id, notice.saga.because.join("; "));
///         Box::pin(async { Ok(()) })
///     }
/// }
/// ```
pub trait Hook: Send + Sync + 'static {
    /// Who it is, for the ledger; nothing secret.
    fn name(&self) -> String;

    /// Tells people. After 30 seconds it is given up, and tried again like any that failed.
    fn call<'a>(&'a self, notice: &'a Notice) -> Told<'a>;
}

/// What people are told. As JSON it is what programs and webhooks get.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    /// The same for every try at telling this, so that it can be told once.
    pub id: String,
    /// `saga.attention`.
    #[serde(rename = "type")]
    pub what: &'static str,
    /// When it is told.
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
    /// Why the saga stands as it does, and which commands end that.
    #[serde(rename = "data")]
    pub saga: Explanation,
}

impl Notice {
    pub(crate) fn new(saga: Explanation, at: Timestamp) -> Self {
        let id = format!("{}-{}", saga.id, saga.since.as_micros());
        Self { id, what: "saga.attention", at, saga }
    }
}

/// A program that gets the notice as JSON on its stdin; exit code 0 says that people know.
///
/// ```
/// let hook = walkback::worker::ProgramHook::new("/usr/local/bin/page-the-operator");
/// ```
#[derive(Clone, Debug)]
pub struct ProgramHook {
    program: PathBuf,
}

impl ProgramHook {
    /// This program, which is looked for as a shell would.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    async fn run(&self, notice: &Notice) -> Result<(), String> {
        let program = self.program.display();
        let text = serde_json::to_string(notice).map_err(|error| error.to_string())?;
        let mut child = Command::new(&self.program)
            .env("WALKBACK_NOTICE_ID", &notice.id)
            .env("WALKBACK_SAGA_ID", notice.saga.id.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let tell = async {
            if let Some(mut stdin) = stdin {
                // A program that does not read has no use for it; its exit code tells.
                stdin.write_all(text.as_bytes()).await.ok();
            }
        };
        let ((), said) = tokio::join!(tell, last_line(stderr));
        let status = child.wait().await.map_err(|error| format!("`{program}`: {error}"))?;
        let said = if said.is_empty() { said } else { format!(": {said}") };
        if status.success() {
            Ok(())
        } else {
            Err(format!("`{program}` ended with {status}{said}"))
        }
    }
}

/// The last line of the beginning of what a program says on its stderr; the rest is read and dropped,
/// so that the program never waits for us.
async fn last_line(stderr: Option<ChildStderr>) -> String {
    let Some(mut stderr) = stderr else { return String::new() };
    let mut start = Vec::new();
    // What cannot be read is not known; the exit code tells.
    (&mut stderr).take(limits::ERROR_BYTES as u64).read_to_end(&mut start).await.ok();
    tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await.ok();
    String::from_utf8_lossy(&start).trim_end().lines().last().unwrap_or_default().to_owned()
}

impl Hook for ProgramHook {
    fn name(&self) -> String {
        format!("hook {}", self.program.display())
    }

    fn call<'a>(&'a self, notice: &'a Notice) -> Told<'a> {
        Box::pin(self.run(notice))
    }
}
