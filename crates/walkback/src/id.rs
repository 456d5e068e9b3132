//! Names of runs and claims, and the keys under which steps act on the outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::plan::StepIdx;

/// The id of a run: a UUIDv7, so that ids sort by the time of their making.
///
/// ```
/// let id = walkback::SagaId::new();
/// assert_eq!(id.to_string().parse(), Ok(id));
/// assert!("droplet-7".parse::<walkback::SagaId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SagaId(Uuid);

impl SagaId {
    /// A new id, greater than every one that this process made before.
    #[expect(clippy::new_without_default, reason = "two defaults would differ")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id's 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no saga id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no saga id: expected a UUID as `walkback list` shows them")]
pub struct BadSagaId(String);

impl FromStr for SagaId {
    type Err = BadSagaId;

    fn from_str(text: &str) -> Result<Self, BadSagaId> {
        Uuid::parse_str(text).map(Self).map_err(|_| BadSagaId(text.to_owned()))
    }
}

/// What makes a claim one of a kind even if a failover hands a counter out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimId([u8; 16]);

impl ClaimId {
    /// Stands in the rows of those who write without a claim: operators and signals.
    pub const NONE: Self = Self([0; 16]);

    /// A random one.
    pub fn random() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// Its 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The claim id of these 16 bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

/// Which of a step's bodies a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// `execute`.
    Execute,
    /// `probe`.
    Probe,
    /// `compensate`.
    Compensate,
}

impl Phase {
    /// The name that programs and effect records use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Execute => "execute",
            Self::Probe => "probe",
            Self::Compensate => "compensate",
        }
    }
}

/// The idempotency key of one body of a step: H(run, step, phase, round), 32 characters of
/// `[0-9a-f]`, the same for every attempt on every machine (promise I9, rule S12).
pub(crate) fn idempotency_key(saga: SagaId, step: StepIdx, phase: Phase, round: u32) -> String {
    let mut hash = Sha256::new();
    hash.update(saga.as_bytes());
    hash.update((step as u64).to_be_bytes());
    hash.update(phase.name());
    hash.update(round.to_be_bytes());
    hex(&hash.finalize()[..16])
}

/// `bytes` as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A number that looks drawn from all 64-bit numbers, but is the same for the same place: jitter
/// that a simulation can repeat.
pub(crate) fn chance(saga: SagaId, step: StepIdx, rows: u64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(saga.as_bytes());
    hash.update((step as u64).to_be_bytes());
    hash.update(rows.to_be_bytes());
    hash.finalize().iter().take(8).fold(0, |number, &byte| number << 8 | u64::from(byte))
}
