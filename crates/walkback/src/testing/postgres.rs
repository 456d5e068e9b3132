//! A PostgreSQL server of its own for tests: in a temporary folder, gone with the process however
//! that ends. `WALKBACK_TEST_POSTGRES=postgres://…` uses another one, `WALKBACK_TEST_POSTGRES_BIN=folder` the
//! programs of another version.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::hex;
use crate::store::PostgresStore;

mod patroni;
mod pooler;
mod proxy;

pub use patroni::Patroni;
pub use pooler::Pooler;
pub use proxy::Proxy;

/// A running server. It stops when this is dropped or its process ends.
pub struct Server {
    /// The URL of a database in it that exists, without options.
    url: String,
    folder: PathBuf,
    port: u16,
    _guard: Option<Guard>,
}

/// A shell that has brought something up, and stops it when nothing holds the shell's input any more.
#[derive(Debug)]
struct Guard {
    shell: Child,
    input: Option<ChildStdin>,
}

impl Guard {
    /// Runs the script, which says `up` and then reads its input to the end.
    fn up(what: &str, script: &str, args: &[OsString]) -> Result<Self, String> {
        let mut shell = Command::new("bash")
            .args(["-c", script, "bash"])
            .args(args)
            // Whatever ends a test's group by a signal leaves it alive to clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("bash: {error}"))?;
        let mut said = String::new();
        let mut lines = BufReader::new(shell.stdout.take().ok_or("no output")?);
        while lines.read_line(&mut said).is_ok_and(|read| read > 0) {
            if said.ends_with("up\n") {
                let input = shell.stdin.take();
                return Ok(Self { shell, input });
            }
        }
        Err(format!("{what} does not start: {said}"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.input = None;
        // It has nothing else to do then.
        self.shell.wait().ok();
    }
}

/// Brings up a cluster, says where, and removes it when its input ends. PostgreSQL refuses to run as
/// root, so that root runs it as another user.
const SCRIPT: &str = r#"
set -eu
folder=$1 port=$2 bin=$3 primary=$4; shift 4
cd "$folder"
as() {
    if [ "$(id -u)" != 0 ]; then "$@"; return; fi
    user=postgres; id "$user" >/dev/null 2>&1 || user=nobody
    chown "$user" "$folder"
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"
}
mkdir -p run; chmod 0777 run
if [ "$primary" = none ]; then
    as "$bin/initdb" -D "$folder/data" -U walkback -A trust -N -E UTF8 --locale=C >made.log 2>&1
else
    as "$bin/pg_basebackup" -h 127.0.0.1 -p "$primary" -U walkback -D "$folder/data" -R -N -c fast >made.log 2>&1
fi || { cat made.log; exit 1; }
as "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start \
    -o "-p $port -k $folder/run -c listen_addresses=127.0.0.1 $*" >start.log 2>&1 \
    || { cat start.log log; exit 1; }
echo up
read -r _ || true
as "$bin/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1 || true
rm -rf "$folder"
"#;

impl Server {
    /// A new server with these settings beside the defaults (`["fsync=off"]`).
    ///
    /// # Errors
    /// If PostgreSQL is not installed where Debian puts it, or does not start.
    pub fn start(settings: &[&str]) -> Result<Self, String> {
        Self::start_in(&std::env::temp_dir(), settings)
    }

    /// The same in a folder of its own below this one.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_in(dir: &Path, settings: &[&str]) -> Result<Self, String> {
        Self::up(fresh_folder(dir)?, free_port()?, "none", settings)
    }

    /// A replica of this server, on this port, which streams from it.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn replica(&self, port: u16) -> Result<Self, String> {
        Self::up(fresh_folder(&std::env::temp_dir())?, port, &self.port.to_string(), &[])
    }

    fn up(folder: PathBuf, port: u16, primary: &str, settings: &[&str]) -> Result<Self, String> {
        let bin = installed()?;
        let mut args = vec![folder.clone().into(), port.to_string().into(), bin.into()];
        args.push(primary.into());
        args.extend(settings.iter().map(|setting| OsString::from(format!("-c {setting}"))));
        let guard = Some(Guard::up("PostgreSQL", SCRIPT, &args)?);
        let url = format!("postgres://walkback@127.0.0.1:{port}/postgres");
        Ok(Self { url, folder, port, _guard: guard })
    }

