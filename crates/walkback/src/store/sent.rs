//! What a statement says when it is sent: in tests one of its guards may be missing (T13).

use std::borrow::Cow;
#[cfg(any(test, feature = "testing"))]
use std::collections::BTreeSet;
#[cfg(any(test, feature = "testing"))]
use std::sync::{Mutex, PoisonError, RwLock};

/// The statement as it is sent.
#[cfg(not(any(test, feature = "testing")))]
pub(super) const fn as_sent(sql: &str) -> Cow<'_, str> {
    Cow::Borrowed(sql)
}

/// The statement as it is sent: noted, and with another one in its place if that is planted.
#[cfg(any(test, feature = "testing"))]
pub(super) fn as_sent(sql: &str) -> Cow<'_, str> {
    let planted = PLANTED.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(noted) = NOTED.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        && !noted.contains(sql)
    {
        noted.insert(sql.to_owned());
    }
    match &*planted {
        Some((statement, instead)) if statement == sql => Cow::Owned(instead.clone()),
        _ => Cow::Borrowed(sql),
    }
}

/// A statement, and what is sent instead.
#[cfg(any(test, feature = "testing"))]
static PLANTED: RwLock<Option<(String, String)>> = RwLock::new(None);
#[cfg(any(test, feature = "testing"))]
static NOTED: Mutex<Option<BTreeSet<String>>> = Mutex::new(None);

/// From here on every store of this process sends the second one for the first.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn plant(statement: Option<(String, String)>) {
    *PLANTED.write().unwrap_or_else(PoisonError::into_inner) = statement;
}

/// The statements that were sent since this was asked last; nothing is noted before the first time.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn noted() -> BTreeSet<String> {
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    noted.replace(BTreeSet::new()).unwrap_or_default()
}
