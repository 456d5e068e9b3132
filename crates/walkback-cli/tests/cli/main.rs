//! The built command, as a shell sees it.

#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod cloud;
mod command;
mod definition;
mod desk;
mod help;
mod hook;
mod interrupt;
#[path = "../../../walkback-digitalocean/tests/every_fault/neighbour.rs"]
mod neighbour;
mod operator;
mod postgres;
mod prune;
mod reading;
mod run;
mod running;
mod store;
mod upgrade;
mod verify;
mod waiting;
