//! The worker's side: starts a guard, speaks with it, and reads the program's outputs.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::PathBuf,
    pin::pin,
    process::Stdio,
    time::Duration,
};

use rustix::process::Pid;
use tokio::{
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    capture::{Head, Tail},
    group::destroy_orphaned,
    lock,
    process::{GUARD_ARG, GUARD_MARK},
    program::{Ended, Program, RunError, Status},
    talk::{Talk, converse},
};

/// How long outputs are read after the guard has exited. The group's own ends are closed then; only
/// a descendant that left the group can keep them open.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Where guards come from and where their locks are.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// The binary to run as a guard, if not this process's own.
    exe: Option<PathBuf>,
    /// The directory of the lock files, if not the default one.
    locks: Option<PathBuf>,
}

/// Runs `program` with a guard that is this process's own binary; see [`Guards::run`].
///
/// # Errors
///
/// See [`Guards::run`].
pub async fn run(program: Program, stop: CancellationToken) -> Result<Ended, RunError> {
    Guards::new().run(program, stop).await
}

/// Waits for the guards of `run` with the locks at their default place; see
/// [`Guards::wait_for_guards`].
///
/// # Errors
///
/// See [`Guards::wait_for_guards`].
pub async fn wait_for_guards(run: &str) -> io::Result<()> {
    Guards::new().wait_for_guards(run).await
}

impl Guards {
    /// Guards that are this process's own binary, with their locks in
    /// `<temporary directory>/walkback-guards-<user id>`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses another binary, which must call [`guard_main_if_asked`](crate::guard_main_if_asked) as this process's own
    /// one must: for tests, whose own binary is the test harness.
    #[must_use]
    pub fn with_exe(mut self, exe: impl Into<PathBuf>) -> Self {
        self.exe = Some(exe.into());
        self
    }

    /// Uses another directory for the lock files. It is made if its parent exists, must be a
    /// directory of this user with mode 0700, and the same for all workers of a run.
    #[must_use]
    pub fn with_lock_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.locks = Some(dir.into());
        self
    }

    /// Runs `program`, and returns once its process group is gone and its guard is reaped.
    ///
    /// When `stop` fires the group gets `SIGTERM`, and `SIGKILL` if it is still there 2 seconds
    /// later. When the returned future is dropped the group gets `SIGKILL` at once, but nobody
    /// waits for its end: [`Guards::wait_for_guards`] does.
    ///
    /// Must be called within a tokio runtime that has its I/O and time drivers enabled.
    ///
    /// # Errors
    ///
    /// If it cannot be said how the program ended. No program is left running then;
    /// [`RunError::nothing_ran`] tells whether one may have run.
    pub async fn run(&self, program: Program, stop: CancellationToken) -> Result<Ended, RunError> {
        let mut stdout = Head::new(program.stdout_limit);
        let mut stderr = Tail::new(program.stderr_limit);
        let verdict = if program.argv.is_empty() {
            Ok(Status::NotStarted("the command is empty".into()))
        } else if stop.is_cancelled() {
            Ok(Status::Stopped)
        } else {
            let (mut child, control) = self.start()?;
            let outputs = (child.stdout.take(), child.stderr.take());
            let mut reading =
                pin!(async { tokio::join!(stdout.drain(outputs.0), stderr.drain(outputs.1)) });
            let mut settled = pin!(self.settle(child, control, program, &stop));
            tokio::select! {
                verdict = &mut settled => {
                    // What is left of the outputs is read, but not for ever.
                    timeout(LEFTOVERS, reading).await.ok();
                    verdict
                }
                _ = &mut reading => settled.await,
            }
        };
        let stderr = stderr.into_text();
        match verdict {
            Ok(status) => {
                Ok(Ended { status, stdout: stdout.bytes, stdout_overflow: stdout.overflow, stderr })
            }
            Err(RunError::NotAGuard { exe, detail }) if !stderr.is_empty() => {
                let detail = format!("{detail}; it wrote: {}", stderr.trim_end());
                Err(RunError::NotAGuard { exe, detail })
            }
            Err(error) => Err(error),
        }
    }

    /// Returns when no guard of `run` is alive on this machine, so that nothing that a guard
    /// started for it is; at once if there is none.
    ///
    /// A worker that takes a run over calls this before it does anything else of that run, and
    /// after it made sure that the worker before it does nothing more. May be dropped at any time.
    ///
    /// # Errors
    ///
    /// If the directory of the lock files is not private to this user, or on an input/output
    /// error.
    pub async fn wait_for_guards(&self, run: &str) -> io::Result<()> {
        lock::wait(&self.lock_dir(), run).await
    }

    /// The directory of the lock files.
    fn lock_dir(&self) -> PathBuf {
        self.locks.clone().unwrap_or_else(lock::default_dir)
    }

    /// The file to execute as a guard. On Linux the kernel's own reference to this process's
    /// binary: it still works, and still means this version, after the file was replaced.
    ///
    /// # Errors
    ///
    /// If the system cannot tell.
    fn exe(&self) -> io::Result<PathBuf> {
        match &self.exe {
            Some(exe) => Ok(exe.clone()),
            None if cfg!(target_os = "linux") => Ok("/proc/self/exe".into()),
            None => std::env::current_exe(),
        }
    }

    /// Starts a guard; also gives the worker's end of its control socket. The guard's end is closed
    /// in this process when this returns, and `std` makes every descriptor close-on-exec, so that
    /// no other child holds an end open.
    ///
    /// # Errors
    ///
    /// If there is no such binary, if the kernel is out of something, or if this process should
    /// have become a guard itself.
    fn start(&self) -> Result<(Child, UnixStream), RunError> {
        let exe = self.exe().map_err(RunError::NoGuard)?;
        if std::env::var_os(GUARD_MARK).is_some() {
            let detail = "this process was started as a guard and went on as a worker".into();
            return Err(RunError::NotAGuard { exe, detail });
        }
        let start = || {
            let (ours, theirs) = StdUnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let ours = UnixStream::from_std(ours)?;
            let mut command = Command::new(&exe);
            if let (None, Some(name)) = (&self.exe, std::env::args_os().next()) {
                command.arg0(name);
            }
            command.arg(GUARD_ARG).env(GUARD_MARK, "1").stdin(OwnedFd::from(theirs));
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            Ok((child, ours))
        };
        start().map_err(RunError::NoGuard)
    }

    /// Speaks with the guard to the end, and reaps it.
    ///
    /// # Errors
    ///
    /// See [`Guards::run`].
    async fn settle(
        &self,
        mut child: Child,
        control: UnixStream,
        program: Program,
        stop: &CancellationToken,
    ) -> Result<Status, RunError> {
        let mut talk = Talk::default();
        let verdict = converse(control, program, &self.lock_dir(), stop, &mut talk).await;
        // The socket is closed: a guard ends by itself, anything else may not.
        if !talk.greeted {
            child.start_kill().ok();
        }
        let exit = child.wait().await;
        if let (Err(RunError::Lost(_)), Some(group)) = (&verdict, talk.group)
            && !exit.as_ref().is_ok_and(std::process::ExitStatus::success)
            && let Some(group) = Pid::from_raw(group)
        {
            destroy_orphaned(group).await;
        }
        match verdict {
            Err(RunError::NoGuard(error)) if !talk.greeted => {
                let ended = exit.map_or_else(|error| error.to_string(), |exit| exit.to_string());
                let detail = format!("{error}; it ended with {ended}");
                Err(RunError::NotAGuard { exe: self.exe().unwrap_or_default(), detail })
            }
            verdict => verdict,
        }
    }
}
