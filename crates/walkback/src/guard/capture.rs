//! Reads a program's outputs to their end while keeping only a bounded part of each.
//!
//! What is over the limit is still read: a program must never block on a full pipe because its
//! caller has seen enough.

use tokio::io::{AsyncRead, AsyncReadExt};

/// How many bytes are read at once.
const CHUNK: usize = 16 << 10;

/// Keeps the first bytes of an output.
pub(super) struct Head {
    /// What was kept.
    pub(super) bytes: Vec<u8>,
    /// Whether there was more.
    pub(super) overflow: bool,
    /// The most that is kept, in bytes.
    limit: usize,
}

impl Head {
    /// Keeps nothing yet, and at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), overflow: false, limit }
    }

    /// Reads until the end; an error ends the output too. What was read so far stays if the
    /// future is dropped.
    pub(super) async fn drain(&mut self, from: Option<impl AsyncRead + Unpin>) {
        drain(from, |chunk| {
            let room = self.limit - self.bytes.len();
            self.overflow |= chunk.len() > room;
            self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        })
        .await;
    }
}

/// Keeps the last bytes of an output.
pub(super) struct Tail {
    /// The last bytes, and up to as many again before them, so that few moves are needed.
    bytes: Vec<u8>,
    /// How many bytes before those were dropped.
    cut: usize,
    /// The most that is kept, in bytes.
    limit: usize,
}

impl Tail {
    /// Keeps nothing yet, and at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), cut: 0, limit }
    }

    /// Like [`Head::drain`].
    pub(super) async fn drain(&mut self, from: Option<impl AsyncRead + Unpin>) {
        drain(from, |chunk| {
            self.bytes.extend_from_slice(chunk);
            if self.bytes.len() / 2 > self.limit {
                self.cut_to_limit();
            }
        })
        .await;
    }

    /// Drops all but the last `limit` bytes.
    fn cut_to_limit(&mut self) {
        let over = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..over);
        self.cut += over;
    }

    /// The text, after a line that says how many bytes were cut off if any were. A character that
    /// the cut went through is cut off whole.
    pub(super) fn into_text(mut self) -> String {
        self.cut_to_limit();
        if self.cut == 0 {
            return String::from_utf8_lossy(&self.bytes).into_owned();
        }
        let rest = self.bytes.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
        let text = String::from_utf8_lossy(&self.bytes[rest..]);
        format!("[the first {} bytes were cut]\n{text}", self.cut + rest)
    }
}

/// Hands every chunk of `from` to `keep`, until the end or an error.
async fn drain(from: Option<impl AsyncRead + Unpin>, mut keep: impl FnMut(&[u8])) {
    let Some(mut from) = from else { return };
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        keep(&chunk[..read]);
    }
}
