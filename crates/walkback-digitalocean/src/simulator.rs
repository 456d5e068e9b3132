//! A simulated account: the same paths, answers, delays and refusals as DigitalOcean's, as far as this
//! crate and its tests need them, and everything that can go wrong on request.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tracing::warn;
use walkback::clock::Clock;

use crate::client::{Answer, Method, Page, Request, SendError, Sent, Transport, Visited};

mod account;
mod apps;
mod call;
mod catalogue;
mod certificates;
mod databases;
mod domains;
mod droplets;
mod firewalls;
mod images;
mod keys;
mod knobs;
mod limits;
mod load_balancers;
mod page;
mod projects;
mod reserved_ips;
mod routes;
mod server;
mod sites;
mod snapshots;
mod spaces;
mod tags;
mod volumes;
mod vpcs;
mod world;

pub use knobs::{CallFault, Knob, Planted, Settings, Struck, Takes};
pub use server::Server;

use call::Call;
use limits::Limits;
use world::World;

/// A simulated account. Cheap to clone; clones are the same account.
///
/// ```
/// use std::sync::Arc;
/// use walkback::clock::SystemClock;
/// use walkback_digitalocean::{Client, Simulator};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let cloud = Simulator::new(Arc::new(SystemClock));
/// let client = Client::over(cloud.token("a-token"), Arc::new(SystemClock));
/// let account: serde_json::Value = client.get("/v2/account").await.unwrap();
/// assert_eq!(account["account"]["status"], "active");
/// # }
/// ```
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    world: World,
    settings: Settings,
    limits: Limits,
    calls: u64,
    /// Calls that were one too many.
    refused: u64,
    struck: bool,
    /// Where the account is kept.
    file: Option<PathBuf>,
}

