//! What runs have provisioned and still want, and what the provider says exists.

use schemars::JsonSchema;
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
    /// Which thing at the provider it is.
    pub fn identity(&self) -> Identity {
        Identity {
            kind: self.kind.clone(),
            external_id: self.external_id.clone(),
            name: self.name.clone(),
            region: self.region.clone(),
        }
    }

    /// It is this thing of the same provider from here on.
    pub(crate) fn identify(&mut self, as_this: &Identity) {
        let Identity { kind, external_id, name, region } = as_this.clone();
        *self = Self { kind, external_id, name, region, ..self.clone() };
    }

    /// Whether both are the same thing at the provider.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.provider == other.provider
            && self.kind == other.kind
            && self.external_id == other.external_id
    }
}

/// Which thing at its provider something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// What it is there: `droplet`.
    pub kind: String,
    /// Its id there.
    pub external_id: String,
    /// Its name there.
    pub name: Option<String>,
    /// Where it is.
    pub region: Option<String>,
}

/// One thing that stands for another: a snapshot for the droplet that was destroyed once it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// What the row was before.
    pub from: Identity,
    /// What it is after, at the same provider.
    pub to: Identity,
}

/// A change of what some run has provisioned, which a step's success brings about and its undo takes
/// back (rule S19). [`Provisioned::becomes`] makes one.
///
/// The row must be as it is said to be before when the step's success is committed: compare and swap.
/// If somebody else was faster the step fails, and is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The run whose row it is.
    #[schemars(with = "String")]
    pub saga_id: SagaId,
    /// The step that made the thing.
    pub step_idx: StepIdx,
    /// At which version the row is before; it is one more after.
    pub spec_version: u64,
    /// Who had changed the row before, if somebody had.
    #[schemars(with = "Option<String>")]
    pub changed_by: Option<SagaId>,
    /// What was wanted before.
    #[schemars(with = "serde_json::Value")]
    pub before: Json,
    /// What is wanted after; nothing, if the thing is gone.
    #[schemars(with = "Option<serde_json::Value>")]
    pub after: Option<Json>,
    /// Which thing the row is after, if it is another; what is gone is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Replacement>,
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
    /// A row, any run's, is another now. If it is not as the change says it is before, nothing of the
    /// commit is written.
    Swap {
        /// Which row, and how it changes.
        change: Change,
        /// When.
        at: Timestamp,
    },
    /// A row is again as it was before this run's change, its version included; unless somebody has
    /// changed it since.
    Restore {
        /// The change that is taken back.
        change: Change,
        /// When.
        at: Timestamp,
    },
}

impl RecordChange {
    /// The change that is refused if it comes too late.
    pub(crate) fn swap(&self) -> Option<&Change> {
        if let Self::Swap { change, .. } = self { Some(change) } else { None }
    }
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
    /// One at first; one more with each change that stands.
    pub spec_version: u64,
    /// The run that changed it last, if one has.
    pub changed_by: Option<SagaId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was undone, if it was.
    pub closed_at: Option<Timestamp>,
}

impl Provisioned {
    /// The change after which this is wanted; nothing, if the thing is gone.
    #[must_use]
    pub fn becomes(&self, after: Option<Json>) -> Change {
        Change {
            saga_id: self.saga_id,
            step_idx: self.step_idx,
            spec_version: self.spec_version,
            changed_by: self.changed_by,
            before: self.what.spec.clone(),
            after,
            replaced: None,
        }
    }

    /// The change after which this other thing is there in its place, and this is wanted of it.
    #[must_use]
    pub fn is_replaced(&self, by: Identity, wanted: Json) -> Change {
        let replaced = Some(Replacement { from: self.what.identity(), to: by });
        Change { replaced, ..self.becomes(Some(wanted)) }
    }

    /// Whether the change can be made to this row.
    pub(crate) fn takes(&self, change: &Change) -> bool {
        let takes = Change {
            after: change.after.clone(),
            replaced: change.replaced.clone(),
            ..self.becomes(None)
        };
        self.closed_at.is_none() && takes == *change
    }

    /// Whether the change, made by `saga`, was the last one of this row.
    pub(crate) fn was_changed(&self, change: &Change, saga: SagaId) -> bool {
        self.is_row_of(change)
            && self.spec_version == change.spec_version + 1
            && self.changed_by == Some(saga)
    }

    /// Whether it is the row that the change is for.
    pub(crate) fn is_row_of(&self, change: &Change) -> bool {
        (self.saga_id, self.step_idx) == (change.saga_id, change.step_idx)
    }

    /// Makes the change, which is `by`'s.
    pub(crate) fn change(&mut self, change: &Change, by: SagaId, at: Timestamp) {
        self.spec_version += 1;
        self.changed_by = Some(by);
        match &change.after {
            Some(spec) => {
                self.what.spec = spec.clone();
                if let Some(replaced) = &change.replaced {
                    self.what.identify(&replaced.to);
                }
            }
            None => self.closed_at = Some(at),
        }
    }

    /// Takes the change back.
    pub(crate) fn restore(&mut self, change: &Change) {
        self.spec_version = change.spec_version;
        self.changed_by = change.changed_by;
        self.what.spec = change.before.clone();
        self.closed_at = None;
        if let Some(replaced) = &change.replaced {
            self.what.identify(&replaced.from);
        }
    }

    /// Whether, being open for what `saga` has made, it stands in the way of undoing that: another
    /// run's, or changed since it was made (rule S13).
    pub(crate) fn forbids_rollback(&self, saga: SagaId) -> bool {
        self.saga_id != saga || self.spec_version != 1
    }
}

/// Something that a provider says exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is there: `droplet`.
    pub kind: String,
    /// Its id there.
    pub external_id: String,
    /// Its name there.
    pub name: Option<String>,
    /// Where it is.
    pub region: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What the provider says of it, without secrets.
    pub state: Json,
}

/// What a provider says exists, all kinds listed whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Whose it is: `digitalocean`.
    pub provider: String,
    /// The kinds that were listed: what is not of them is not missed.
    pub kinds: Vec<String>,
    /// What was found.
    pub found: Vec<Seen>,
    /// When the survey began: what was made later is not missed.
    pub begun_at: Timestamp,
    /// When it ended.
    pub at: Timestamp,
}

/// What a survey came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observed {
    /// Things that exist.
    pub seen: usize,
    /// Of these: seen or made for the first time.
    pub new: usize,
    /// Things that were not found for the first time: a list may have overlooked them.
    pub missing: usize,
    /// Things that were not found again: they are gone.
    pub gone: usize,
}

/// A row of `cloud_resources`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// Whose it is.
    pub provider: String,
    /// What it is there.
    pub kind: String,
    /// Its id there.
    pub external_id: String,
    /// Its name there.
    pub name: Option<String>,
    /// Where it is.
    pub region: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What the provider said of it last, if it was ever seen.
    pub state: Option<Json>,
    /// When it was made or first seen.
    pub first_seen: Timestamp,
    /// When it was last made or seen.
    pub last_seen: Timestamp,
    /// When it was not found for the first time.
    pub missing_since: Option<Timestamp>,
    /// When it was removed, or not found again.
    pub gone_at: Option<Timestamp>,
    /// The run that has provisioned it and still wants it.
    pub wanted_by: Option<SagaId>,
    /// The run that provisioned it last, whether or not it still wants it.
    pub made_by: Option<SagaId>,
}
