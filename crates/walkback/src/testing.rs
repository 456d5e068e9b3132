//! For proving things: a store that fails on purpose, a world outside that remembers, every shape
//! of saga, crashes at every point, and the conformance suite of stores. Reports by panic.

pub use crate::guard::{Ended, Guards, Program, RunError, Status as ProgramStatus};
mod agreement;
mod chance;
pub mod conformance;
pub mod contract;
mod crash;
mod every_fault;
mod faulty;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod mutants;
#[cfg(feature = "postgres")]
pub mod postgres;
mod shapes;
mod simulation;
mod world;

pub use agreement::agree;
pub use chance::Chance;
#[cfg(feature = "postgres")]
pub use crash::cut_everywhere;
pub use crash::{Counts, Memory, Place, VirtualClock, crash_everywhere};
pub use every_fault::{Cloud, End, Ordered, Trial, every_fault};
pub use faulty::{Fault, Faults, Faulty, Planted};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use mutants::{Hunt, Mutant, hunt};
pub use shapes::{Does, Scenario, scenarios};
pub use simulation::{Simulated, simulate};
pub use world::World;
