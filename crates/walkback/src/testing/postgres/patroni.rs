//! Servers that Patroni keeps, with etcd, as Debian packages them: one is the primary, and when it is gone another
//! one is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::testing::postgres::{Guard, free_port, fresh_folder, installed, tell};

/// Servers in one cluster.
const NODES: usize = 3;
/// Where Debian puts them.
const PROGRAMS: [&str; 3] = ["/usr/bin/patroni", "/usr/bin/patronictl", "/usr/bin/etcd"];

/// A running cluster. It stops when this is dropped or its process ends.
#[derive(Debug)]
pub struct Patroni {
    folder: PathBuf,
    ports: Vec<u16>,
    synchronous: bool,
    _guard: Guard,
}

/// Brings it up, each node started again whenever it ends, as an init system does, unless it is to be down; and removes
/// it when its input ends.
///
/// Etcd by its second protocol: by the third Patroni 3.0 can lose its key of who acknowledges, and never
/// names anybody again. A `ttl` of 20 s is the shortest that Patroni takes: so long a primary that is gone stays the primary.
/// A replica that is cut off does not come back for 10 s, so that something is lost by a test that wants it.
const SCRIPT: &str = r#"
set -eu
folder=$1 bin=$2 synchronous=$3 etcd=$4 peer=$5; shift 5
cd "$folder"
exec 2>errors.log # where the shell says which job was killed
as=(); user=$(id -un)
if [ "$(id -u)" = 0 ]; then
    user=postgres; id "$user" >/dev/null 2>&1 || user=nobody
    as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups)
fi
mkdir -p run; chmod 0777 run; chown "$user" "$folder" run
"${as[@]}" /usr/bin/etcd --name walkback --data-dir etcd --log-level error --enable-v2 \
    --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "walkback=http://127.0.0.1:$peer" >etcd.log 2>&1 &
coordinator=$!
node() {
    cat >"$1.yml" <<END
scope: walkback
name: node-$1
restapi: {listen: "127.0.0.1:$3", connect_address: "127.0.0.1:$3"}
etcd: {host: "127.0.0.1:$etcd"}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    master_start_timeout: 0
    maximum_lag_on_failover: 1073741824
    synchronous_mode: $synchronous
    postgresql:
      use_pg_rewind: true
      parameters: {wal_retrieve_retry_interval: 10s, max_connections: 100}
  initdb: [{encoding: UTF8}, {locale: C}, data-checksums]
postgresql:
  listen: "127.0.0.1:$2"
  connect_address: "127.0.0.1:$2"
  data_dir: "$folder/$1"
  bin_dir: "$bin"
  pgpass: "$folder/$1.pgpass"
  remove_data_directory_on_diverged_timelines: true
  remove_data_directory_on_rewind_failure: true
  authentication: {superuser: {username: walkback}, replication: {username: replicator}}
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
  parameters: {unix_socket_directories: "$folder/run"}
END
    while :; do
        while [ -e "$1.down" ]; do sleep 0.1; done
        "${as[@]}" /usr/bin/patroni "$1.yml" >>"$1.log" 2>&1 &
        echo $! >"$1.pid"
        wait $! || true
        sleep 0.2
    done
}
keepers=()
for nth in 0 1 2; do
    node "$nth" "$1" "$2" & keepers+=($!); shift 2
done
echo up
read -r _ || true
kill -9 "${keepers[@]}" || true
for nth in 0 1 2; do
    kill -9 "$(cat "$nth.pid")" "$(head -1 "$nth/postmaster.pid")" || true
done
kill -9 "$coordinator" || true
sleep 1
rm -rf "$folder"
"#;

impl Patroni {
    /// Whether Patroni and etcd are installed.
    pub fn is_installed() -> bool {
        PROGRAMS.iter().all(|program| Path::new(program).is_file())
    }

