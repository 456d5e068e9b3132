//! A store that burns down and is set back to its backup, after which the world knows more than it.

use crate::Engine;
use crate::engine::{Asked, Operation};
use crate::store::{Coordination, WorkerSeen};
use crate::testing::simulation::{Scene, words};

impl Scene {
    /// Somebody makes a backup; or, if there is one, it is needed.
    pub(super) async fn back_up_or_set_back(&mut self, engine: &Engine) -> Result<(), String> {
        if self.set_back {
            return Ok(());
        }
        let Some(backup) = &self.backup else {
            self.backup = self.chance.once_in(2).then(|| self.memory.backup());
            return Ok(());
        };
        self.processes.iter().for_each(|process| process.life.die());
        self.memory.set_back(backup);
        self.set_back = true;
        for WorkerSeen { info, .. } in self.memory.workers().await.map_err(words)? {
            if let Some(worker) = info.id {
                self.memory.retire(worker).await.map_err(words)?;
            }
        }
        let asked = Asked { actor: "ada".to_owned(), reason: None };
        engine.restored(&asked).await.map_err(words)?;
        self.cancelled = false;
        self.missing.clear();
        Ok(())
    }

    /// What somebody asks for that nobody will know of if the store is set back: other data, under which a
    /// step makes things that nobody can look for.
    pub(super) fn known_to_a_backup(&self, operation: Operation) -> Operation {
        match operation {
            Operation::Resume { set: Some(_) } if self.backup.is_some() && !self.set_back => {
                Operation::Resume { set: None }
            }
            other => other,
        }
    }
}
