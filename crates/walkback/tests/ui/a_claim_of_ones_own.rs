//! Code that would write without having claimed.

use walkback::SagaId;
use walkback::ledger::ClaimId;
use walkback::store::Claim;

fn forge(saga: SagaId, id: ClaimId) -> Claim {
    Claim { saga, id, fence: 1, place: 0 }
}

fn main() {}
