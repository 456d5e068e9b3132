//! Which store, and opening it.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use walkback::store::{PostgresStore, StoreError};
use walkback::{Engine, MemoryStore, Registry, SqliteStore};

use crate::exit::Exit;
use crate::failure::Failure;

/// The store of whoever names none.
const DEFAULT: &str = "walkback.db";

/// Where sagas are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process, and gone with it.
    Memory,
    /// In a file.
    Sqlite(PathBuf),
    /// On a server.
    Postgres(Url),
}

impl Place {
    /// A file that somebody has named is there. One that nobody has named may yet come to be.
    ///
    /// # Errors
    /// If it is not: a mistyped name must not look like a store in which nothing is, nor make one.
    pub(crate) fn must_be_there(&self) -> Result<(), Failure> {
        match self {
            Self::Sqlite(path) if path != Path::new(DEFAULT) && !path.exists() => {
                Err(Failure::new(
                    Exit::Store,
                    format!(
                        "there is no store `{}`: expected the file of one; `walkback run`, `start` and `work` \
                     make it",
                        path.display()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A URL, which may hold a password, and what people may see of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    secret: String,
    shown: String,
}

impl Url {
    /// The store there; nothing is connected yet.
    ///
    /// # Errors
    /// If something in it is wrong.
    pub(crate) fn store(&self) -> Result<PostgresStore, StoreError> {
        PostgresStore::new(&self.secret)
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The settings that a file may have.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    store: Option<String>,
}

/// The store of `flag` (or the environment), of a config file, or the default.
///
/// # Errors
/// If its name or the config file is wrong.
pub(crate) fn choose(flag: Option<&str>) -> Result<Place, Failure> {
    if let Some(text) = flag.filter(|text| !text.is_empty()) {
        return place(text).map_err(|why| Failure::new(Exit::Usage, why));
    }
    for file in config_files() {
        if let Some(place) = of_config(&file)? {
            return Ok(place);
        }
    }
    Ok(Place::Sqlite(PathBuf::from(DEFAULT)))
}

/// The engine over it, knowing these steps and kinds; whether a worker of it listens to hints.
///
/// # Errors
/// If the store cannot be used.
pub(crate) fn open(place: &Place, registry: Registry, listens: bool) -> Result<Engine, Failure> {
    Ok(match place {
        Place::Memory => Engine::new(registry, MemoryStore::new())?,
        Place::Sqlite(path) => Engine::new(registry, SqliteStore::open(path)?)?,
        Place::Postgres(url) => {
            let store = url.store()?;
            if !listens {
                store.no_listen();
            }
            Engine::new(registry, store)?
        }
    })
}

fn place(text: &str) -> Result<Place, String> {
    const EXPECTED: &str = "expected `sqlite:PATH`, `postgres://USER@HOST/DATABASE` or `memory:`";
    match text.split_once(':') {
        Some(("memory", "")) => Ok(Place::Memory),
        Some(("sqlite", "")) => Err(format!("store `{text}` names no file: {EXPECTED}")),
        Some(("sqlite", path)) => Ok(Place::Sqlite(PathBuf::from(path))),
        Some(("postgres" | "postgresql", _)) => postgres(text),
        Some((scheme, _)) => Err(format!("`{scheme}:` is no kind of store: {EXPECTED}")),
        None => Err(format!("`{text}` is no store: {EXPECTED}; did you mean `sqlite:{text}`?")),
    }
}

/// What the text says is checked, and never shown: it may hold a password.
fn postgres(text: &str) -> Result<Place, String> {
    let store = PostgresStore::new(text).map_err(|error| match error {
        StoreError::Unusable { why, .. } => format!("store `postgres:`: {why}"),
        other => other.to_string(),
    })?;
    Ok(Place::Postgres(Url { secret: text.to_owned(), shown: store.place().to_owned() }))
}

fn config_files() -> Vec<PathBuf> {
    let dir = |name: &str| std::env::var_os(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let home = || dir("HOME").map(|home| home.join(".config"));
    let own = dir("XDG_CONFIG_HOME").or_else(home).map(|dir| dir.join("walkback/config.toml"));
    [PathBuf::from("walkback.toml")].into_iter().chain(own).collect()
}

/// The store that a config file names; a relative path is meant from the file.
fn of_config(file: &Path) -> Result<Option<Place>, Failure> {
    let wrong =
        |why: String| Failure::new(Exit::Usage, format!("config file `{}`: {why}", file.display()));
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let config: Config = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let Some(store) = config.store else { return Ok(None) };
    let dir = file.parent().unwrap_or_else(|| Path::new(""));
    Ok(Some(match place(&store).map_err(wrong)? {
        Place::Sqlite(path) => Place::Sqlite(dir.join(path)),
        other => other,
    }))
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown),
        }
    }
}
