//! Moments and durations as people read them.

use std::time::Duration;

use walkback::{clock::Clock, clock::SystemClock, time::Timestamp};

/// The time now.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// `340ms`, `1.2s`, `3m 04s`, `2h 05m`, `3d 04h`.
pub(crate) fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{}ms", length.as_millis()),
        1..60 => format!("{seconds}.{}s", length.subsec_millis() / 100),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// `2s`, `1h 30m`: a duration that somebody set, in full.
pub(crate) fn exact(length: Duration) -> String {
    let seconds = length.as_secs();
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (length.subsec_millis().into(), "ms"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// `2026-11-24 03:20:01Z`.
pub(crate) fn moment(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..19).map_or(text.clone(), |second| format!("{}Z", second.replace('T', " ")))
}

/// `2026-11-24 03:20:01.123Z`.
pub(crate) fn moment_ms(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(..23).map_or(text.clone(), |second| format!("{}Z", second.replace('T', " ")))
}

/// `03:20:01.123`: the time of a day, in UTC.
pub(crate) fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    text.get(11..23).unwrap_or(&text).to_owned()
}

/// `3m ago`, in one unit.
pub(crate) fn ago(at: Timestamp) -> String {
    let seconds = now().since(at).as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// `in 58s`, or `now`.
pub(crate) fn until(at: Timestamp) -> String {
    match at.since(now()) {
        Duration::ZERO => "now".to_owned(),
        rest => format!("in {}", duration(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short_at_every_size() {
        let shown = [0, 340, 1_250, 59_999, 184_000, 7_500_000, 273_600_000]
            .map(|ms| duration(Duration::from_millis(ms)));
        assert_eq!(shown, ["0ms", "340ms", "1.2s", "59.9s", "3m 04s", "2h 05m", "3d 04h"]);
    }

    #[test]
    fn durations_that_were_set_are_shown_in_full() {
        let shown = [0, 60_000, 5_400_000, 1_500].map(|ms| exact(Duration::from_millis(ms)));
        assert_eq!(shown, ["0s", "1m", "1h 30m", "1s 500ms"]);
    }

    #[test]
    fn moments_are_in_utc() {
        let at = Timestamp::from_micros(1_500_000);
        assert_eq!(moment(at), "1970-01-01 00:00:01Z");
        assert_eq!(clock(at), "00:00:01.500");
    }
}
