//! Moments as data: microseconds since 1970, UTC. Reading a clock is `clock.rs`' business.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment in microseconds since 1970-01-01 UTC; shown and serialised as RFC 3339.
///
/// ```
/// use walkback::time::Timestamp;
/// assert_eq!(Timestamp::from_micros(1_500_000).to_string(), "1970-01-01T00:00:01.500000Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `micros` microseconds after 1970-01-01 UTC.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01 UTC.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The last moment that can be written as RFC 3339.
    ///
    /// ```
    /// let last = walkback::time::Timestamp::LAST;
    /// assert_eq!(last.to_string(), "9999-12-30T22:00:00.000000Z");
    /// assert_eq!(last.plus(std::time::Duration::from_secs(1)), last);
    /// ```
    pub const LAST: Self = Self(253_402_207_200_000_000);

    /// This moment and `by` later; stops at [`Timestamp::LAST`] instead of going beyond.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by)).min(Self::LAST)
    }

    /// This moment and `by` earlier; stops at 1970 instead of going before.
    ///
    /// ```
    /// use walkback::time::Timestamp;
    /// let hour = std::time::Duration::from_hours(1);
    /// assert_eq!(Timestamp::LAST.minus(hour).plus(hour), Timestamp::LAST);
    /// ```
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(0))
    }

    /// How much later this moment is than `earlier`; zero if it is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(moment) => write!(f, "{moment:.6}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(moment.as_microsecond()))
    }
}

/// Reads a duration as a person writes it: `10s`, `1h 30m`, `250ms`, `2d` (of 24 hours each).
///
/// ```
/// use walkback::time::parse_duration;
/// assert_eq!(parse_duration("1d 2h").unwrap(), std::time::Duration::from_hours(26));
/// assert!(parse_duration("1 month").is_err());
/// ```
///
/// # Errors
/// What is wrong with the text, and what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let read = text.parse::<jiff::Span>().ok().and_then(|span| span.to_duration(days).ok());
    read.and_then(|duration| Duration::try_from(duration).ok()).ok_or_else(|| {
        format!("`{text}` is no duration: expected one like `10s`, `1h 30m` or `2d`")
    })
}

/// Reads a moment as a person writes it: RFC 3339 with an offset, `2026-12-24T08:00:00Z`.
///
/// # Errors
/// What was expected.
pub fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let read = text.parse::<jiff::Timestamp>().ok();
    let moment = read.map(|moment| Timestamp::from_micros(moment.as_microsecond()));
    moment
        .filter(|moment| *moment <= Timestamp::LAST)
        .ok_or_else(|| format!("`{text}` is no moment: expected one like `2026-12-24T08:00:00Z`"))
}

/// A duration that files write as `10s`, for serde.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span(pub Duration);

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(duration) => serializer.collect_str(&format_args!("{duration:#}")),
            Err(error) => Err(serde::ser::Error::custom(error)),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        parse_duration(&text).map(Span).map_err(serde::de::Error::custom)
    }
}
