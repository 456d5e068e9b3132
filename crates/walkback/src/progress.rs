//! How far bodies of this process say they are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::SagaId;
use crate::plan::StepIdx;

/// How far bodies of this process say they are: `done` of `total`, for live views.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<Mutex<Steps>>);

type Steps = BTreeMap<(SagaId, StepIdx), (u64, u64)>;

impl Progress {
    pub(crate) fn set(&self, saga: SagaId, step: StepIdx, progress: (u64, u64)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((saga, step), progress);
    }

    pub(crate) fn get(&self, saga: SagaId, step: StepIdx) -> Option<(u64, u64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(saga, step)).copied()
    }

    pub(crate) fn forget(&self, saga: SagaId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.is_empty() {
            known.retain(|(id, _), _| *id != saga);
        }
    }
}
