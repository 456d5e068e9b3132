//! How a simulated account behaves and what shall go wrong with it: its knobs, the same for tests, for flags
//! and over HTTP.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::Request;

/// How the account behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How much faster than real its clock runs.
    pub speed: u32,
    /// How long a call takes.
    pub latency: Duration,
    /// Droplets that the account may have.
    pub droplet_limit: usize,
    /// Volumes that the account may have.
    pub volume_limit: usize,
    /// Reserved addresses that the account may have.
    pub reserved_ip_limit: usize,
    /// How long lists do not show what is new, in simulated time.
    pub lists_lag: Duration,
    /// How long what is new is not found by its id, in simulated time.
    pub reads_lag: Duration,
    /// So many of the next actions end `errored`.
    pub errored_actions: u32,
    /// So many of the next droplets vanish after they were accepted.
    pub vanishing_droplets: u32,
    /// The status that every site answers with when it is visited.
    pub site_status: u16,
    /// What goes wrong, and with which calls.
    pub planted: Vec<Planted>,
    /// Whether the API's rate limits are in force.
    pub rate_limits: bool,
    /// Simulated seconds that things take, where it is not [`Takes::seconds`].
    pub delays: BTreeMap<Takes, u32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speed: 1,
            latency: Duration::ZERO,
            droplet_limit: 100,
            volume_limit: 100,
            reserved_ip_limit: 50,
            lists_lag: Duration::ZERO,
            reads_lag: Duration::ZERO,
            errored_actions: 0,
            vanishing_droplets: 0,
            site_status: 200,
            planted: Vec::new(),
            rate_limits: true,
            delays: BTreeMap::new(),
        }
    }
}

/// A setting by its name, as a flag (`droplet_limit=3`) or a member of what is sent to `/_sim/set`
/// (`{"droplet_limit": 3}`) has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Knob {
    /// See [`Settings::speed`].
    Speed(NonZeroU32),
    /// See [`Settings::latency`]; real milliseconds.
    LatencyMs(u32),
    /// See [`Settings::droplet_limit`].
    DropletLimit(usize),
    /// See [`Settings::volume_limit`].
    VolumeLimit(usize),
    /// See [`Settings::reserved_ip_limit`].
    ReservedIpLimit(usize),
    /// See [`Settings::lists_lag`]; simulated seconds.
    ListsLagSeconds(u32),
    /// See [`Settings::reads_lag`]; simulated seconds.
    ReadsLagSeconds(u32),
    /// See [`Settings::errored_actions`].
    ErroredActions(u32),
    /// See [`Settings::vanishing_droplets`].
    VanishingDroplets(u32),
    /// See [`Settings::site_status`].
    SiteStatus(u16),
    /// See [`Settings::rate_limits`].
    RateLimits(bool),
    /// See [`Settings::delays`]: `{"droplet": 300}`.
    DelaySeconds(BTreeMap<Takes, u32>),
    /// One more of [`Settings::planted`], as [`Planted`] is written.
    FailNext(Planted),
}

impl Knob {
    fn of(name: &str, value: &Value) -> Result<Self, String> {
        let knob = serde_json::from_value(json!({name: value}));
        knob.map_err(|error| format!("`{name}`: {error}"))
    }
}

impl FromStr for Knob {
    type Err = String;

    /// `NAME=VALUE`, the value as JSON or as plain text.
    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once('=') else {
            return Err("expected NAME=VALUE".to_owned());
        };
        Self::of(name, &serde_json::from_str(value).unwrap_or_else(|_| json!(value)))
    }
}

/// The knobs that an object names, or everything that is wrong with them.
pub(super) fn read(change: &Value) -> Result<Vec<Knob>, String> {
    let Some(named) = change.as_object() else {
        return Err(format!("expected an object of knobs, found {change}"));
    };
    let (mut knobs, mut wrong) = (Vec::new(), Vec::new());
    for (name, value) in named {
        match Knob::of(name, value) {
            Ok(knob) => knobs.push(knob),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(knobs) } else { Err(wrong.join("; ")) }
}

impl Settings {
    pub(super) fn turn(&mut self, knob: Knob) {
        match knob {
            Knob::Speed(times) => self.speed = times.get(),
            Knob::LatencyMs(millis) => self.latency = Duration::from_millis(millis.into()),
            Knob::DropletLimit(limit) => self.droplet_limit = limit,
            Knob::VolumeLimit(limit) => self.volume_limit = limit,
            Knob::ReservedIpLimit(limit) => self.reserved_ip_limit = limit,
            Knob::ListsLagSeconds(lag) => self.lists_lag = Duration::from_secs(lag.into()),
            Knob::ReadsLagSeconds(lag) => self.reads_lag = Duration::from_secs(lag.into()),
            Knob::ErroredActions(count) => self.errored_actions = count,
            Knob::VanishingDroplets(count) => self.vanishing_droplets = count,
            Knob::SiteStatus(status) => self.site_status = status,
            Knob::RateLimits(on) => self.rate_limits = on,
            Knob::DelaySeconds(delays) => self.delays.extend(delays),
            Knob::FailNext(planted) => self.planted.push(planted),
        }
    }

    /// What goes wrong with this call.
    pub(super) fn strike(&mut self, nth: u64, request: &Request) -> Option<CallFault> {
        let at = self.planted.iter().position(|planted| planted.call.is(nth, request))?;
        let planted = self.planted.get_mut(at)?;
        let fault = planted.fault;
        planted.times = planted.times.saturating_sub(1);
        if planted.times == 0 {
            self.planted.remove(at);
        }
        fault
    }
}

/// Something that takes simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takes {
    /// An app, until it is deployed.
    App,
    /// A reserved IP, until it points elsewhere.
    Assign,
    /// A volume, until it is attached, detached or larger.
    Attach,
    /// A certificate, until it is verified.
    Certificate,
    /// A database cluster, until it is online.
    Database,
    /// A deleted one, until its name and place are free.
    DatabaseGone,
    /// A droplet, until it is active.
    Droplet,
    /// A deleted one, until it is gone.
    DropletGone,
    /// A firewall, until it is in force.
    Firewall,
    /// A load balancer, until it is active.
    LoadBalancer,
    /// One, until it serves what it was changed to.
    LoadBalancerChange,
    /// A deleted one, until its name and place are free.
    LoadBalancerGone,
    /// An action of a droplet, such as switching it off.
    Power,
    /// A snapshot of a droplet.
    Snapshot,
    /// A droplet that vanishes, until it does.
    Vanishing,
}

