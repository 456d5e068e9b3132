//! The workflows of a hosting company, each a list of steps.

use walkback::Registry;

use crate::client::Client;
use crate::steps;

mod offboard;
mod provision;
mod suspend;

pub use offboard::Offboard;
pub use provision::{Provision, Quote};
pub use suspend::{ResumeService, Suspend};

/// Knows every step and every saga of this crate, on this account.
///
/// ```
/// use std::sync::Arc;
/// use walkback::{Engine, MemoryStore, Registry, clock::SystemClock};
/// use walkback_digitalocean::{Client, Simulator, sagas};
/// let cloud = Simulator::new(Arc::new(SystemClock)).token("a-token");
/// let client = Client::over(cloud, Arc::new(SystemClock));
/// let registry = sagas::add(Registry::with_builtins(), &client);
/// assert!(Engine::new(registry, MemoryStore::new()).is_ok());
/// ```
pub fn add(registry: Registry, cloud: &Client) -> Registry {
    steps::add(registry, cloud)
        .saga::<Provision>()
        .saga::<Suspend>()
        .saga::<ResumeService>()
        .saga::<Offboard>()
}
