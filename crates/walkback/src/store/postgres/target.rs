//! Which server and database: a URL, filled up from the usual PG* variables. Passwords stay here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::store::postgres::passfile;
use crate::store::postgres::tls::{Trust, connector};

const EXPECTED: &str = "expected `postgres://USER@HOST:PORT/DATABASE`";
/// How long to wait for a server to accept a connection, unless the URL says.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a silent peer counts as alive.
const SILENCE: Duration = Duration::from_secs(30);

/// How to connect, and what to call it in front of people.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// The URL without the password.
    pub(super) name: Arc<str>,
}

impl Target {
    /// Reads `url`; what it does not say is looked up with `variable`.
    ///
    /// # Errors
    /// If something in it, or in a variable, is wrong. The text never holds a password.
    pub(super) fn parse(
        url: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let (plain, mut ssl) = split_ssl(url);
        let plain = variable("PGPORT").map_or(plain.clone(), |port| with_port(&plain, &port));
        let mut config: Config = plain.parse().map_err(|error| told(&error))?;
        fill(&mut config, &variable)?;
        let odd = |host: &Host| matches!(host, Host::Tcp(name) if name.contains(['@', '=', ' ']));
        if config.get_hosts().iter().any(odd) {
            // The name is not repeated: a part of the password may be in it.
            return Err(format!(
                "the host is none; an `@` in a password is written %40: {EXPECTED}"
            ));
        }
        ssl.mode = ssl.mode.or_else(|| variable("PGSSLMODE"));
        ssl.roots = ssl.roots.or_else(|| variable("PGSSLROOTCERT"));
        let trust = match ssl.mode.as_deref() {
            None | Some("prefer" | "allow") => Trust::Anybody,
            Some("disable") => {
                config.ssl_mode(SslMode::Disable);
                Trust::Anybody
            }
            Some(mode @ ("require" | "verify-ca" | "verify-full")) => {
                config.ssl_mode(SslMode::Require);
                match mode {
                    "verify-full" => Trust::Named,
                    "verify-ca" => Trust::Signed,
                    // As libpq: who names a root wants it checked.
                    _ if ssl.roots.is_some() => Trust::Signed,
                    _ => Trust::Anybody,
                }
            }
            Some(mode) => {
                return Err(format!(
                    "`{mode}` is no sslmode: expected disable, prefer, require, verify-ca or verify-full"
                ));
            }
        };
        config.tcp_user_timeout(SILENCE).keepalives_idle(SILENCE);
        if config.get_connect_timeout().is_none() {
            let said = variable("PGCONNECT_TIMEOUT").map(|seconds| {
                seconds
                    .parse()
                    .map_err(|_| format!("PGCONNECT_TIMEOUT `{seconds}`: expected seconds"))
            });
            config.connect_timeout(said.transpose()?.map_or(CONNECT, Duration::from_secs));
        }
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let tls = connector(trust, ssl.roots.as_deref())?;
        let name = name(&config).into();
        Ok(Self { config, tls, name })
    }
}

/// What a connection string's parser says, which is its cause and not itself.
fn told(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    format!("{}: {EXPECTED}", cause.unwrap_or_else(|| error.to_string()))
}

/// The URL with this port, if it names one host and no port: the parser would take the usual one.
fn with_port(url: &str, port: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let tail = host.rsplit_once(']').map_or(host, |(_, tail)| tail);
    if host.is_empty() || tail.contains([':', ',']) {
        return url.to_owned();
    }
    format!("{scheme}://{authority}:{port}{path}")
}

#[derive(Default)]
struct Ssl {
    mode: Option<String>,
    roots: Option<String>,
}

/// The URL without what only we understand, and that.
fn split_ssl(url: &str) -> (String, Ssl) {
    let Some((base, query)) = url.split_once('?') else { return (url.to_owned(), Ssl::default()) };
    let mut ssl = Ssl::default();
    let mut rest = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslmode", mode)) => ssl.mode = Some(mode.to_owned()),
            Some(("sslrootcert", file)) => ssl.roots = Some(file.replace("%2F", "/")),
            _ => rest.push(pair),
        }
    }
    let mark = if rest.is_empty() { "" } else { "?" };
    (format!("{base}{mark}{}", rest.join("&")), ssl)
}