impl Takes {
    /// Simulated seconds, if nothing else is said.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Vanishing => 1,
            Self::Firewall => 3,
            Self::Assign | Self::Attach => 5,
            Self::DropletGone => 8,
            Self::LoadBalancerChange | Self::LoadBalancerGone | Self::Power => 10,
            Self::Droplet => 30,
            Self::Certificate => 40,
            Self::App | Self::DatabaseGone | Self::LoadBalancer => 60,
            Self::Snapshot => 90,
            Self::Database => 240,
        }
    }
}

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
    /// It is not done, and this is the status of the answer.
    Status(u16),
}

impl CallFault {
    /// The whole alphabet, beside the statuses that it has already.
    pub const ALL: [Self; 6] = [
        Self::NotSent,
        Self::Lost,
        Self::Failed,
        Self::DoneAndFailed,
        Self::RateLimited,
        Self::Refused,
    ];

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "not_sent" => Self::NotSent,
            "lost" => Self::Lost,
            "failed" => Self::Failed,
            "done_and_failed" => Self::DoneAndFailed,
            "rate_limited" | "429" => Self::RateLimited,
            "refused" => Self::Refused,
            status => {
                Self::Status(status.parse().ok().filter(|status| (400..600).contains(status))?)
            }
        })
    }
}

/// A fault, and the calls that it strikes. Written as `FAULT [xTIMES] [METHOD PATH]`: `lost POST /v2/droplets`,
/// `503 x3`, `refused GET /v2/droplets/*`, where `*` is any one part of the path. `ok x2 POST /v2/droplets` lets
/// two such calls pass before what is planted after it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Planted {
    call: Struck,
    fault: Option<CallFault>,
    times: u32,
}

impl Planted {
    /// It strikes that call, once.
    pub const fn new(call: Struck, fault: CallFault) -> Self {
        Self { call, fault: Some(fault), times: 1 }
    }
}

impl FromStr for Planted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected such as `lost POST /v2/droplets`, `503 x3` or `refused GET /v2/droplets/*`, found \
                 `{text}`: one of not_sent, lost, failed, done_and_failed, rate_limited, refused, ok or a status \
                 from 400 to 599; how often, if not once; which call, if not any"
            )
        };
        let mut words = text.split_whitespace().peekable();
        let fault = match words.next() {
            Some("ok") => None,
            fault => Some(fault.and_then(CallFault::named).ok_or_else(expected)?),
        };
        let times = words.next_if(|word| word.starts_with('x'));
        let times =
            times.map_or(Ok(NonZeroU32::MIN), |times| times.trim_start_matches('x').parse());
        let times = times.map_err(|_| expected())?.get();
        let call = match (words.next(), words.next(), words.next()) {
            (None, ..) => Struck::Any,
            (Some(method @ ("GET" | "POST" | "PUT" | "PATCH" | "DELETE")), Some(path), None)
                if path.starts_with("/v2/") =>
            {
                Struck::Next(format!("{method} {path}"))
            }
            _ => return Err(expected()),
        };
        Ok(Self { call, fault, times })
    }
}

impl TryFrom<Value> for Planted {
    type Error = String;

    /// A status alone is a number to JSON.
    fn try_from(value: Value) -> Result<Self, String> {
        value.as_str().map_or_else(|| value.to_string().parse(), str::parse)
    }
}

/// Which call a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Struck {
    /// The next one.
    Any,
    /// That of this number, counted from one.
    Nth(u64),
    /// The next of this method and path: `POST /v2/droplets`, `GET /v2/droplets/*`.
    Next(String),
}

impl Struck {
    fn is(&self, nth: u64, request: &Request) -> bool {
        match self {
            Self::Any => true,
            Self::Nth(number) => *number == nth,
            Self::Next(call) => {
                let path = request.path.split('?').next().unwrap_or_default();
                let made = format!("{} {path}", request.method);
                let alike = |(asked, made): (&str, &str)| asked == "*" || asked == made;
                let (asked, made) = (call.split('/'), made.split('/'));
                asked.clone().count() == made.clone().count() && asked.zip(made).all(alike)
            }
        }
    }
}
