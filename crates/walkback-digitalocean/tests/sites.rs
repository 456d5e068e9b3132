//! Sites on a simulated account, by a clock of the test's own.

#![expect(clippy::unwrap_used, reason = "a test reports by panic")]

#[path = "sites/files.rs"]
mod files;
#[path = "sites/inventory.rs"]
mod inventory;
#[path = "sites/life.rs"]
mod life;
#[path = "sites/provision.rs"]
mod provision;
#[path = "sites/shelving.rs"]
mod shelving;
#[path = "sites/stage.rs"]
mod stage;
