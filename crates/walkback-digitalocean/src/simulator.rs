//! A simulated account: the same paths, answers, delays and refusals as DigitalOcean's, as far as this
//! crate and its tests need them, and everything that can go wrong on request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use walkback::clock::Clock;

use crate::client::{Answer, Request, SendError, Sent, Transport};

mod account;
mod call;
mod catalogue;
mod domains;
mod droplets;
mod firewalls;
mod keys;
mod limits;
mod projects;
mod reserved_ips;
mod routes;
mod tags;
mod volumes;
mod vpcs;
mod world;

use call::Call;
use limits::Limits;
use world::World;

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFault {
    /// It never arrives.
    NotSent,
    /// It is done, and the answer is lost.
    Lost,
    /// It is not done, and the API says that it failed.
    Failed,
    /// It is done, and the API says that it failed.
    DoneAndFailed,
    /// It is one too many.
    RateLimited,
    /// It is refused, for good.
    Refused,
}

impl CallFault {
    /// The whole alphabet.
    pub const ALL: [Self; 6] = [
        Self::NotSent,
        Self::Lost,
        Self::Failed,
        Self::DoneAndFailed,
        Self::RateLimited,
        Self::Refused,
    ];
}

/// How the account behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much faster than real its clock runs.
    pub speed: u32,
    /// How long a call takes.
    pub latency: Duration,
    /// Droplets that the account may have.
    pub droplet_limit: usize,
    /// How long lists do not show what is new, in simulated time.
    pub lists_lag: Duration,
    /// So many of the next actions end `errored`.
    pub errored_actions: u32,
    /// So many of the next droplets vanish after they were accepted.
    pub vanishing_droplets: u32,
    /// What goes wrong with the call of this number, counted from one.
    pub fault: Option<(u64, CallFault)>,
    /// Whether the API's rate limits are in force.
    pub rate_limits: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: 1,
            latency: Duration::ZERO,
            droplet_limit: 100,
            lists_lag: Duration::ZERO,
            errored_actions: 0,
            vanishing_droplets: 0,
            fault: None,
            rate_limits: true,
        }
    }
}

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
}

impl Simulator {
    /// An empty account, by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::of(clock, World::default())
    }

    /// The account that [`Simulator::save`] made this text of.
    ///
    /// # Errors
    /// If the text is none.
    pub fn load(clock: Arc<dyn Clock>, text: &str) -> Result<Self, String> {
        let world = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self::of(clock, world))
    }

    fn of(clock: Arc<dyn Clock>, world: World) -> Self {
        let state = State {
            world,
            settings: Settings::default(),
            limits: Limits::default(),
            calls: 0,
            refused: 0,
            struck: false,
        };
        Self(Arc::new(Inner { clock, state: Mutex::new(state) }))
    }

    /// Everything there is, as a text.
    ///
    /// # Errors
    /// If it has no form as JSON, which would be a bug.
    pub fn save(&self) -> Result<String, String> {
        serde_json::to_string(&self.lock().world).map_err(|error| error.to_string())
    }

    /// Changes how the account behaves.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.lock().settings);
    }

    /// The account as this token sees it; each has rate limits of its own.
    pub fn token(&self, token: &str) -> Arc<dyn Transport> {
        Arc::new(Token { cloud: self.clone(), token: token.to_owned() })
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
        let speed = state.settings.speed;
        let now = state.world.time(now, speed);
        state.world.advance(now);
        state.world.things()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a call, now.
    fn answer(&self, token: &str, request: &Request) -> Result<Answer, SendError> {
        let real = self.0.clock.now().as_micros() / 1_000;
        let mut state = self.lock();
        let State { world, settings, limits, calls, refused, struck } = &mut *state;
        let now = world.time(real, settings.speed);
        world.advance(now);
        *calls += 1;
        let request_id = Some(format!("sim-{calls}"));
        let fault = settings.fault.filter(|(nth, _)| nth == calls).map(|(_, fault)| fault);
        *struck |= fault.is_some();
        match fault {
            Some(CallFault::NotSent) => {
                return Err(SendError::NotSent("connection refused".to_owned()));
            }
            Some(CallFault::Failed) => return Ok(call::failed(request_id)),
            Some(CallFault::RateLimited) => return Ok(call::rate_limited(10, request_id)),
            Some(CallFault::Refused) => {
                let (status, body) = call::unprocessable("not today").said();
                return Ok(Answer { status, body, request_id, ..Answer::default() });
            }
            Some(CallFault::Lost | CallFault::DoneAndFailed) | None => {}
        }
        let counted = limits.count(token, request, now);
        let (remaining, reset) = match counted {
            Err(wait) if settings.rate_limits => {
                *refused += 1;
                return Ok(call::rate_limited(wait, request_id));
            }
            Err(_) => (0, 0),
            Ok(counted) => counted,
        };
        let call = Call::new(request, now, settings);
        let said = routes::answer(world, &call, settings);
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

/// The account as one token sees it.
struct Token {
    cloud: Simulator,
    token: String,
}

impl Transport for Token {
    fn send(&self, request: Request) -> Sent<'_> {
        let half = self.cloud.lock().settings.latency / 2;
        let clock = Arc::clone(&self.cloud.0.clock);
        Box::pin(async move {
            if !half.is_zero() {
                clock.sleep(half).await;
            }
            let answer = self.cloud.answer(&self.token, &request);
            if !half.is_zero() {
                clock.sleep(half).await;
            }
            answer
        })
    }
}