    /// The one server of this process, made when it is needed first; it forgets with its machine, as
    /// what dies in tests is a process.
    ///
    /// # Panics
    /// If there is none.
    #[expect(clippy::expect_used, reason = "testing code reports by panic")]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let given = std::env::var("WALKBACK_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
            if let Some(url) = given {
                return Self { url, folder: PathBuf::new(), port: 0, _guard: None };
            }
            let quick = ["fsync=off", "synchronous_commit=off", "jit=off", "max_connections=400"];
            Self::start(&quick).expect("a PostgreSQL server")
        })
    }

    /// The URL of a new, empty place in it: a schema of its own.
    ///
    /// # Panics
    /// If it cannot be made.
    #[expect(clippy::expect_used, reason = "testing code reports by panic")]
    pub fn place(&self) -> String {
        static PLACES: AtomicU64 = AtomicU64::new(0);
        let nth = PLACES.fetch_add(1, Ordering::SeqCst);
        let random = crate::id::ClaimId::random();
        let schema = format!("t{nth}_{}", hex(&random.as_bytes()[..4]));
        self.tell(&format!("CREATE SCHEMA {schema}")).expect("a schema");
        let mark = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{mark}options=-csearch_path%3D{schema}", self.url)
    }

    /// A store in such a place, ready.
    ///
    /// # Panics
    /// If it cannot be made.
    #[expect(clippy::expect_used, reason = "testing code reports by panic")]
    pub fn store(&self) -> PostgresStore {
        PostgresStore::new(&self.place()).expect("a URL")
    }

    /// Runs SQL by psql; answers what it prints.
    ///
    /// # Errors
    /// What psql says.
    pub fn tell(&self, sql: &str) -> Result<String, String> {
        tell(&self.url, sql)
    }

    /// Has `pg_ctl` do this with the server (`["-m", "fast", "stop"]`, `["start"]`, `["reload"]`).
    ///
    /// # Errors
    /// What it says.
    pub fn control(&self, what: &[&str]) -> Result<(), String> {
        let bin = installed()?;
        let (folder, port) = (self.folder.display(), self.port);
        let options = format!("-p {port} -k {folder}/run -c listen_addresses=127.0.0.1");
        let mut control = Command::new(bin.join("pg_ctl"));
        if rustix::process::getuid().is_root() {
            let owner = std::fs::metadata(self.folder.join("data")).map_err(|e| e.to_string())?;
            control = Command::new("setpriv");
            let (user, group) = (owner.uid(), owner.gid());
            control.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
            control.arg("--clear-groups").arg(bin.join("pg_ctl"));
        }
        control.arg("-D").arg(self.folder.join("data")).arg("-l").arg(self.folder.join("log"));
        control.args(["-w", "-o", &options]).args(what).current_dir(&self.folder);
        // What it starts keeps its outputs, so that they must not be pipes.
        control.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ended = control.status().map_err(|error| error.to_string())?;
        if ended.success() { Ok(()) } else { Err(format!("pg_ctl {what:?}: {ended}")) }
    }

    /// The folder of the server, with `data` and `log` in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the socket, and the port.
    pub fn socket(&self) -> (PathBuf, u16) {
        (self.folder.join("run"), self.port)
    }

    /// The URL of a database in it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// Runs SQL in the database of this URL by psql; answers what it prints.
///
/// # Errors
/// What psql says.
pub fn tell(url: &str, sql: &str) -> Result<String, String> {
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("psql: {error}"))?;
    if let Some(mut input) = psql.stdin.take() {
        input.write_all(sql.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = psql.wait_with_output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The folder with the server's programs: the given one, or that of the newest where Debian puts them.
///
/// # Errors
/// If there is none.
pub fn installed() -> Result<PathBuf, String> {
    if let Some(given) = std::env::var_os("WALKBACK_TEST_POSTGRES_BIN").filter(|it| !it.is_empty())
    {
        return Ok(given.into());
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |entry: &std::fs::DirEntry| {
        let version: u32 = entry.file_name().to_string_lossy().parse().ok()?;
        entry.path().join("bin/initdb").is_file().then_some(version)
    };
    let newest = versions.filter_map(|entry| Some((number(&entry)?, entry.path()))).max();
    newest.map(|(_, path)| path.join("bin")).ok_or_else(|| {
        "PostgreSQL is not installed: expected it in /usr/lib/postgresql, as Debian has it, its \
         programs in WALKBACK_TEST_POSTGRES_BIN, or another server named by WALKBACK_TEST_POSTGRES"
            .to_owned()
    })
}

fn fresh_folder(dir: &Path) -> Result<PathBuf, String> {
    let random = crate::id::ClaimId::random();
    let folder = dir.join(format!("walkback-pg-{}", hex(&random.as_bytes()[..8])));
    std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    folder.canonicalize().map_err(|error| error.to_string())
}

/// A port of this machine on which nobody listens, and which no connection gets by itself: those are from
/// 32768 on.
///
/// # Errors
/// If there is none.
pub fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let [high, low, ..] = *crate::id::ClaimId::random().as_bytes();
        let port = 15_000 + u16::from_be_bytes([high, low]) % 16_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("a hundred ports are taken".to_owned())
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}
