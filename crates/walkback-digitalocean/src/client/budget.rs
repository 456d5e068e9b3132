//! One rate budget for all calls of a token: 250 a minute in a burst and 5,000 an hour, as the API
//! counts them. Calls of an undo go first.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use walkback::clock::Clock;
use walkback::time::Timestamp;

use crate::client::Answer;

/// Calls of a burst; the API allows 250 a minute.
const BURST: f64 = 240.0;
/// Calls that come back each second.
const PER_SECOND: f64 = 4.0;
/// Calls of a burst that only an undo may make.
const BURST_RESERVE: f64 = 40.0;
/// Calls of an hour that only an undo may make.
const HOUR_RESERVE: u64 = 500;

/// How many calls may be made now.
pub struct Budget {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    calls: f64,
    at: Timestamp,
    /// Nothing is called before this moment: the API asked for it.
    not_before: Timestamp,
    /// Calls of the hour that are left, as the API said last, and when the oldest no longer counts.
    hour: Option<(u64, Timestamp)>,
}

impl Budget {
    /// A full one.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let at = clock.now();
        let state = State { calls: BURST, at, not_before: Timestamp::default(), hour: None };
        Self { clock, state: Mutex::new(state) }
    }

    /// Waits until a call may be made.
    pub(super) async fn take(&self, undoing: bool) {
        while let Some(wait) = self.wait(undoing) {
            self.clock.sleep(wait).await;
        }
    }

    /// How long to wait; if that is nothing, the call is counted.
    fn wait(&self, undoing: bool) -> Option<Duration> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calls = BURST.min(state.calls + now.since(state.at).as_secs_f64() * PER_SECOND);
        state.at = now;
        let (burst, hour) = if undoing { (0.0, 0) } else { (BURST_RESERVE, HOUR_RESERVE) };
        if state.not_before > now {
            return Some(state.not_before.since(now));
        }
        if let Some((left, reset)) = state.hour
            && left <= hour
            && reset > now
        {
            return Some(reset.since(now));
        }
        let missing = 1.0 + burst - state.calls;
        if missing > 0.0 {
            return Some(Duration::from_secs_f64(missing / PER_SECOND));
        }
        state.calls -= 1.0;
        if let Some((left, _)) = &mut state.hour {
            *left = left.saturating_sub(1);
        }
        None
    }

    /// Takes in what the API says of its own count.
    pub(super) fn learn(&self, answer: &Answer) {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(left), Some(reset)) = (answer.remaining, answer.reset) {
            let reset = Timestamp::default().plus(Duration::from_secs(reset));
            state.hour = Some((left, reset));
        }
        if answer.status == 429 {
            let wait = answer.retry_after.unwrap_or(Duration::from_secs(10));
            state.not_before = state.not_before.max(now.plus(wait));
            state.calls = 0.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Hands(Arc<Mutex<Timestamp>>);

    impl Hands {
        fn turn(&self, by: Duration) {
            let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *now = now.plus(by);
        }
    }

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    fn budget() -> (Hands, Budget) {
        let clock = Hands::default();
        clock.turn(Duration::from_hours(1));
        (clock.clone(), Budget::new(Arc::new(clock)))
    }

    /// Calls that may be made at once.
    fn calls(budget: &Budget, undoing: bool) -> usize {
        (0..1_000).take_while(|_| budget.wait(undoing).is_none()).count()
    }

    #[test]
    fn an_undo_still_calls_when_others_have_to_wait() {
        let (clock, budget) = budget();
        assert_eq!(calls(&budget, false), 200);
        assert_eq!(calls(&budget, true), 40);
        assert_eq!(budget.wait(true), Some(Duration::from_millis(250)));
        clock.turn(Duration::from_secs(1));
        assert_eq!(calls(&budget, false), 0);
        assert_eq!(calls(&budget, true), 4);
    }

    #[test]
    fn what_the_api_asks_for_is_waited_for() {
        let (clock, budget) = budget();
        let wait = Some(Duration::from_secs(30));
        budget.learn(&Answer { status: 429, retry_after: wait, ..Answer::default() });
        assert_eq!(budget.wait(true), wait);
        clock.turn(Duration::from_secs(30));
        assert_eq!(calls(&budget, true), 120);
    }

    #[test]
    fn the_last_calls_of_an_hour_are_for_undoing() {
        let (clock, budget) = budget();
        let answer = Answer { remaining: Some(502), reset: Some(3_660), ..Answer::default() };
        budget.learn(&answer);
        assert_eq!(calls(&budget, false), 2);
        assert_eq!(budget.wait(false), Some(Duration::from_mins(1)));
        assert!(budget.wait(true).is_none());
        clock.turn(Duration::from_mins(1));
        assert!(budget.wait(false).is_none());
    }
}
