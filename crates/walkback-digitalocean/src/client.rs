//! The client: one account, as one token sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::debug;
use walkback::StepError;
use walkback::clock::{Clock, SystemClock};
use walkback::store::Store;
use walkback::time::Timestamp;

use crate::secrets::Keeper;

mod budget;
mod error;
mod http;
mod transport;

pub use budget::Budget;
pub use error::{ApiError, Class};
pub use http::Http;
pub use transport::{
    Answer, Method, NoAccount, Page, Request, SendError, Sent, Transport, Visited,
};

/// When to look again at something that is being made or removed.
const LOOK: Duration = Duration::from_secs(3);
/// How long what is new may not be shown, in a list or by its id.
pub(crate) const SETTLE: Duration = Duration::from_secs(30);
/// Things of a list that one call brings: the most that the API gives.
const PER_PAGE: usize = 200;

/// A DigitalOcean account. Cheap to clone; clones share one rate budget.
///
/// It makes each call once. What may be called again is the business of whoever knows what a call
/// was for: no create is ever repeated blindly.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
    budget: Arc<Budget>,
    /// Calls of an undo go before all others.
    undoing: bool,
    /// How much sooner than usual to look again.
    hurry: u32,
    /// Where secrets go that the API shows once.
    keeper: Option<Arc<dyn Keeper>>,
}

impl Client {
    /// An account over HTTPS.
    ///
    /// # Errors
    /// If `url` is none.
    pub fn new(url: &str, token: &str) -> Result<Self, String> {
        Ok(Self::over(Arc::new(Http::new(url, token)?), Arc::new(SystemClock)))
    }

    /// An account over something else, and the clock by which its rate budget is refilled.
    pub fn over(transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Self {
        let (budget, keeper) = (Arc::new(Budget::new(clock)), None);
        Self { transport, budget, undoing: false, hurry: 1, keeper }
    }

    /// The same account for an undo, whose calls go before all others.
    #[must_use]
    pub fn undoing(&self) -> Self {
        Self { undoing: true, ..self.clone() }
    }

    /// The same account, where everything goes so much faster: a simulated one.
    #[must_use]
    pub fn hurrying(&self, hurry: u32) -> Self {
        let hurry = hurry.max(1);
        Self { hurry, budget: Arc::new(self.budget.hurrying(hurry)), ..self.clone() }
    }

    /// The same account, whose secrets go to this keeper. Without one nothing is made that has any.
    #[must_use]
    pub fn keeping(&self, keeper: Arc<dyn Keeper>) -> Self {
        Self { keeper: Some(keeper), ..self.clone() }
    }

    /// Where its secrets go.
    pub(crate) fn keeper(&self) -> Result<&dyn Keeper, StepError> {
        self.keeper.as_deref().ok_or_else(|| {
            let why = "there is no keeper of secrets in this program: expected one, as the secret is shown once";
            StepError::permanent(why).clean()
        })
    }

    /// Shares the rate budget with every process that uses this account and this store.
    pub fn share_budget(&self, store: Arc<dyn Store>) {
        if let Some(account) = self.transport.account() {
            self.budget.share(store, account);
        }
    }

    /// By the clock that the account's rate goes by.
    pub(crate) fn now(&self) -> Timestamp {
        self.budget.now()
    }

    /// How long something of an account takes that is so long on a real one.
    pub(crate) fn hurried(&self, real: Duration) -> Duration {
        real / self.hurry
    }

    /// After how long what is new is surely shown.
    pub(crate) fn settled_after(&self) -> Duration {
        self.hurried(SETTLE)
    }

    /// When to look again at something that is being made or removed.
    pub(crate) fn look(&self) -> Duration {
        self.hurried(LOOK)
    }

    /// Asks a site for a page; see [`Transport::visit`].
    ///
    /// # Errors
    /// Why there is no answer, for people.
    pub async fn visit(&self, page: &Page) -> Result<u16, String> {
        self.transport.visit(page).await
    }

    /// Reads what is at `path`, which begins with `/v2/`.
    ///
    /// # Errors
    /// What the API, or the way there, says.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.call(Method::Get, path, None).await
    }

    /// The same, where that it is not there is an answer.
    ///
    /// # Errors
    /// As [`Client::get`], but for 404.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, ApiError> {
        if_there(self.get(path).await)
    }

    /// Everything of a list: the member `name` of every page. Pages shift while things come and go,
    /// so that one may be there twice, or be overlooked.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
    ) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        let sign = if path.contains('?') { '&' } else { '?' };
        for page in 1.. {
            let path = format!("{path}{sign}page={page}&per_page={PER_PAGE}");
            let mut body: Value = self.get(&path).await?;
            let has_next = body.pointer("/links/pages/next").is_some_and(Value::is_string);
            let of_page: Vec<T> = decode(Method::Get, &path, body[name].take())?;
            all.extend(of_page);
            if !has_next {
                break;
            }
        }
        Ok(all)
    }

    /// The same, where that there is no such list is an answer.
    ///
    /// # Errors
    /// As [`Client::get`], but for 404.
    pub async fn find_list<T: DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
    ) -> Result<Option<Vec<T>>, ApiError> {
        if_there(self.list(path, name).await)
    }

    /// Posts `body`.
    ///
    /// # Errors
    /// As [`Client::get`]; [`Class::Unknown`] and [`Class::Server`] leave it open whether it was done.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.call(Method::Post, path, Some(encode(Method::Post, path, body)?)).await
    }

    /// Sets what is at `path` to `body`, whole: doing it again does no harm.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.call(Method::Put, path, Some(encode(Method::Put, path, body)?)).await
    }

    /// Sets the members of what is at `path` that `body` names.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.call(Method::Patch, path, Some(encode(Method::Patch, path, body)?)).await
    }

    /// Deletes what is at `path`; says whether there was anything. That it was accepted does not mean
    /// that it is gone: look.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn delete(&self, path: &str) -> Result<bool, ApiError> {
        let deleted = if_there(self.call::<Value>(Method::Delete, path, None).await)?;
        Ok(deleted.is_some())
    }

    /// Takes what `body` names away from the list at `path`.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub async fn delete_from<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.call(Method::Delete, path, Some(encode(Method::Delete, path, body)?)).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<T, ApiError> {
        let turn = self.budget.take(self.undoing).await;
        turn.map_err(|wait| ApiError::too_many(method, path, wait))?;
        let request = Request { method, path: path.to_owned(), body };
        let answer = self.transport.send(request).await;
        let answer = answer.map_err(|error| ApiError::not_answered(method, path, error))?;
        if let Some(wait) = self.budget.learn(&answer) {
            self.budget.refused(wait).await;
        }
        debug!(%method, path, status = answer.status, request_id = answer.request_id, "called");
        if !(200..300).contains(&answer.status) {
            return Err(ApiError::of_answer(method, path, &answer));
        }
        decode(method, path, answer.body)
    }
}

/// What was asked for, or that it is not there.
fn if_there<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.class() == Class::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn encode(method: Method, path: &str, body: &impl Serialize) -> Result<Value, ApiError> {
    serde_json::to_value(body).map_err(|error| ApiError::not_ours(method, path, &error))
}

fn decode<T: DeserializeOwned>(method: Method, path: &str, body: Value) -> Result<T, ApiError> {
    serde_json::from_value(body).map_err(|error| ApiError::not_ours(method, path, &error))
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("undoing", &self.undoing).finish_non_exhaustive()
    }
}