    /// A new cluster. In a synchronous one a commit is acknowledged when a replica has it too.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(synchronous: bool) -> Result<Self, String> {
        let folder = fresh_folder(&std::env::temp_dir())?;
        let etcd = [free_port()?, free_port()?];
        let ports = (0..NODES).map(|_| free_port()).collect::<Result<Vec<_>, _>>()?;
        let mut args: Vec<OsString> = vec![
            folder.clone().into(),
            installed()?.into(),
            synchronous.to_string().into(),
            etcd[0].to_string().into(),
            etcd[1].to_string().into(),
        ];
        for port in &ports {
            args.extend([port.to_string().into(), free_port()?.to_string().into()]);
        }
        let guard = Guard::up("Patroni", SCRIPT, &args)?;
        Ok(Self { folder, ports, synchronous, _guard: guard })
    }

    /// The URL of whichever of them is the primary.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("postgres://walkback@{}/postgres", hosts.join(","))
    }

    /// Runs SQL on this node.
    ///
    /// # Errors
    /// What psql says.
    pub fn tell(&self, node: usize, sql: &str) -> Result<String, String> {
        let port = self.ports[node];
        tell(&format!("postgres://walkback@127.0.0.1:{port}/postgres?connect_timeout=2"), sql)
    }

    /// The node that takes writes, if there is just one of them.
    pub fn primary(&self) -> Option<usize> {
        let writes = |node: &usize| {
            let said = self.tell(*node, "SELECT NOT pg_is_in_recovery()");
            said.is_ok_and(|said| said.trim() == "t")
        };
        let primaries: Vec<_> = (0..NODES).filter(writes).collect();
        if let [primary] = *primaries { Some(primary) } else { None }
    }

    /// The primary, if every other node follows it and, in a synchronous cluster, Patroni knows of one that
    /// acknowledges: without, it promotes none.
    pub fn settled(&self) -> Option<usize> {
        let primary = self.primary()?;
        let sql = "SELECT count(*) FROM pg_stat_replication \
                   WHERE state = 'streaming' AND application_name LIKE 'node-%'";
        let follow = self.tell(primary, sql).ok()?;
        let promotes = || {
            let mut list = Command::new(PROGRAMS[1]);
            list.args(["-c", "0.yml", "list", "-f", "tsv"]).current_dir(&self.folder);
            list.output()
                .is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("Sync Standby"))
        };
        let settled = follow.trim() == (NODES - 1).to_string() && (!self.synchronous || promotes());
        settled.then_some(primary)
    }

    /// The other nodes get nothing from the primary any more, for almost ten seconds.
    ///
    /// # Errors
    /// If one of them is not up.
    pub fn cut_off(&self, primary: usize) -> Result<(), String> {
        // The first one to end is replaced at once, the second one when the interval is over.
        let script = "while pkill -P $server -f walreceiver; do sleep 0.3; done";
        (0..NODES).filter(|node| *node != primary).try_for_each(|node| self.run(node, script))
    }

    /// The machine of this node dies.
    ///
    /// # Errors
    /// If it is not up.
    pub fn kill(&self, node: usize) -> Result<(), String> {
        std::fs::write(self.folder.join(format!("{node}.down")), "").map_err(|e| e.to_string())?;
        self.signal(node, "STOP")?;
        self.signal(node, "KILL")
    }

    /// It is up again.
    pub fn boot(&self, node: usize) {
        std::fs::remove_file(self.folder.join(format!("{node}.down"))).ok();
    }

    /// Only the server of this node dies.
    ///
    /// # Errors
    /// If it is not up.
    pub fn crash(&self, node: usize) -> Result<(), String> {
        self.run(node, "kill -9 $server")
    }

    /// Every process of this node stands still (`STOP`), or goes on (`CONT`).
    ///
    /// # Errors
    /// If it is not up.
    pub fn signal(&self, node: usize, signal: &str) -> Result<(), String> {
        self.run(node, &format!("kill -{signal} $patroni $server $(pgrep -P $server)"))
    }

    fn run(&self, node: usize, script: &str) -> Result<(), String> {
        let files = format!("patroni=$(cat {node}.pid); server=$(head -1 {node}/postmaster.pid)");
        let ran = Command::new("bash")
            .args(["-euc", &format!("{files}; {script}")])
            .current_dir(&self.folder)
            .output()
            .map_err(|error| format!("bash: {error}"))?;
        if ran.status.success() {
            return Ok(());
        }
        Err(format!("node {node}: {script}: {}", String::from_utf8_lossy(&ran.stderr)))
    }
}
