//! Things that are unique by their name: the name carries the run's key, so that what has it is ours,
//! and a second create is refused.

use serde_json::{Value, json};
use walkback::time::{Timestamp, parse_moment};
use walkback::{Attempt, Probe, StepError};

use crate::client::{ApiError, Client};
use crate::steps::{absent_for_sure, take_back, taken};

/// A kind of thing that is unique by its name.
pub(super) struct Kind {
    /// Below `/v2/`, and the member of a list.
    pub(super) many: &'static str,
    /// The member of an answer about one.
    pub(super) one: &'static str,
}

impl Kind {
    async fn find(&self, cloud: &Client, name: &str) -> Result<Option<Value>, ApiError> {
        let all: Vec<Value> = cloud.list(&format!("/v2/{}", self.many), self.many).await?;
        Ok(all.into_iter().find(|thing| thing["name"] == name))
    }

    /// The thing that the step makes: as it is there already, or made with these members beside its
    /// name.
    pub(super) async fn ensure(
        &self,
        cloud: &Client,
        name: &str,
        mut members: Value,
    ) -> Result<Value, StepError> {
        if let Some(found) = self.find(cloud, name).await? {
            return Ok(found);
        }
        members["name"] = json!(name);
        let made = cloud.post::<Value>(&format!("/v2/{}", self.many), &members).await;
        Ok(made.map_err(taken)?[self.one].take())
    }

    /// Whether the thing is there.
    pub(super) async fn probe<T>(
        &self,
        cloud: &Client,
        name: &str,
        read: impl FnOnce(&Value) -> T,
    ) -> Result<Probe<T>, StepError> {
        let found = self.find(cloud, name).await?;
        Ok(found.map_or(Probe::Absent, |found| Probe::Present(read(&found))))
    }

    /// Removes the thing, by its id or, if that is not known, by its name.
    pub(super) async fn undo(
        &self,
        cloud: &Client,
        attempt: &Attempt,
        name: &str,
        known: Option<String>,
    ) -> Result<(), StepError> {
        let id = match known {
            Some(id) => Some(id),
            None => self.find(cloud, name).await?.map(|found| text(&found, "id")),
        };
        match id {
            Some(id) => take_back(cloud, attempt, &format!("/v2/{}/{id}", self.many)).await,
            None => absent_for_sure(cloud, attempt),
        }
    }
}

/// A member that is a moment.
pub(super) fn moment(thing: &Value, name: &str) -> Option<Timestamp> {
    parse_moment(thing[name].as_str()?).ok()
}

/// A member that is a text.
pub(super) fn text(thing: &Value, name: &str) -> String {
    thing[name].as_str().unwrap_or_default().to_owned()
}
