//! `PgBouncer` before a test's server: each transaction gets whatever session is free.

use std::path::Path;

use crate::testing::postgres::{Guard, Server, free_port, fresh_folder, tell};

/// Where Debian puts it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A running pooler. It stops when this is dropped or its process ends.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    sessions: u32,
    _guard: Guard,
}

/// Brings it up and removes it when its input ends. Like the server it refuses to run as root.
const SCRIPT: &str = r#"
set -eu
folder=$1 port=$2 program=$3 server=$4 sessions=$5
cd "$folder"
cat >pgbouncer.ini <<END
[databases]
* = host=127.0.0.1 port=$server user=walkback
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = $sessions
max_client_conn = 1000
server_idle_timeout = 600
server_round_robin = 1
ignore_startup_parameters = extra_float_digits
END
user=$(id -un)
if [ "$(id -u)" = 0 ]; then user=nobody; fi
chown "$user" "$folder"
"$program" -q -u "$user" pgbouncer.ini >log 2>&1 &
pooler=$!
for _ in $(seq 200); do
    if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo up; break; fi
    kill -0 "$pooler" || { cat log; exit 1; }
    sleep 0.05
done
read -r _ || true
kill "$pooler" || true
rm -rf "$folder"
"#;

impl Pooler {
    /// Whether it is installed.
    pub fn is_installed() -> bool {
        Path::new(PROGRAM).is_file()
    }

    /// A pooler of transactions before this server, with so many sessions for each database.
    ///
    /// # Errors
    /// If it does not start.
    pub fn before(server: &Server, sessions: u32) -> Result<Self, String> {
        let (folder, port) = (fresh_folder(&std::env::temp_dir())?, free_port()?);
        let ports = [port, server.port].map(|port| port.to_string());
        let args = [
            folder.as_os_str(),
            ports[0].as_ref(),
            PROGRAM.as_ref(),
            ports[1].as_ref(),
            sessions.to_string().as_ref(),
        ]
        .map(std::ffi::OsStr::to_owned);
        Ok(Self { port, sessions, _guard: Guard::up("PgBouncer", SCRIPT, &args)? })
    }

    /// The URL, through the pooler, of a new, empty database of its server, with all its sessions open:
    /// it opens one only when the others are busy.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn place(&self, server: &Server) -> Result<String, String> {
        let random = crate::id::ClaimId::random();
        let name = format!("t{}", crate::id::hex(&random.as_bytes()[..8]));
        server.tell(&format!("CREATE DATABASE {name} TEMPLATE template0"))?;
        let url = format!("postgres://walkback@127.0.0.1:{}/{name}", self.port);
        std::thread::scope(|scope| {
            let busy = || tell(&url, "SELECT pg_sleep(0.3)");
            let all: Vec<_> = (0..self.sessions).map(|_| scope.spawn(busy)).collect();
            all.into_iter()
                .try_for_each(|one| one.join().map_err(|_| "no psql".to_owned())?.map(drop))
        })?;
        Ok(url)
    }
}
