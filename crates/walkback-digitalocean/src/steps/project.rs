//! The project that a site's things are kept in; what cannot be tagged is known to be ours by it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use walkback::desired::Provision;
use walkback::{Attempt, Effect, Options, Probe, Step, StepError};

use crate::steps::named::{Kind, text};
use crate::steps::{named_thing, on_account};

on_account! {
    /// Creates a project, unique by its name, which carries the run.
    CreateProject;
    /// Puts droplets, volume and domain into the project.
    AssignProject;
}

/// What a site is called.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// As its owner calls it.
    pub name: String,
}

/// A project.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Project {
    /// Its id.
    pub project_id: String,
    /// Its name.
    pub project_name: String,
}

const PROJECTS: Kind = Kind { many: "projects", one: "project" };

fn read(found: &Value) -> Project {
    Project { project_id: text(found, "id"), project_name: text(found, "name") }
}

impl Step for CreateProject {
    const NAME: &'static str = "create_project";
    const OPTIONS: Options = super::OPTIONS;
    type Input = Named;
    type Output = Project;

    async fn execute(&self, attempt: Attempt, site: Named) -> Result<Project, StepError> {
        let name = attempt.resource_name(&site.name);
        let members = json!({
            "purpose": "Web Application", "environment": "Production",
            "description": format!("{}, made by saga {}", site.name, attempt.saga_id()),
        });
        Ok(read(&PROJECTS.ensure(&self.cloud, &name, members).await?))
    }

    async fn compensate(
        &self,
        attempt: Attempt,
        site: Named,
        effect: Effect<Project>,
    ) -> Result<(), StepError> {
        let name = attempt.resource_name(&site.name);
        let known = effect.known().map(|project| project.project_id);
        PROJECTS.undo(&self.cloud.undoing(), &attempt, &name, known).await
    }

    async fn probe(&self, attempt: Attempt, site: Named) -> Result<Probe<Project>, StepError> {
        PROJECTS.probe(&self.cloud, &attempt.resource_name(&site.name), read).await
    }

    fn provisions(&self, wanted: &Self::Input, project: &Project) -> Option<Provision> {
        named_thing("project", &project.project_id, &project.project_name, wanted)
    }
}

/// What is put where.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Assigned {
    /// The project.
    pub project_id: String,
    /// Droplets.
    pub droplet_ids: Vec<u64>,
    /// A volume.
    pub volume_id: Option<String>,
    /// A domain.
    pub domain: Option<String>,
    /// Whether the domain is somebody else's, and so is left where it is.
    pub domain_existed: bool,
}

impl Step for AssignProject {
    const NAME: &'static str = "assign_project";
    // What is in a project leaves it when it is deleted, and is made only by this run.
    const OPTIONS: Options = super::OPTIONS.retained("it ends with the things that are in it");
    type Input = Assigned;
    type Output = ();

    async fn execute(&self, _: Attempt, to: Assigned) -> Result<(), StepError> {
        let mut urns: Vec<_> = to.droplet_ids.iter().map(|id| format!("do:droplet:{id}")).collect();
        urns.extend(to.volume_id.map(|id| format!("do:volume:{id}")));
        let domain = to.domain.filter(|_| !to.domain_existed);
        urns.extend(domain.map(|name| format!("do:domain:{name}")));
        let path = format!("/v2/projects/{}/resources", to.project_id);
        let said: Value = self.cloud.post(&path, &json!({ "resources": urns })).await?;
        let there = |one: &Value| {
            matches!(one["status"].as_str(), Some("ok" | "assigned" | "already_assigned"))
        };
        let missing = said["resources"].as_array().into_iter().flatten().find(|one| !there(one));
        match missing {
            None => Ok(()),
            Some(one) => {
                Err(StepError::transient(format_args!("{} is {}", one["urn"], one["status"])))
            }
        }
    }
}
