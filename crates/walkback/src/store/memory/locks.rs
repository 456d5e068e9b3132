//! What runs hold, and what they wait for.

use std::collections::BTreeMap;

use crate::id::SagaId;
use crate::machine::{Lock, Status};
use crate::store::memory::KeptRun;
use crate::store::{Holder, Locks};

type Runs = BTreeMap<SagaId, KeptRun>;

/// By key and run: the lock, and whether it is held or waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptLocks(BTreeMap<(String, SagaId), (Lock, bool)>);

impl KeptLocks {
    /// The runs that hold the key, by the key and then by their ids.
    fn holders<'a>(&'a self, runs: &'a Runs, key: &'a str) -> impl Iterator<Item = SagaId> + 'a {
        let from = (key.to_owned(), SagaId::from_bytes([0; 16]));
        let of_key = self.0.range(from..).take_while(move |((other, _), _)| other == key);
        let holds = |id: &SagaId, lock: &Lock| {
            let head = runs.get(id).map(|kept| &kept.run.head);
            head.is_some_and(|head| lock.is_held_at(head.status, head.attention))
        };
        of_key.filter_map(move |((_, id), (lock, held))| (*held && holds(id, lock)).then_some(*id))
    }

    fn is_free(&self, runs: &Runs, id: SagaId, lock: &Lock) -> bool {
        let others = self.holders(runs, &lock.key).filter(|other| *other != id).count();
        others < lock.room() as usize
    }

    /// Whether all that is to be taken is free, and nothing that is to be waited for.
    pub(super) fn fits(&self, runs: &Runs, id: SagaId, locks: &Locks) -> bool {
        locks.take.iter().all(|lock| self.is_free(runs, id, lock))
            && !locks.wait_for.iter().any(|lock| self.is_free(runs, id, lock))
    }

    pub(super) fn change(&mut self, id: SagaId, locks: Locks) {
        let held = locks.take.into_iter().map(|lock| (lock, true));
        for (lock, held) in held.chain(locks.wait_for.into_iter().map(|lock| (lock, false))) {
            let kept = self.0.entry((lock.key.clone(), id)).or_insert((lock, held));
            kept.1 |= held;
        }
    }

    pub(super) fn all_holders(&self, runs: &Runs, keys: &[String]) -> Vec<Holder> {
        let of_key = |key: &String| {
            let key = key.clone();
            self.holders(runs, &key)
                .map(|saga| Holder { key: key.clone(), saga })
                .collect::<Vec<_>>()
        };
        keys.iter().flat_map(of_key).collect()
    }

    /// Forgets what the run holds no longer or waits for no longer; answers who is next.
    pub(super) fn let_go(&mut self, runs: &Runs, id: SagaId) -> Vec<SagaId> {
        let Some(head) = runs.get(&id).map(|kept| &kept.run.head) else { return Vec::new() };
        let mut keys = Vec::new();
        self.0.retain(|(key, owner), (lock, held)| {
            let over = *owner == id
                && if *held {
                    !lock.is_held_at(head.status, head.attention)
                } else {
                    matches!(head.status, Status::Completed | Status::RolledBack | Status::Failed)
                };
            if over {
                keys.push(key.clone());
            }
            !over
        });
        let next = |key: &String| {
            let waits = self.0.iter().filter(|((other, _), (_, held))| other == key && !held);
            let moving = |id: &SagaId| {
                let status = runs.get(id).map(|kept| kept.run.head.status);
                matches!(status, Some(Status::Pending | Status::Running))
            };
            { waits }.map(|((_, waiter), _)| *waiter).find(moving)
        };
        keys.iter().filter_map(next).collect()
    }

    pub(super) fn forget(&mut self, id: SagaId) {
        self.0.retain(|(_, owner), _| *owner != id);
    }
}
