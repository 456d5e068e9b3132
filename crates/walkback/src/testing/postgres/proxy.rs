//! A proxy before a test's server, which cuts every connection after a message of its protocol.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::testing::postgres::Server;

/// The longest message that is no mistake of ours, in bytes.
const LONGEST: usize = 64 << 20;

/// A listening proxy; it ends with its process.
#[derive(Clone, Debug)]
pub struct Proxy {
    port: u16,
    server: u16,
    passing: Arc<Mutex<Passing>>,
}

#[derive(Debug, Default)]
struct Passing {
    /// Messages until everything is cut.
    left: Option<u64>,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A proxy before this server.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn before(server: &Server) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, passing) = (listener.local_addr()?.port(), Arc::default());
        let proxy = Self { port, server: server.port, passing };
        let accepting = proxy.clone();
        thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for client in listener.incoming() {
                // Whoever cannot be connected is cut off, which is what this is for.
                client.and_then(|client| accepting.connect(&client)).ok();
            }
        })?;
        Ok(proxy)
    }

    /// The same place of the server, through the proxy.
    pub fn url(&self, place: &str) -> String {
        let (server, here) = (format!(":{}/", self.server), format!(":{}/", self.port));
        let mark = if place.contains('?') { '&' } else { '?' };
        format!("{}{mark}sslmode=disable", place.replacen(&server, &here, 1))
    }

    /// Cuts every connection as soon as so many more messages have passed, either way.
    pub fn cut_after(&self, messages: u64) {
        self.passing().left = Some(messages);
    }

    /// Cuts nothing any more; says whether it has.
    pub fn has_cut(&self) -> bool {
        self.passing().left.take().is_none()
    }

    fn passing(&self) -> MutexGuard<'_, Passing> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, client: &TcpStream) -> Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.server))?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        self.passing().open.extend([client.try_clone()?, server.try_clone()?]);
        // The first message of a client has no type.
        for (from, to, typed) in [(client, &server, false), (&server, client, true)] {
            let (proxy, from, to) = (self.clone(), from.try_clone()?, to.try_clone()?);
            thread::Builder::new().name("passing".to_owned()).spawn(move || {
                proxy.pass_all(&from, &to, typed).ok();
                // Half a connection is of use to nobody.
                from.shutdown(Shutdown::Both).ok();
                to.shutdown(Shutdown::Both).ok();
            })?;
        }
        Ok(())
    }

    fn pass_all(&self, mut from: &TcpStream, mut to: &TcpStream, mut typed: bool) -> Result<()> {
        loop {
            let mut message = vec![0; usize::from(typed) + 4];
            from.read_exact(&mut message)?;
            let length = message[usize::from(typed)..].try_into().map_err(Error::other)?;
            let rest = u32::from_be_bytes(length) as usize;
            if !(4..LONGEST).contains(&rest) {
                return Err(ErrorKind::InvalidData.into());
            }
            let head = message.len();
            message.resize(head + rest - 4, 0);
            from.read_exact(&mut message[head..])?;
            to.write_all(&message)?;
            self.passed();
            typed = true;
        }
    }

    fn passed(&self) {
        let mut passing = self.passing();
        let Some(left) = passing.left.as_mut() else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            passing.left = None;
            for stream in passing.open.drain(..) {
                stream.shutdown(Shutdown::Both).ok();
            }
        }
    }
}