/// Takes from the environment what the URL leaves open.
fn fill(config: &mut Config, variable: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
    if config.get_hosts().is_empty() {
        let hosts = variable("PGHOST").unwrap_or_else(|| "localhost".to_owned());
        hosts.split(',').for_each(|host| {
            config.host(host);
        });
    }
    if config.get_ports().is_empty() {
        for port in variable("PGPORT").iter().flat_map(|ports| ports.split(',')) {
            let port = port.parse().map_err(|_| format!("PGPORT `{port}`: expected a number"))?;
            config.port(port);
        }
    }
    if config.get_user().is_none_or(str::is_empty) {
        let user = variable("PGUSER").or_else(|| variable("USER"));
        config.user(user.ok_or_else(|| format!("no user is named: {EXPECTED}, or PGUSER"))?);
    }
    if config.get_password().is_none()
        && let Some(password) = variable("PGPASSWORD")
    {
        config.password(password);
    }
    if config.get_dbname().is_none()
        && let Some(name) = variable("PGDATABASE")
    {
        config.dbname(name);
    }
    if config.get_password().is_none()
        && let Some(password) = kept_password(config, variable)
    {
        config.password(password);
    }
    if config.get_options().is_none()
        && let Some(options) = variable("PGOPTIONS")
    {
        config.options(options);
    }
    if config.get_application_name().is_none() {
        config.application_name(variable("PGAPPNAME").unwrap_or_else(|| "walkback".to_owned()));
    }
    Ok(())
}

/// What the file of passwords has for the first of the hosts that it knows.
fn kept_password(config: &Config, variable: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let home = || Some(PathBuf::from(variable("HOME")?).join(".pgpass"));
    let file = variable("PGPASSFILE").map(PathBuf::from).or_else(home)?;
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let ports = config.get_ports();
    config.get_hosts().iter().enumerate().find_map(|(at, host)| {
        let host = match host {
            Host::Tcp(host) => host,
            #[cfg(unix)]
            Host::Unix(_) => "localhost",
        };
        let port = ports.get(at).or(ports.first()).copied().unwrap_or(5_432).to_string();
        passfile::password(&file, [host, &port, database, user])
    })
}

fn name(config: &Config) -> String {
    let hosts = config.get_hosts().iter().map(|host| match host {
        Host::Tcp(host) => host.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    });
    let ports: Vec<String> = config.get_ports().iter().map(ToString::to_string).collect();
    let mark = if ports.is_empty() { "" } else { ":" };
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let hosts: Vec<String> = hosts.collect();
    format!("postgres://{user}@{}{mark}{}/{database}", hosts.join(","), ports.join(","))
}

#[cfg(test)]
mod tests {
    use super::Target;

    fn target(url: &str, variables: &[(&str, &str)]) -> Result<Target, String> {
        let variables: Vec<(String, String)> =
            variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Target::parse(url, move |name| {
            variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn a_name_holds_no_password() {
        let named = target("postgres://ada:secret@db.example:6432/sagas?sslmode=disable", &[]);
        assert_eq!(&*named.unwrap().name, "postgres://ada@db.example:6432/sagas");
    }

    #[test]
    fn what_the_url_leaves_open_comes_from_the_environment() {
        let all = [("PGHOST", "h"), ("PGPORT", "7"), ("PGUSER", "u"), ("PGDATABASE", "d")];
        assert_eq!(&*target("postgres://", &all).unwrap().name, "postgres://u@h:7/d");
        let some = target("postgres://x@y/z", &all).unwrap();
        assert_eq!(&*some.name, "postgres://x@y:7/z");
        let with = [("PGPASSWORD", "secret"), ("PGUSER", "u")];
        let secret = target("postgres://h:5/d", &with).unwrap();
        assert_eq!(&*secret.name, "postgres://u@h:5/d");
        assert_eq!(secret.config.get_password(), Some("secret".as_bytes()));
        assert!(!secret.name.contains("secret"));
    }

    #[test]
    fn a_password_that_nobody_says_comes_from_the_file_of_passwords() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".pgpass");
        std::fs::write(&file, "two:7:sagas:ada:kept\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, private).unwrap();
        let (home, named) = (folder.path().display().to_string(), file.display().to_string());
        for variable in [("HOME", home.as_str()), ("PGPASSFILE", named.as_str())] {
            let found = target("postgres://ada@one:5,two:7/sagas", &[variable]).unwrap();
            assert_eq!(found.config.get_password(), Some("kept".as_bytes()), "{variable:?}");
            let said = target("postgres://ada:said@two:7/sagas", &[variable]).unwrap();
            assert_eq!(said.config.get_password(), Some("said".as_bytes()));
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, why) in [
            ("postgres://u:secret@h/d?sslmode=perhaps", "perhaps"),
            ("postgres://u:secret@h:port/d", "expected `postgres://"),
            ("postgres://u:secret@h/d?colour=red", "colour"),
            (
                "postgres://u:secret@h/d?sslmode=verify-full&sslrootcert=/no/such.pem",
                "/no/such.pem",
            ),
            ("postgres://:secret@h/d", "no user"),
            ("postgres://u:se@secret@h/d", "%40"),
        ] {
            let error = target(url, &[]).map(|target| target.name).unwrap_err();
            assert!(error.contains(why), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
