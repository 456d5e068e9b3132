//! What an author may write, what happens to it, and what he is told when it cannot work.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests are not in tests")]

#[path = "authoring/definitions.rs"]
mod definitions;
#[path = "authoring/expansion.rs"]
mod expansion;
#[path = "authoring/inputs.rs"]
mod inputs;
#[path = "authoring/kinds.rs"]
mod kinds;
#[path = "authoring/runs.rs"]
mod runs;
#[path = "authoring/site.rs"]
mod site;
#[path = "authoring/upgrades.rs"]
mod upgrades;
#[path = "authoring/web_site.rs"]
mod web_site;
#[path = "authoring/wiring.rs"]
mod wiring;
#[path = "authoring/writers.rs"]
mod writers;
