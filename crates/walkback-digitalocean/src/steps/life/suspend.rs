//! Suspending and resuming all things of a kind: each is the other's undo.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkback::desired::Change;
use walkback::{Attempt, Effect, Options, Step, StepError};

use crate::client::Client;
use crate::steps::life::{Kind, Thing, state};
use crate::steps::on_account;

on_account! {
    /// Suspends all things of a kind that a site has; those that are suspended stay so.
    Suspend;
    /// Lets all things of a kind that a site has be again as they were before they were suspended.
    Resume;
}

/// Which things, and what they still do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// What the site has.
    pub things: Vec<Thing>,
    /// Only these.
    pub kind: Kind,
    /// Where its domain points meanwhile.
    pub parking_ip: Option<String>,
    /// Who may reach its databases meanwhile; nobody, if nothing is said.
    pub ops_ip: Option<String>,
}

/// What has changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// In the records of whoever made it.
    pub changed: Vec<Change>,
}

impl Wanted {
    fn kept(&self) -> state::Kept {
        state::Kept { parking_ip: self.parking_ip.clone(), ops_ip: self.ops_ip.clone() }
    }

    fn of_kind(&self) -> impl Iterator<Item = &Thing> {
        self.things.iter().filter(|thing| thing.kind == self.kind)
    }

    /// What is there and not suspended, with how it is when it is.
    fn to_suspend(&self) -> Vec<(&Thing, Value)> {
        let there = self.of_kind().filter(|thing| !thing.state.is_null());
        let running = there.filter(|thing| thing.before_suspension().is_none());
        let kept = self.kept();
        running.map(|thing| (thing, state::suspended(self.kind, &thing.state, &kept))).collect()
    }

    /// What is suspended, with how it was before.
    fn to_resume(&self) -> Vec<(&Thing, Value)> {
        let suspended = self.of_kind().map(|thing| (thing, thing.before_suspension()));
        suspended.filter_map(|(thing, before)| Some((thing, before?))).collect()
    }
}

/// Brings each thing to where it shall be, all of them at once.
async fn bring(cloud: &Client, things: Vec<(&Thing, Value)>) -> Result<(), StepError> {
    let (mut there, mut failed) = (true, None::<StepError>);
    for (thing, to) in things {
        match state::set(cloud, thing, &to).await {
            Ok(is_there) => there &= is_there,
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        // What was asked of the others may be done.
        Some(error) => Err(error.unknown()),
        None if there => Ok(()),
        None => Err(StepError::not_yet(cloud.look())),
    }
}

/// Brings each thing to where it shall be, and says what is wanted of each from then on.
async fn switch(
    cloud: &Client,
    things: Vec<(&Thing, Value)>,
    wanted: impl Fn(&Thing) -> Value,
) -> Result<Changed, StepError> {
    let changed = things.iter().map(|(thing, _)| thing.becomes(&wanted(thing)));
    let changed = changed.collect::<Result<_, _>>()?;
    bring(cloud, things).await?;
    Ok(Changed { changed })
}

/// Brings each thing to where it was when the site was read, but what was gone then. What others have
/// changed since is their business.
async fn switch_back(
    cloud: &Client,
    attempt: &Attempt,
    things: Vec<(&Thing, Value)>,
) -> Result<(), StepError> {
    let Some((first, _)) = things.first() else { return Ok(()) };
    let rows = attempt.provisioned(first.row.saga_id).await?;
    let mut before = Vec::new();
    for (thing, _) in things {
        if thing.is_untouched(&rows, attempt) && !thing.state.is_null() {
            before.push((thing, thing.state.clone()));
        }
    }
    bring(cloud, before).await
}

impl Step for Suspend {
    const NAME: &'static str = "suspend";
    const OPTIONS: Options = crate::steps::OPTIONS;
    type Input = Wanted;
    type Output = Changed;

    async fn execute(&self, _: Attempt, of: Wanted) -> Result<Changed, StepError> {
        let suspended = |thing: &Thing| {
            let mut wanted = thing.wanted();
            wanted["suspended"] = thing.state.clone();
            wanted
        };
        switch(&self.cloud, of.to_suspend(), suspended).await
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: Wanted,
        _: Effect<Changed>,
    ) -> Result<(), StepError> {
        switch_back(&self.cloud.undoing(), &attempt, of.to_suspend()).await
    }

    fn changes(&self, output: &Changed) -> Vec<Change> {
        output.changed.clone()
    }
}

impl Step for Resume {
    const NAME: &'static str = "resume";
    const OPTIONS: Options = crate::steps::OPTIONS;
    type Input = Wanted;
    type Output = Changed;

    async fn execute(&self, _: Attempt, of: Wanted) -> Result<Changed, StepError> {
        let resumed = |thing: &Thing| {
            let mut wanted = thing.wanted();
            if let Value::Object(members) = &mut wanted {
                members.remove("suspended");
            }
            wanted
        };
        switch(&self.cloud, of.to_resume(), resumed).await
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        of: Wanted,
        _: Effect<Changed>,
    ) -> Result<(), StepError> {
        switch_back(&self.cloud.undoing(), &attempt, of.to_resume()).await
    }

    fn changes(&self, output: &Changed) -> Vec<Change> {
        output.changed.clone()
    }
}
