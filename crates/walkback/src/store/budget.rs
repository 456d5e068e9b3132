//! Budgets that all workers of a store share: buckets of calls that fill up again.

use std::time::Duration;

use crate::time::Timestamp;

/// Calls to somebody who allows only so many, however many processes make them.
#[derive(Clone, Debug, PartialEq)]
pub struct Booking {
    /// Whose budget it is; all who name it share it, and say the same of its rate.
    pub key: String,
    /// How many calls it takes.
    pub calls: f64,
    /// The most calls at once.
    pub burst: f64,
    /// Calls that come back each second.
    pub per_second: f64,
    /// Calls at once that are left for others, who are more urgent.
    pub reserve: f64,
    /// How long to wait at most; where it would be longer, nothing is booked.
    pub longest: Duration,
    /// When it is asked for, by the caller's clock; a server goes by its own.
    pub now: Timestamp,
}

/// When calls may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// They are booked, for so long from now.
    In(Duration),
    /// It would be so long: nothing is booked.
    TooLong(Duration),
}

/// What is left of a budget, and when that was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) calls: f64,
    pub(crate) at: Timestamp,
}

impl Booking {
    /// A budget of which nothing was used yet.
    pub(crate) fn full(&self, now: Timestamp) -> Bucket {
        Bucket { calls: self.burst, at: now }
    }

    /// When it is its turn, and what is left then. Whoever books first goes first: a bucket may owe.
    pub(crate) fn book(&self, bucket: Bucket, now: Timestamp) -> (Bucket, Turn) {
        let filled = bucket.calls + now.since(bucket.at).as_secs_f64() * self.per_second;
        let (calls, at) = (self.burst.min(filled), now.max(bucket.at));
        let missing = (self.calls + self.reserve - calls).max(0.0);
        let wait = Duration::try_from_secs_f64(missing / self.per_second).unwrap_or(Duration::MAX);
        if wait > self.longest {
            return (Bucket { calls, at }, Turn::TooLong(wait));
        }
        (Bucket { calls: calls - self.calls, at }, Turn::In(wait))
    }
}