impl Simulator {
    /// An empty account, by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::of(clock, World::default())
    }

    /// The account that is kept in this file, or will be: every change is there before it is answered.
    ///
    /// # Errors
    /// If what is in the file is none.
    pub fn kept_in(clock: Arc<dyn Clock>, file: &Path) -> Result<Self, String> {
        let wrong = |error: &dyn std::fmt::Display| format!("`{}`: {error}", file.display());
        let world = match std::fs::read_to_string(file) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => World::default(),
            Err(error) => return Err(wrong(&error)),
        };
        let cloud = Self::of(clock, world);
        cloud.lock().file = Some(file.to_owned());
        Ok(cloud)
    }

    fn of(clock: Arc<dyn Clock>, world: World) -> Self {
        let state = State {
            world,
            settings: Settings::default(),
            limits: Limits::default(),
            calls: 0,
            refused: 0,
            struck: false,
            file: None,
        };
        Self(Arc::new(Inner { clock, state: Mutex::new(state) }))
    }

    /// Changes how the account behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// Turns a knob.
    pub fn turn(&self, knob: Knob) {
        self.lock().settings.turn(knob);
    }

    /// Turns every knob that this object names: `{"droplet_limit": 3}`; see [`Knob`].
    ///
    /// # Errors
    /// Every one that is none, or has a value that it cannot have. Nothing is changed then.
    pub fn change(&self, change: &Value) -> Result<(), String> {
        knobs::read(change)?.into_iter().for_each(|knob| self.turn(knob));
        Ok(())
    }

    /// The account as this token sees it; each has rate limits of its own.
    pub fn token(&self, token: &str) -> Arc<dyn Transport> {
        Arc::new(Access { cloud: self.clone(), token: token.to_owned(), reads_only: false })
    }

    /// The same for a token that may read, and nothing else.
    pub fn read_only_token(&self, token: &str) -> Arc<dyn Transport> {
        Arc::new(Access { cloud: self.clone(), token: token.to_owned(), reads_only: true })
    }

    /// How much faster than real its clock runs.
    pub fn speed(&self) -> u32 {
        self.lock().settings.speed
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Calls that were one too many.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// Whether the fault of the settings has struck.
    pub fn struck(&self) -> bool {
        self.lock().struck
    }

    /// Everything there is by now, by kind.
    pub fn things(&self) -> BTreeMap<String, Vec<Value>> {
        let now = self.0.clock.now().as_micros() / 1_000;
        let mut state = self.lock();
        let State { world, settings, file, .. } = &mut *state;
        let now = world.time(now, settings.speed);
        if let Err(error) = pass(world, now, file.as_deref()) {
            warn!(%error, "the simulated account cannot be kept");
        }
        world.things()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the API calls a request that comes no further.
    fn next_request(&self) -> String {
        let mut state = self.lock();
        state.calls += 1;
        format!("sim-{}", state.calls)
    }

    /// The answer to whoever has no token of the account.
    fn turned_away(&self) -> Answer {
        call::unauthorized(self.next_request())
    }

    /// What a site answers to a visitor.
    fn visited(&self, page: &Page) -> Result<u16, String> {
        self.things();
        let state = self.lock();
        sites::answer(&state.world, page, state.settings.site_status)
    }

    /// Answers a call, now.
    fn answer(&self, token: &str, request: &Request) -> Result<Answer, SendError> {
        let real = self.0.clock.now().as_micros() / 1_000;
        let mut state = self.lock();
        let State { world, settings, limits, calls, refused, struck, file } = &mut *state;
        let now = world.time(real, settings.speed);
        let unknown = |error: std::io::Error| SendError::Unknown(error.to_string());
        pass(world, now, file.as_deref()).map_err(unknown)?;
        *calls += 1;
        let request_id = Some(format!("sim-{calls}"));
        let fault = settings.strike(*calls, request);
        *struck |= fault.is_some();
        match fault {
            Some(CallFault::NotSent) => {
                return Err(SendError::NotSent("connection refused".to_owned()));
            }
            Some(CallFault::Failed) => return Ok(call::failed(request_id)),
            Some(CallFault::RateLimited) => return Ok(call::rate_limited(10, now, request_id)),
            Some(CallFault::Refused) => {
                return Ok(call::refused(422, request_id));
            }
            Some(CallFault::Status(status)) => return Ok(call::refused(status, request_id)),
            Some(CallFault::Lost | CallFault::DoneAndFailed) | None => {}
        }
        let counted =
            if settings.rate_limits { limits.count(token, request, now) } else { Ok((5_000, 0)) };
        let (remaining, reset) = match counted {
            Err(wait) => {
                *refused += 1;
                return Ok(call::rate_limited(wait, now, request_id));
            }
            Ok(counted) => counted,
        };
        let call = Call::new(request, now, settings);
        let said = routes::answer(world, &call, settings);
        if let (Some(file), true) = (file, request.method != Method::Get) {
            keep(world, file).map_err(unknown)?;
        }
        match fault {
            Some(CallFault::Lost) => return Err(SendError::Unknown("connection reset".to_owned())),
            Some(CallFault::DoneAndFailed) => return Ok(call::failed(request_id)),
            _ => {}
        }
        let (status, body) = said.unwrap_or_else(call::Refusal::said);
        let (remaining, reset) = (Some(remaining), Some(reset));
        Ok(Answer { status, body, remaining, reset, retry_after: None, request_id })
    }
}

/// Lets time pass. What has happened meanwhile is kept, or it would happen again, otherwise, to whoever takes
/// the file up next.
fn pass(world: &mut World, now: i64, file: Option<&Path>) -> std::io::Result<()> {
    let happened = world.advance(now);
    file.filter(|_| happened).map_or(Ok(()), |file| keep(world, file))
}

/// Puts the account into its file, whole or not at all.
fn keep(world: &World, file: &Path) -> std::io::Result<()> {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, serde_json::to_vec(world)?)?;
    std::fs::rename(fresh, file)
}

/// The account as one token sees it.
struct Access {
    cloud: Simulator,
    token: String,
    reads_only: bool,
}

impl Transport for Access {
    fn send(&self, request: Request) -> Sent<'_> {
        let half = self.cloud.lock().settings.latency / 2;
        let clock = Arc::clone(&self.cloud.0.clock);
        Box::pin(async move {
            if !half.is_zero() {
                clock.sleep(half).await;
            }
            let answer = if self.reads_only && request.method != Method::Get {
                Ok(call::forbidden(self.cloud.next_request()))
            } else {
                self.cloud.answer(&self.token, &request)
            };
            if !half.is_zero() {
                clock.sleep(half).await;
            }
            answer
        })
    }

    fn visit<'a>(&'a self, page: &'a Page) -> Visited<'a> {
        Box::pin(std::future::ready(self.cloud.visited(page)))
    }

    fn account(&self) -> Option<String> {
        Some(format!("simulated:{}", self.token))
    }
}
