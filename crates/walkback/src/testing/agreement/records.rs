//! Random changes of what is provisioned, and random surveys.

use crate::desired::{Change, Identity, Provision, RecordChange, Replacement, Seen, Survey};
use crate::id::SagaId;
use crate::json::Json;
use crate::testing::chance::Chance;
use crate::testing::conformance::maker::{at, json};
use crate::time::Timestamp;

const KINDS: [&str; 2] = ["vpc", "droplet"];
const IDS: [&str; 3] = ["a", "b", "c"];

fn moment(chance: &mut Chance) -> Timestamp {
    at(chance.of(&[1_000, 2_000, 3_000, 4_000]))
}

fn spec(chance: &mut Chance) -> Json {
    json(chance.of(&[r#"{"size": 1}"#, r#"{"size": 2}"#]))
}

fn identity(chance: &mut Chance) -> Identity {
    let (kind, id) = (chance.of(&KINDS).to_owned(), chance.of(&IDS).to_owned());
    Identity { kind, external_id: id, name: None, region: None }
}

/// Some changes, or none, that a commit of `saga` may carry.
pub(super) fn changes(chance: &mut Chance, sagas: &[SagaId]) -> Vec<RecordChange> {
    let mut changes = Vec::new();
    while chance.once_in(2) {
        let at = moment(chance);
        let after = if chance.once_in(3) { None } else { Some(spec(chance)) };
        let replaced = after.is_some() && chance.once_in(3);
        let change = Change {
            saga_id: sagas[chance.index(sagas.len())],
            step_idx: chance.index(2),
            spec_version: 1 + chance.below(2),
            changed_by: chance.once_in(2).then(|| sagas[chance.index(sagas.len())]),
            before: spec(chance),
            after,
            replaced: replaced
                .then(|| Replacement { from: identity(chance), to: identity(chance) }),
        };
        let change = match chance.below(6) {
            0..3 => {
                let (kind, id) = (chance.of(&KINDS), chance.of(&IDS));
                let what = Provision::new("cloud", kind, id, spec(chance));
                // A step opens one row, and none while one is open.
                let step = chance.index(2);
                changes.push(RecordChange::Close { step, at });
                RecordChange::Open { step, what, at }
            }
            3 => RecordChange::Close { step: chance.index(2), at },
            4 => RecordChange::Swap { change, at },
            _ => RecordChange::Restore { change, at },
        };
        changes.push(change);
    }
    // Two swaps of one row in one commit would both be judged by what was there before it.
    let swaps = changes.iter().filter(|change| change.swap().is_some()).count();
    if swaps > 1 { Vec::new() } else { changes }
}

pub(super) fn survey(chance: &mut Chance) -> Survey {
    let begun_at = moment(chance);
    let mut found = Vec::new();
    for kind in KINDS {
        for id in IDS {
            if chance.once_in(2) {
                found.push(Seen {
                    kind: kind.to_owned(),
                    external_id: id.to_owned(),
                    name: chance.once_in(2).then(|| id.to_owned()),
                    region: chance.once_in(2).then(|| "fra1".to_owned()),
                    tags: if chance.once_in(2) { vec!["t".to_owned()] } else { Vec::new() },
                    state: spec(chance),
                });
            }
        }
    }
    let kinds = KINDS.iter().filter(|_| !chance.once_in(3)).map(|kind| (*kind).to_owned());
    let kinds: Vec<String> = kinds.collect();
    Survey { provider: "cloud".to_owned(), kinds, found, begun_at, at: at(9_000) }
}
