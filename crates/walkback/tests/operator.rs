//! What people ask of sagas, through the engine, on every store.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]
#![expect(clippy::panic, reason = "a test reports by panic")]

#[path = "operator/changes.rs"]
mod changes;
#[path = "operator/doctor.rs"]
mod doctor;
#[path = "operator/editing.rs"]
mod editing;
#[path = "operator/hook.rs"]
mod hook;
#[path = "operator/leaving.rs"]
mod leaving;
#[path = "operator/locks.rs"]
mod locks;
#[path = "operator/pruning.rs"]
mod pruning;
#[path = "operator/stage.rs"]
mod stage;
#[path = "operator/stopped.rs"]
mod stopped;
#[path = "operator/stubborn.rs"]
mod stubborn;
#[path = "operator/table.rs"]
mod table;
#[path = "operator/waiting.rs"]
mod waiting;
#[path = "operator/ways_out.rs"]
mod ways_out;
