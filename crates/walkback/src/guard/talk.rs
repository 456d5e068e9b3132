//! The worker's side of the conversation with a guard.

use std::{io, path::Path, pin::pin, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{UnixStream, unix::ReadHalf},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    program::{Program, RunError, Status},
    wire::{GO, Request, STOP, Word, receive, send},
};

/// How long a process that should be a guard has to say so. Generous, for a crowded machine: a
/// binary that forgot to become a guard mostly ends at once, which is noticed without this.
const HELLO: Duration = Duration::from_secs(20);

/// What was learnt from a guard so far.
#[derive(Default)]
pub(super) struct Talk {
    /// Whether it said hello, so that it is a guard and ends by itself when the socket closes.
    pub(super) greeted: bool,
    /// The number of the program's process group, once it runs.
    pub(super) group: Option<i32>,
}

/// Takes the guard from hello to its report. The socket is closed when this returns or is dropped.
///
/// # Errors
///
/// `NoGuard` or `Refused` if nothing was started, `Lost` if that is not certain.
pub(super) async fn converse(
    mut control: UnixStream,
    program: Program,
    locks: &Path,
    stop: &CancellationToken,
    talk: &mut Talk,
) -> Result<Status, RunError> {
    tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Status::Stopped),
        ready = prepare(&mut control, program, locks, &mut talk.greeted) => ready?,
    }
    let (mut from, mut to) = control.split();
    // If this fails the guard was gone before it could read it.
    to.write_all(&[GO]).await.map_err(RunError::NoGuard)?;
    let mut report = pin!(report(&mut from, &mut talk.group));
    tokio::select! {
        status = &mut report => return status,
        () = stop.cancelled() => {}
    }
    // If this fails the program has ended, and the report is on its way.
    to.write_all(&[STOP]).await.ok();
    report.await
}

/// Brings the guard to the point where it holds the lock and waits for *go*. Sets `greeted` once it
/// said hello.
///
/// # Errors
///
/// `NoGuard` or `Refused`.
async fn prepare(
    control: &mut UnixStream,
    program: Program,
    locks: &Path,
    greeted: &mut bool,
) -> Result<(), RunError> {
    let Program { argv, cwd, env, stdin, run, .. } = program;
    let stdin_bytes = stdin.len() as u64;
    let request = Request { argv, cwd, env, stdin_bytes, run, locks: locks.to_path_buf() };
    let asked = async {
        let Word::Hello = timeout(HELLO, receive(control)).await?? else { return Ok(None) };
        *greeted = true;
        send(control, &request).await?;
        control.write_all(&stdin).await?;
        receive(control).await.map(Some)
    };
    match asked.await.map_err(RunError::NoGuard)? {
        Some(Word::Ready) => Ok(()),
        Some(Word::Refused(reason)) => Err(RunError::Refused(reason)),
        _ => Err(RunError::NoGuard(io::Error::other("the guard spoke out of turn"))),
    }
}

/// Reads what becomes of the program. Sets `group` once it runs.
///
/// # Errors
///
/// `Lost` if the guard goes away without a report.
async fn report(from: &mut ReadHalf<'_>, group: &mut Option<i32>) -> Result<Status, RunError> {
    loop {
        match receive(from).await {
            Ok(Word::Started(number)) => *group = Some(number),
            Ok(Word::Exited(code)) => return Ok(Status::Exited(code)),
            Ok(Word::Signalled(signal)) => return Ok(Status::Signalled(signal)),
            Ok(Word::NotStarted(reason)) => return Ok(Status::NotStarted(reason)),
            Ok(Word::Stopped) => return Ok(Status::Stopped),
            Ok(Word::Hello | Word::Ready | Word::Refused(_)) => {
                return Err(RunError::Lost("the guard spoke out of turn".into()));
            }
            Err(error) => return Err(RunError::Lost(error.to_string())),
        }
    }
}
