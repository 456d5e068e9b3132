//! An app, unique by the name in its specification, which carries the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::client::{ApiError, Client};
use crate::steps::named::text;
use crate::steps::{absent_for_sure, named_thing, on_account, refused, take_back, taken};

on_account! {
    /// Creates an app by its specification: accepted, not yet deployed.
    CreateApp;
    /// Waits until the app is deployed and says where it answers.
    AwaitApp;
}

/// Characters of a site's name for which an app's name has room.
const ROOM: usize = 19;

/// What it is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Wanted {
    /// The site.
    pub name: String,
    /// The specification as the API takes it; its name is this run's business.
    pub app_spec: Map<String, Value>,
}

/// An app that was accepted.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct App {
    /// Its id.
    pub app_id: String,
    /// Its name.
    pub app_name: String,
}

fn name(attempt: &Attempt, wanted: &Wanted) -> String {
    let prefix: String = wanted.name.chars().take(ROOM).collect();
    attempt.resource_name(&prefix)
}

async fn find(cloud: &Client, name: &str) -> Result<Option<App>, ApiError> {
    let all: Vec<Value> = cloud.list("/v2/apps", "apps").await?;
    Ok(all.iter().find(|app| app["spec"]["name"] == name).map(read))
}

fn read(app: &Value) -> App {
    App { app_id: text(app, "id"), app_name: text(&app["spec"], "name") }
}

impl Step for CreateApp {
    const NAME: &'static str = "create_app";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Wanted;
    type Output = App;

    async fn execute(&self, attempt: Attempt, wanted: Wanted) -> Result<App, StepError> {
        let name = name(&attempt, &wanted);
        if let Some(app) = find(&self.cloud, &name).await? {
            return Ok(app);
        }
        let mut spec = wanted.app_spec;
        spec.insert("name".to_owned(), json!(name));
        let made = self.cloud.post::<Value>("/v2/apps", &json!({ "spec": spec })).await;
        Ok(read(&made.map_err(taken)?["app"]))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        wanted: Wanted,
        effect: Effect<App>,
    ) -> Result<(), StepError> {
        let cloud = self.cloud.undoing();
        let app = match effect.known() {
            Some(app) => Some(app),
            None => find(&cloud, &name(&attempt, &wanted)).await?,
        };
        match app {
            Some(app) => take_back(&cloud, &attempt, &format!("/v2/apps/{}", app.app_id)).await,
            None => absent_for_sure(&cloud, &attempt),
        }
    }

    async fn probe(&self, attempt: Attempt, wanted: Wanted) -> Result<Probe<App>, StepError> {
        let found = find(&self.cloud, &name(&attempt, &wanted)).await?;
        Ok(found.map_or(Probe::Absent, Probe::Present))
    }

    fn provisions(&self, _: &Self::Input, app: &App) -> Option<Provision> {
        named_thing("app", &app.app_id, &app.app_name, &json!({}))
    }
}

/// Which app.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Awaited {
    /// Its id.
    pub app_id: String,
}

/// Where an app is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Reachable {
    /// Where it answers.
    pub app_url: String,
}

impl Step for AwaitApp {
    const NAME: &'static str = "await_app";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Awaited;
    type Output = Reachable;

    async fn execute(&self, attempt: Attempt, of: Awaited) -> Result<Reachable, StepError> {
        let id = &of.app_id;
        let found: Value = self.cloud.find(&format!("/v2/apps/{id}")).await?.unwrap_or_default();
        let app = &found["app"];
        let deployed = app["active_deployment"]["phase"] == "ACTIVE";
        if deployed && app["in_progress_deployment"].is_null() {
            return Ok(Reachable { app_url: text(app, "live_url") });
        }
        let passed = attempt.waited();
        // One that has failed is under way no longer, and active is what was before it.
        let phase = text(&app["in_progress_deployment"], "phase");
        if matches!(phase.as_str(), "ERROR" | "CANCELED")
            || app.is_null() && passed > super::VANISHED
        {
            return refused(format_args!(
                "app `{id}` was accepted and could not be deployed: {phase}"
            ));
        }
        attempt.progress(passed.as_secs().min(119), 120);
        Err(StepError::not_yet(self.cloud.look() * 3))
    }
}
