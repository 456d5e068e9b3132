//! What runs have provisioned, and what the provider says exists.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::desired::{Observed, Provision, Provisioned, RecordChange, Resource, Seen, Survey};
use crate::id::SagaId;
use crate::time::Timestamp;

/// A thing by provider, kind and id there.
type Key = (String, String, String);

/// Both tables.
#[derive(Clone, Debug, Default)]
pub(super) struct CloudRecords {
    provisioned: Vec<Provisioned>,
    resources: BTreeMap<Key, Resource>,
}

fn key(what: &Provision) -> Key {
    (what.provider.clone(), what.kind.clone(), what.external_id.clone())
}

impl CloudRecords {
    /// Whether every row that is to be swapped is as the change says it is before.
    pub(super) fn take(&self, changes: &[RecordChange]) -> bool {
        let mut swaps = changes.iter().filter_map(RecordChange::swap);
        swaps.all(|change| self.provisioned.iter().any(|row| row.takes(change)))
    }

    /// Whether somebody else owns what `saga` made, or it was changed.
    pub(super) fn forbid_rollback(&self, saga: SagaId) -> bool {
        self.owners(saga).any(|row| row.forbids_rollback(saga))
    }

    /// Every run's open rows for what `saga` has a row open for.
    pub(super) fn owners(&self, saga: SagaId) -> impl Iterator<Item = &Provisioned> {
        let open = |row: &&Provisioned| row.closed_at.is_none();
        let rows = &self.provisioned;
        let own: Vec<_> = rows.iter().filter(open).filter(|row| row.saga_id == saga).collect();
        rows.iter().filter(open).filter(move |row| own.iter().any(|own| own.what.is(&row.what)))
    }

    pub(super) fn provisioned(&self, saga: Option<SagaId>) -> Vec<Provisioned> {
        let rows = self.provisioned.iter();
        rows.filter(|row| saga.is_none_or(|id| row.saga_id == id))
            .map(|row| self.shown(row))
            .collect()
    }

    /// The row as it is shown: a thing has one name, and is in one place, whoever provisioned it.
    pub(super) fn shown(&self, row: &Provisioned) -> Provisioned {
        let mut shown = row.clone();
        if let Some(thing) = self.resources.get(&key(&row.what)) {
            (shown.what.name, shown.what.region) = (thing.name.clone(), thing.region.clone());
        }
        shown
    }

    /// A run is pruned: its rows, which are closed, go with it.
    pub(super) fn forget(&mut self, saga: SagaId) {
        self.provisioned.retain(|row| row.saga_id != saga);
    }

    pub(super) fn change(&mut self, saga_id: SagaId, change: RecordChange) {
        let rows = &mut self.provisioned;
        // What nobody may want any more, what is there after all, and what stands for something else.
        let (mut left, mut back, mut come) = (Vec::new(), Vec::new(), Vec::new());
        let now = match change {
            RecordChange::Open { step, what, at } => {
                self.appear(&what, at);
                return self.provisioned.push(Provisioned {
                    saga_id,
                    step_idx: step,
                    what,
                    spec_version: 1,
                    changed_by: None,
                    created_at: at,
                    closed_at: None,
                });
            }
            RecordChange::Close { step, at } => {
                let open = |row: &&mut Provisioned| {
                    row.saga_id == saga_id && row.step_idx == step && row.closed_at.is_none()
                };
                for row in rows.iter_mut().filter(open) {
                    row.closed_at = Some(at);
                    left.push(key(&row.what));
                }
                at
            }
            RecordChange::Swap { change, at } => {
                for row in rows.iter_mut().filter(|row| row.takes(&change)) {
                    let was = key(&row.what);
                    row.change(&change, saga_id, at);
                    if change.replaced.is_some() && change.after.is_some() {
                        come.push(row.what.clone());
                    }
                    if change.replaced.is_some() || change.after.is_none() {
                        left.push(was);
                    }
                }
                at
            }
            RecordChange::Restore { change, at } => {
                for row in rows.iter_mut().filter(|row| row.was_changed(&change, saga_id)) {
                    let was = key(&row.what);
                    back.push(was.clone());
                    row.restore(&change);
                    if change.replaced.is_some() {
                        come.push(row.what.clone());
                        left.push(was);
                    }
                }
                at
            }
        };
        for key in back {
            if let Some(thing) = self.resources.get_mut(&key) {
                thing.gone_at = None;
            }
        }
        for what in come {
            self.appear(&what, now);
        }
        for key in left {
            let wanted = self.wanted_by(&key).is_some();
            if let Some(thing) = self.resources.get_mut(&key).filter(|_| !wanted) {
                thing.gone_at = Some(now);
            }
        }
    }

    /// Something was made, or adopted.
    fn appear(&mut self, what: &Provision, at: Timestamp) {
        let thing = self.resources.entry(key(what)).or_insert_with(|| Resource {
            provider: what.provider.clone(),
            kind: what.kind.clone(),
            external_id: what.external_id.clone(),
            name: what.name.clone(),
            region: what.region.clone(),
            tags: Vec::new(),
            state: None,
            first_seen: at,
            last_seen: at,
            missing_since: None,
            gone_at: None,
            wanted_by: None,
            made_by: None,
        });
        (thing.last_seen, thing.missing_since, thing.gone_at) = (at, None, None);
    }

    fn wanted_by(&self, of: &Key) -> Option<SagaId> {
        let wants = |row: &&Provisioned| row.closed_at.is_none() && key(&row.what) == *of;
        self.provisioned.iter().find(wants).map(|row| row.saga_id)
    }

    fn made_by(&self, of: &Key) -> Option<SagaId> {
        let made = |row: &&Provisioned| key(&row.what) == *of;
        self.provisioned.iter().rfind(made).map(|row| row.saga_id)
    }

    /// Takes in what a provider says exists.
    pub(super) fn observe(&mut self, survey: Survey) -> Observed {
        let mut observed = Observed { seen: survey.found.len(), ..Observed::default() };
        for seen in survey.found {
            let Seen { kind, external_id, name, region, tags, state } = seen;
            let key = (survey.provider.clone(), kind.clone(), external_id.clone());
            let entry = self.resources.entry(key);
            observed.new += usize::from(matches!(entry, Entry::Vacant(_)));
            let first_seen = match &entry {
                Entry::Occupied(thing) => thing.get().first_seen,
                Entry::Vacant(_) => survey.at,
            };
            entry.insert_entry(Resource {
                provider: survey.provider.clone(),
                kind,
                external_id,
                name,
                region,
                tags,
                state: Some(state),
                first_seen,
                last_seen: survey.at,
                missing_since: None,
                gone_at: None,
                wanted_by: None,
                made_by: None,
            });
        }
        let not_found = |thing: &&mut Resource| {
            thing.provider == survey.provider
                && survey.kinds.contains(&thing.kind)
                && thing.last_seen < survey.begun_at
                && thing.gone_at.is_none()
        };
        for thing in self.resources.values_mut().filter(not_found) {
            if thing.missing_since.is_some() {
                thing.gone_at = Some(survey.at);
                observed.gone += 1;
            } else {
                thing.missing_since = Some(survey.at);
                observed.missing += 1;
            }
        }
        observed
    }

    pub(super) fn resources(&self) -> Vec<Resource> {
        let shown = |(key, thing): (&Key, &Resource)| Resource {
            wanted_by: self.wanted_by(key),
            made_by: self.made_by(key),
            ..thing.clone()
        };
        self.resources.iter().map(shown).collect()
    }
}
