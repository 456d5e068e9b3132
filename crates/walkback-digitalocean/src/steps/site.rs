//! What a site came to: its address, and what it costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use walkback::{Attempt, Options, Step, StepError};

use crate::steps::on_account;

on_account! {
    /// Says what exists now, where it is, and what it costs an hour, as far as the API says.
    DescribeSite;
}

/// What was made.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    /// The droplets.
    pub droplet_ids: Vec<u64>,
    /// The address of the droplet, or of what is before it.
    pub site_address: String,
    /// The domain.
    pub domain: Option<String>,
    /// Whether it serves HTTPS.
    pub https: bool,
    /// Dollars an hour for the droplets.
    pub droplets_per_hour: f64,
    /// Kinds it has that cost something, of which the API does not say what.
    pub unpriced: Vec<String>,
}

/// What a site came to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// Where it answers.
    pub address: String,
    /// Where it answers, for people.
    pub url: String,
    /// Dollars an hour, as far as the API says: its droplets.
    pub cost_per_hour: f64,
    /// What costs more, of which the API does not say how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_leaves_out: Option<String>,
}

impl Step for DescribeSite {
    const NAME: &'static str = "describe_site";
    const OPTIONS: Options = super::OPTIONS.read_only();
    type Input = Made;
    type Output = Site;

    async fn execute(&self, _: Attempt, made: Made) -> Result<Site, StepError> {
        for id in &made.droplet_ids {
            // Not from what we remember: what is not there is not said to be.
            let path = format!("/v2/droplets/{id}");
            self.cloud.get::<serde_json::Value>(&path).await?;
        }
        let host = made.domain.unwrap_or_else(|| made.site_address.clone());
        let scheme = if made.https { "https" } else { "http" };
        Ok(Site {
            address: made.site_address,
            url: format!("{scheme}://{host}/"),
            // To a hundredth of a cent: the API has it to a fraction of that.
            cost_per_hour: (made.droplets_per_hour * 10_000.0).round() / 10_000.0,
            cost_leaves_out: Some(made.unpriced.join(", ")).filter(|kinds| !kinds.is_empty()),
        })
    }
}
