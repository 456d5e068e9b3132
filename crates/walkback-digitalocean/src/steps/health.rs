//! Whether a site answers whoever visits it.

use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Attempt, Options, Step, StepError};

use crate::client::Page;
use crate::steps::{on_account, refused};

on_account! {
    /// Waits until the site answers with a page or a redirection, where it is and under its name.
    CheckHealth;
}

/// How long what is installed when a droplet boots may take.
const LONGEST: Duration = Duration::from_mins(15);

/// Which site.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Visited {
    /// Its address.
    pub address: IpAddr,
    /// Its name in the net, if it has one.
    pub domain: Option<String>,
    /// Whether it serves HTTPS.
    pub https: bool,
    /// Which page is asked for.
    pub health_path: String,
}

/// What the site answered.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Healthy {
    /// HTTP's status: from 200 to 399.
    pub health_status: u16,
}

impl Step for CheckHealth {
    const NAME: &'static str = "check_health";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Visited;
    type Output = Healthy;

    async fn execute(&self, attempt: Attempt, site: Visited) -> Result<Healthy, StepError> {
        let page = Page {
            scheme: if site.https { "https" } else { "http" },
            host: site.domain.unwrap_or_else(|| site.address.to_string()),
            address: site.address,
            path: site.health_path,
        };
        let why = match self.cloud.visit(&page).await {
            Ok(health_status @ 200..400) => return Ok(Healthy { health_status }),
            Ok(status) => format!("it answers {status}"),
            Err(why) => why,
        };
        if attempt.waited() < self.cloud.hurried(LONGEST) {
            attempt.progress(attempt.waited().as_secs().min(119), 120);
            return Err(StepError::not_yet(self.cloud.look() * 3));
        }
        let Page { scheme, host, path, .. } = page;
        refused(format_args!("{scheme}://{host}{path} is not to be had: {why}"))
    }
}
