//! DigitalOcean for Walkback: a thin client, steps that create and remove resources, and the sagas of
//! a hosting company. With the feature `simulator` also a simulated account to run them against.

pub mod client;
pub mod inventory;
pub mod sagas;
pub mod secrets;
#[cfg(feature = "simulator")]
pub mod simulator;
pub mod steps;

pub use client::Client;
#[cfg(feature = "simulator")]
pub use simulator::Simulator;
