//! The guard process: starts one program, and sees to it that its group does not outlive it.
//!
//! It has one thread and blocks nowhere but in its event loop, so that the end of the control
//! socket is seen at any moment.

use std::{
    fs,
    io::{self, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream as StdUnixStream, process::CommandExt},
    },
    pin::pin,
    process::{Command, Stdio, exit},
    time::Duration,
};

use rustix::{
    fs::{FileType, fstat},
    process::{Pid, setsid},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixStream, unix::pipe::Sender},
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

use super::{
    group::Group,
    lock::RunLock,
    wire::{GO, Request, STOP, Word, receive, send},
};

/// The first argument that makes a binary a guard. Nobody types it: it is no part of a command
/// line's documented form.
pub(super) const GUARD_ARG: &str = "__walkback-guard";

/// Set in a guard's environment, and taken away again from the program's. A process that has it
/// and wants a guard of its own is a binary which forgot to become one.
pub(super) const GUARD_MARK: &str = "WALKBACK_GUARD_PROCESS";

/// How long a program that is asked to stop has between `SIGTERM` and `SIGKILL`.
const GRACE: Duration = Duration::from_secs(2);

/// The exit code of a guard that could not do its work (`EX_SOFTWARE`).
const FAILED: i32 = 70;

/// Why a program is ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// Its first process ended by itself.
    Ended,
    /// The worker said to stop.
    Stop,
    /// The worker is gone, or does not want the program any more.
    Abandoned,
}

/// Makes this process a guard, and ends it when the guard is done, if the first argument is
/// `__walkback-guard`; else does nothing.
///
/// Must be the first thing that `main` does, before it starts threads or looks at its arguments:
/// a worker starts its own binary again to get a guard.
pub fn guard_main_if_asked() {
    if std::env::args_os().nth(1).is_none_or(|argument| argument != GUARD_ARG) {
        return;
    }
    let code = guard_main().err().map_or(0, |error| {
        // Nobody may be left to read it.
        writeln!(io::stderr(), "guard process: {error}").ok();
        FAILED
    });
    exit(code);
}

/// Sets the process up and runs the guard.
///
/// # Errors
///
/// If the standard input is no control socket, if the worker went away before it said *go*, or if
/// the kernel is out of something. Nothing was started then.
fn guard_main() -> io::Result<()> {
    let control = io::stdin().as_fd().try_clone_to_owned()?;
    if FileType::from_raw_mode(fstat(&control)?.st_mode) != FileType::Socket {
        return Err(io::Error::other("only a worker can start a guard"));
    }
    // A session of its own keeps the terminal's signals away. It can only fail for a process that
    // leads a group already, which has what is wanted here.
    setsid().ok();
    // Orphans of the group come to this process, which reaps them: the process that would get them
    // otherwise may not (the first one of many containers), and they would look alive for ever.
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    // For those who look at a list of processes; the name is `exe` otherwise.
    fs::write("/proc/self/comm", "walkback-guard").ok();
    let control = StdUnixStream::from(control);
    control.set_nonblocking(true)?;
    Builder::new_current_thread().enable_all().build()?.block_on(guard(control))
}

/// Speaks with the worker from hello to the report.
///
/// # Errors
///
/// As [`guard_main`].
async fn guard(control: StdUnixStream) -> io::Result<()> {
    let mut children = listen()?;
    let mut control = UnixStream::from_std(control)?;
    send(&mut control, &Word::Hello).await?;
    let request: Request = receive(&mut control).await?;
    let mut stdin = Vec::new();
    (&mut control).take(request.stdin_bytes).read_to_end(&mut stdin).await?;
    let lock = tokio::select! {
        lock = RunLock::share(&request.locks, &request.run) => lock,
        // The worker has nothing to say before *ready*.
        _ = order(&mut control) => return Ok(()),
    };
    let report = match lock {
        Err(error) => Some(refusal(&error)),
        Ok(lock) => {
            let report = serve(&mut control, &mut children, &request, stdin).await;
            // Before the report: who hears of the end finds the lock free.
            drop(lock);
            report
        }
    };
    if let Some(word) = report {
        // The work is done, whether anybody still wants to hear of it or not.
        send(&mut control, &word).await.ok();
    }
    Ok(())
}

/// Listens for the ends of children, and no more to the signals that end a process by default.
///
/// Who stops a service signals all of its processes: a guard that died of that would leave its
/// program unguarded. They are caught, not ignored, because a program inherits what is ignored.
///
/// # Errors
///
/// If the kernel is out of something.
fn listen() -> io::Result<Signal> {
    use SignalKind as Kind;
    let deaf_to = [Kind::hangup(), Kind::interrupt(), Kind::quit(), Kind::terminate()];
    for kind in deaf_to.into_iter().chain([Kind::user_defined1(), Kind::user_defined2()]) {
        // The handler stays when its receiver is dropped.
        drop(signal(kind)?);
    }
    signal(Kind::child())
}

