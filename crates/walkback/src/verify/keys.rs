//! I2: one run per idempotency key.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::id::SagaId;
use crate::store::Spec;
use crate::verify::Report;

/// The keys seen so far, as hashes.
#[derive(Default)]
pub(super) struct Keys(HashMap<[u8; 16], SagaId>);

impl Keys {
    pub(super) fn check(&mut self, spec: &Spec, report: &mut Report) {
        let Some(key) = &spec.key else { return };
        if let Some(other) = self.0.insert(digest(key), spec.id) {
            report.add("I2", spec.id, format_args!("saga {other} has the key `{key}` too"));
        }
    }
}

/// Half of the SHA-256 of `text`: enough to tell texts apart.
pub(super) fn digest(text: &str) -> [u8; 16] {
    let hash = Sha256::digest(text);
    std::array::from_fn(|at| hash[at])
}
