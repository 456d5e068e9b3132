//! What the engine must know of a step without its code.

use serde::{Deserialize, Serialize};

/// What is fixed of a step when a run is accepted, so that a ledger can be folded without its code.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Facts {
    #[serde(skip_serializing_if = "is_true")]
    pub(crate) undo: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) probe: bool,
    #[serde(skip_serializing_if = "is_true")]
    pub(crate) repeatable: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) pivot: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) read_only: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(flag: &bool) -> bool {
    *flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl Default for Facts {
    fn default() -> Self {
        Self { undo: true, probe: false, repeatable: true, pivot: false, read_only: false }
    }
}

impl Facts {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