/// The next order, or `None` if there is none to come because the worker is gone.
async fn order(control: &mut UnixStream) -> Option<u8> {
    let mut order = [0];
    matches!(control.read(&mut order).await, Ok(1)).then_some(order[0])
}

/// What to say if the guard cannot prepare.
fn refusal(error: &io::Error) -> Word {
    Word::Refused(error.to_string())
}

/// Runs the program and tells how it went, once its group is gone; `None` if there is nobody to
/// tell, or nothing.
///
/// Whatever can fail is done before the program starts: once it runs there is nothing to do but to
/// wait for it or to kill it.
async fn serve(
    control: &mut UnixStream,
    children: &mut Signal,
    request: &Request,
    stdin: Vec<u8>,
) -> Option<Word> {
    let (feeder, stdin_of_program) = match stdin_pipe(&stdin) {
        Ok(pipe) => pipe,
        Err(error) => return Some(refusal(&error)),
    };
    send(control, &Word::Ready).await.ok()?;
    if order(control).await != Some(GO) {
        return None;
    }
    let child = match start(request, stdin_of_program) {
        Ok(leader) => leader,
        Err(reason) => return Some(Word::NotStarted(reason)),
    };
    let mut group = Group::new(child);
    // If the worker is gone, the next look at the socket says so.
    send(control, &Word::Started(child.as_raw_pid())).await.ok();
    let cause = watch(&mut group, control, children, feed(feeder, stdin)).await;
    if cause == Cause::Stop {
        ask_to_end(&mut group, control, children).await;
    }
    group.destroy(children).await;
    let status = group.status()?;
    match cause {
        Cause::Abandoned => None,
        Cause::Stop => Some(Word::Stopped),
        Cause::Ended => status
            .exit_status()
            .map(Word::Exited)
            .or_else(|| status.terminating_signal().map(Word::Signalled)),
    }
}

/// Waits until the program's first process ends or is not wanted any more, while the program is
/// fed.
async fn watch(
    group: &mut Group,
    control: &mut UnixStream,
    children: &mut Signal,
    feed: impl Future<Output = ()>,
) -> Cause {
    let mut feed = pin!(feed);
    let mut done = false;
    while !group.has_lost_leader() {
        tokio::select! {
            Some(()) = children.recv() => {}
            () = &mut feed, if !done => done = true,
            order = order(control) => return match order {
                // It may have ended just before, and then it was not stopped.
                Some(STOP) if group.has_lost_leader() => Cause::Ended,
                Some(STOP) => Cause::Stop,
                _ => Cause::Abandoned,
            },
        }
    }
    Cause::Ended
}

/// Asks the group to end, and waits until it did, its time is over, or the worker is gone too.
async fn ask_to_end(group: &mut Group, control: &mut UnixStream, children: &mut Signal) {
    group.terminate();
    let mut grace = pin!(sleep(GRACE));
    loop {
        group.reap();
        if group.is_gone() {
            return;
        }
        tokio::select! {
            () = Group::changed(children) => {}
            () = &mut grace => return,
            _ = order(control) => return,
        }
    }
}

/// The two ends of the program's standard input; the null device, and nothing to feed, if there is
/// nothing to read.
///
/// # Errors
///
/// If the kernel is out of something.
fn stdin_pipe(stdin: &[u8]) -> io::Result<(Option<Sender>, Stdio)> {
    if stdin.is_empty() {
        return Ok((None, Stdio::null()));
    }
    let (reader, writer) = io::pipe()?;
    Ok((Some(Sender::from_owned_fd(OwnedFd::from(writer))?), Stdio::from(reader)))
}

/// Writes the program's standard input and closes it. A program need not read it.
async fn feed(feeder: Option<Sender>, stdin: Vec<u8>) {
    if let Some(mut feeder) = feeder {
        feeder.write_all(&stdin).await.ok();
    }
}

/// Starts the program at the head of its own process group. Its outputs are the guard's own, which
/// the guard itself does not use, and its other descriptors are closed by `exec`.
///
/// # Errors
///
/// The reason, in words, why it was not started: nothing of it has run.
fn start(request: &Request, stdin: Stdio) -> Result<Pid, String> {
    let (program, arguments) = request.argv.split_first().ok_or("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).env_remove(GUARD_MARK).stdin(stdin).process_group(0);
    command.envs(request.env.iter().map(|(name, value)| (name, value)));
    if let Some(cwd) = &request.cwd {
        command.current_dir(cwd);
    }
    match command.spawn() {
        Ok(child) => Ok(Pid::from_child(&child)),
        Err(error) => {
            Err(match request.cwd.as_deref().map(|cwd| (cwd, fs::metadata(cwd.join(".")))) {
                Some((cwd, Err(error))) => format!("cannot start in `{}`: {error}", cwd.display()),
                _ => format!("cannot start `{program}`: {error}"),
            })
        }
    }
}
