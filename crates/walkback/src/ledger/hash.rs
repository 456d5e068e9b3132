//! The hashes that chain a ledger's rows.

use sha2::{Digest, Sha256};

use crate::id::{SagaId, hex};

/// SHA-256 of a row and, through the row, of every row before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowHash(pub [u8; 32]);

impl std::fmt::Debug for RowHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// What the first row's `previous` is: the hash of what the run was started with, so that the
/// chain covers it.
pub fn root_hash(saga: SagaId, kind: &str, steps: &str, inputs: &str) -> RowHash {
    let mut hash = Sha256::new();
    hash.update(saga.as_bytes());
    for text in [kind, steps, inputs] {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    RowHash(hash.finalize().into())
}
