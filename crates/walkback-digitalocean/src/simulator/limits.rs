//! Rate limits, as the API counts them: for each token 250 calls a minute and 5,000 an hour, every call
//! with a timer of its own.

use std::collections::{BTreeMap, VecDeque};

use crate::client::Request;

const MINUTE: (i64, usize) = (60_000, 250);
const HOUR: (i64, usize) = (3_600_000, 5_000);
/// Reading the list of keys has a limit of its own.
const KEYS: (i64, usize) = (60_000, 10);
/// And so have CDN endpoints.
const CDN: (i64, usize) = (10_000, 5);

/// The calls of every token in the last hour.
#[derive(Debug, Default)]
pub(super) struct Limits(BTreeMap<String, VecDeque<i64>>);

impl Limits {
    /// Counts a call: how many are left in the hour, and when the oldest no longer counts, in seconds;
    /// or after how many seconds to call again.
    pub(super) fn count(
        &mut self,
        token: &str,
        request: &Request,
        now: i64,
    ) -> Result<(u64, u64), u64> {
        let keys =
            request.path.starts_with("/v2/account/keys?") || request.path == "/v2/account/keys";
        if keys && request.method == crate::client::Method::Get {
            Self::within(self.0.entry(format!("{token} keys")).or_default(), now, KEYS)?;
        }
        if request.path.starts_with("/v2/cdn/endpoints") {
            Self::within(self.0.entry(format!("{token} cdn")).or_default(), now, CDN)?;
        }
        let calls = self.0.entry(token.to_owned()).or_default();
        let burst = calls.iter().rev().take_while(|at| **at > now - MINUTE.0).count();
        if burst >= MINUTE.1 {
            let oldest = calls.get(calls.len() - burst).copied().unwrap_or(now);
            return Err(seconds(oldest + MINUTE.0 - now));
        }
        Self::within(calls, now, HOUR)?;
        let left = HOUR.1 - calls.len();
        let reset = calls.front().copied().unwrap_or(now) + HOUR.0;
        Ok((left as u64, seconds(reset)))
    }

    fn within(
        calls: &mut VecDeque<i64>,
        now: i64,
        (window, most): (i64, usize),
    ) -> Result<(), u64> {
        while calls.front().is_some_and(|at| *at <= now - window) {
            calls.pop_front();
        }
        if calls.len() >= most {
            let oldest = calls.front().copied().unwrap_or(now);
            return Err(seconds(oldest + window - now));
        }
        calls.push_back(now);
        Ok(())
    }
}

fn seconds(millis: i64) -> u64 {
    u64::try_from(millis).unwrap_or_default().div_ceil(1_000)
}
