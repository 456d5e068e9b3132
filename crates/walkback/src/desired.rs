//! What runs have provisioned and still want.

use serde::{Deserialize, Serialize};

use crate::id::SagaId;
use crate::json::Json;
use crate::plan::StepIdx;
use crate::time::Timestamp;

/// Something at a provider that a step's output stands for.
///
/// ```
/// use walkback::{Json, desired::Provision};
/// let vpc = Provision::new("digitalocean", "vpc", "5a4981aa", Json::of(&"10.0.0.0/16").unwrap());
/// assert_eq!(vpc.kind, "vpc");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Provision {
    /// Whose it is: `digitalocean`.
    pub provider: String,
    /// What it is there: `droplet`.
    pub kind: String,
    /// Its id there; provider, kind and id are unique together.
    pub external_id: String,
    /// Its name there.
    pub name: Option<String>,
    /// Where it is.
    pub region: Option<String>,
    /// What we want it to be.
    pub spec: Json,
}

impl Provision {
    /// Something without a name and a region.
    pub fn new(provider: &str, kind: &str, external_id: &str, spec: Json) -> Self {
        Self {
            provider: provider.to_owned(),
            kind: kind.to_owned(),
            external_id: external_id.to_owned(),
            name: None,
            region: None,
            spec,
        }
    }
}

impl Provision {
    /// Whether both are the same thing at the provider.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.kind == other.kind
            && self.external_id == other.external_id
    }
}

/// A change of `cloud_provisioned`, written in the commit of the step's success or undo (S19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// The step has made this.
    Open {
        /// The step.
        step: StepIdx,
        /// What it made.
        what: Provision,
        /// When.
        at: Timestamp,
    },
    /// What the step had made is gone.
    Close {
        /// The step.
        step: StepIdx,
        /// When.
        at: Timestamp,
    },
}

/// A row of `cloud_provisioned`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Provisioned {
    /// The run that made it.
    pub saga_id: SagaId,
    /// The step that made it.
    pub step_idx: StepIdx,
    /// What it is.
    #[serde(flatten)]
    pub what: Provision,
    /// One at first; one more with each change.
    pub spec_version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was undone, if it was.
    pub closed_at: Option<Timestamp>,
}

impl Provisioned {
    /// Whether, being open for what `saga` has made, it stands in the way of undoing that: another
    /// run's, or changed since it was made (rule S13).
    pub(crate) fn forbids_rollback(&self, saga: SagaId) -> bool {
        self.saga_id != saga || self.spec_version != 1
    }
}
