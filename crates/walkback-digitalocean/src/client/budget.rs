//! One rate budget for all calls of a token, whichever processes make them. The API allows 250 in any
//! minute and 5,000 in any hour; calls of an undo go first.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing::warn;
use walkback::clock::Clock;
use walkback::store::{Booking, Store, Turn};
use walkback::time::Timestamp;

use crate::client::Answer;

/// Calls that may be made at once. With those that come back in it, any minute has at most 240.
const BURST: f64 = 60.0;
/// Calls that come back each second.
const PER_SECOND: f64 = 3.0;
/// Calls at once that only an undo may make.
const BURST_RESERVE: f64 = 20.0;
/// Calls of an hour that only an undo may make.
const HOUR_RESERVE: u64 = 500;

/// How long to stand in line: whoever would have to stand longer comes again.
const LONGEST: Duration = Duration::from_secs(45);

/// How many calls may be made now.
pub struct Budget {
    clock: Arc<dyn Clock>,
    per_second: f64,
    state: Mutex<State>,
    /// Where other processes book, and by which name.
    shared: OnceLock<(Arc<dyn Store>, String)>,
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
        let (state, shared) = (Mutex::new(state), OnceLock::new());
        Self { clock, per_second: PER_SECOND, state, shared }
    }

    /// By its clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A full one of an account whose time passes so much faster.
    pub(super) fn hurrying(&self, hurry: u32) -> Self {
        let faster = PER_SECOND * f64::from(hurry);
        Self { per_second: faster, ..Self::new(Arc::clone(&self.clock)) }
    }

    /// Waits for its turn; those who came before go first, but an undo before all others.
    ///
    /// # Errors
    /// How long it would be, if that is too long to stand in line for.
    pub(super) async fn take(&self, undoing: bool) -> Result<(), Duration> {
        let wait = self.book(undoing)?;
        let wait = match self.book_with_others(undoing).await {
            None => wait,
            Some(Turn::In(turn)) => wait.max(turn),
            Some(Turn::TooLong(longer)) => {
                self.give_back();
                return Err(longer);
            }
        };
        if !wait.is_zero() {
            self.clock.sleep(wait).await;
        }
        Ok(())
    }

    /// Books a call and says when its turn is.
    fn book(&self, undoing: bool) -> Result<Duration, Duration> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calls = BURST.min(state.calls + now.since(state.at).as_secs_f64() * self.per_second);
        state.at = now;
        let (burst, hour) = if undoing { (0.0, 0) } else { (BURST_RESERVE, HOUR_RESERVE) };
        let mut wait = state.not_before.since(now);
        if let Some((left, reset)) = state.hour
            && left <= hour
        {
            wait = wait.max(reset.since(now));
        }
        let missing = 1.0 + burst - state.calls;
        if missing > 0.0 {
            wait = wait.max(Duration::from_secs_f64(missing / self.per_second));
        }
        if wait > LONGEST {
            return Err(wait);
        }
        state.calls -= 1.0;
        if let Some((left, _)) = &mut state.hour {
            *left = left.saturating_sub(1);
        }
        Ok(wait)
    }

    /// Shares it with all who use this store, under this name.
    pub(super) fn share(&self, store: Arc<dyn Store>, name: String) {
        // Who shares it already goes on sharing that.
        self.shared.set((store, name)).ok();
    }

    fn booking(&self, key: &str, undoing: bool) -> Booking {
        Booking {
            key: key.to_owned(),
            calls: 1.0,
            burst: BURST,
            per_second: self.per_second,
            reserve: if undoing { 0.0 } else { BURST_RESERVE },
            longest: LONGEST,
            now: self.clock.now(),
        }
    }

    /// The turn among all processes. A store that cannot be asked stops no call: each process keeps to the
    /// rate by itself then, and the API says if that is too much.
    async fn book_with_others(&self, undoing: bool) -> Option<Turn> {
        let (store, key) = self.shared.get()?;
        let booked = store.book(self.booking(key, undoing)).await;
        booked.inspect_err(|error| warn!(%error, "the rate is not shared now")).ok()
    }

    /// The API refused a call: nobody calls for so long. Of many that are refused at once the first one's
    /// wait is booked; where the budget owes already, another would be too long.
    pub(super) async fn refused(&self, wait: Duration) {
        let Some((store, key)) = self.shared.get() else { return };
        let calls = BURST + wait.as_secs_f64() * self.per_second;
        let longest = wait + Duration::from_secs_f64(BURST / self.per_second);
        let booking = Booking { calls, longest, ..self.booking(key, true) };
        if let Err(error) = store.book(booking).await {
            warn!(%error, "the others are not told that the API refused a call");
        }
    }

    fn give_back(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.calls += 1.0;
        if let Some((left, _)) = &mut state.hour {
            *left += 1;
        }
    }

    /// Takes in what the API says of its own count.
    /// How long to wait, if it refused the call.
    pub(super) fn learn(&self, answer: &Answer) -> Option<Duration> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A burst that is refused says `ratelimit-remaining: 0` too, beside `retry-after: 29` and a reset in an
        // hour (the specification's own example): that is not the hour's count.
        let of_burst = answer.status == 429 && answer.retry_after.is_some();
        if let (Some(left), Some(reset), false) = (answer.remaining, answer.reset, of_burst) {
            let reset = Timestamp::default().plus(Duration::from_secs(reset));
            state.hour = Some((left, reset));
        }
        if answer.status == 429 {
            let wait = answer.retry_after.unwrap_or(Duration::from_secs(10));
            state.not_before = state.not_before.max(now.plus(wait));
            state.calls = state.calls.min(0.0);
            return Some(wait);
        }
        None
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
        (0..1_000).take_while(|_| budget.book(undoing) == Ok(Duration::ZERO)).count()
    }

    #[test]
    fn an_undo_still_calls_when_others_have_to_wait() {
        let (clock, budget) = budget();
        assert_eq!(calls(&budget, false), 40);
        // The one that has to wait has its place in the line; an undo has the reserve.
        assert_eq!(calls(&budget, true), 19);
        clock.turn(Duration::from_secs(4));
        assert_eq!(calls(&budget, false), 0);
        assert!(calls(&budget, true) > 5);
    }

    #[test]
    fn whoever_comes_first_goes_first_and_whoever_would_wait_too_long_comes_again() {
        let (_, budget) = budget();
        calls(&budget, false);
        let mut waits = Vec::new();
        let longer = loop {
            match budget.book(false) {
                Ok(wait) => waits.push(wait),
                Err(wait) => break wait,
            }
        };
        assert!(waits.is_sorted() && waits.len() == 134, "{}", waits.len());
        assert!(longer > LONGEST && longer < LONGEST + Duration::from_secs(1));
    }

    #[test]
    fn what_the_api_asks_for_is_waited_for() {
        let (clock, budget) = budget();
        let wait = Duration::from_secs(30);
        let (remaining, reset) = (Some(0), Some(6_600));
        let retry_after = Some(wait);
        let refused = Answer { status: 429, retry_after, remaining, reset, ..Answer::default() };
        budget.learn(&refused);
        assert_eq!(budget.book(true), Ok(wait));
        clock.turn(wait);
        assert_eq!(calls(&budget, true), 60);
    }

    #[tokio::test]
    async fn many_refusals_at_once_are_waited_for_once() {
        let (clock, budget) = budget();
        let store: Arc<dyn Store> = Arc::new(walkback::MemoryStore::new());
        budget.share(Arc::clone(&store), "account".to_owned());
        let wait = Duration::from_secs(30);
        for _ in 0..20 {
            budget.refused(wait).await;
        }
        let turn = async || store.book(budget.booking("account", true)).await.unwrap();
        let Turn::In(first) = turn().await else { panic!("too long") };
        assert!(first >= wait && first < wait + Duration::from_secs(1), "{first:?}");
        clock.turn(wait + Duration::from_secs(1));
        assert_eq!(turn().await, Turn::In(Duration::ZERO));
    }

    #[test]
    fn the_last_calls_of_an_hour_are_for_undoing() {
        let (clock, budget) = budget();
        let answer = Answer { remaining: Some(502), reset: Some(3_660), ..Answer::default() };
        budget.learn(&answer);
        assert_eq!(calls(&budget, false), 2);
        assert_eq!(budget.book(false), Err(Duration::from_mins(1)));
        assert_eq!(budget.book(true), Ok(Duration::ZERO));
        clock.turn(Duration::from_mins(1));
        assert_eq!(budget.book(false), Ok(Duration::ZERO));
    }
}
