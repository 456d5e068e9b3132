//! What worker and guard say to each other over the control socket.
//!
//! Requests and reports are frames: a big-endian `u32` with the number of bytes, then that many
//! bytes of JSON. Once the guard is ready the worker says single bytes, because a read of one byte
//! can be given up at any moment without losing half a frame.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The worker's order to start the program.
pub(super) const GO: u8 = b'g';

/// The worker's order to end the program politely.
pub(super) const STOP: u8 = b's';

/// The largest frame, in bytes: well above what the kernel takes as arguments and environment, and
/// small enough that a stray length does no harm.
const LARGEST: usize = 16 << 20;

/// What the guard has to know before it can start the program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// See [`super::Program::argv`]; not empty.
    pub(super) argv: Vec<String>,
    /// See [`super::Program::cwd`].
    pub(super) cwd: Option<PathBuf>,
    /// See [`super::Program::env`].
    pub(super) env: Vec<(String, String)>,
    /// How many bytes of standard input follow the frame, raw.
    pub(super) stdin_bytes: u64,
    /// See [`super::Program::run`].
    pub(super) run: String,
    /// The directory of the lock files.
    pub(super) locks: PathBuf,
}

/// What the guard says, one frame each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// The first word: there is a guard.
    Hello,
    /// The request is understood and the run's lock is held.
    Ready,
    /// The guard cannot prepare, for this reason; nothing was started.
    Refused(String),
    /// The program runs, in the process group of this number.
    Started(i32),
    /// The program could not be started, for this reason.
    NotStarted(String),
    /// The group is gone; its first process had exited by itself with this code.
    Exited(i32),
    /// The group is gone; its first process had been ended by this signal.
    Signalled(i32),
    /// The group is gone, because the worker said to stop.
    Stopped,
}

/// Writes one frame.
///
/// # Errors
///
/// `InvalidInput` if `what` has no JSON form or is larger than a frame may be; else what the
/// socket says.
pub(super) async fn send(
    to: &mut (impl AsyncWrite + Unpin),
    what: &impl Serialize,
) -> io::Result<()> {
    let body = serde_json::to_vec(what)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= LARGEST);
    let Some(length) = length else {
        let text = format!("a request of {} bytes is too large", body.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    };
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    to.write_all(&frame).await
}

/// Reads one frame. Not to be given up halfway if the stream is read on.
///
/// # Errors
///
/// `UnexpectedEof` if the other side is gone, `InvalidData` if it says something else than a
/// `T`; else what the socket says.
pub(super) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length).await?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame"));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    serde_json::from_slice(&body).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
