//! Runs a program under a *guard process*, so that its whole process group is gone before the call
//! returns, and soon after a kill of the calling worker too.
//!
//! # Why a guard
//!
//! A worker that is killed with `kill -9` cannot clean up. The program it was running would go on
//! changing the world while the next worker retries or undoes the same step. So the worker does not
//! start the program itself: it starts *this binary again* as a guard, connected by a socket. The
//! kernel closes the worker's end of that socket however the worker ends, and the guard answers by
//! killing the program's process group. While a guard may have a program running, it holds a shared
//! lock on a file named after the run; [`wait_for_guards`] is how the next worker waits for it.
//!
//! # Who does what, in order
//!
//! | worker | guard |
//! | --- | --- |
//! | starts the guard | own session, subreaper, deaf to `SIGTERM` and the like; says *hello* |
//! | sends the request and the standard input | takes the run's lock, shared; says *ready* |
//! | says *go* | starts the program; says *started* |
//! | reads the outputs; may say *stop* | waits for the end, for *stop*, or for the socket to close |
//! | | kills what is left of the group, reaps it, frees the lock, reports, exits |
//! | reaps the guard, returns | |
//!
//! *Ready* and *go* are what makes the lock a proof: a program starts only under a lock that was
//! held while its worker was still alive. A worker that dies earlier leaves a guard that reads the
//! end of the socket where *go* should be, and that starts nothing, however late it gets to run.
//!
//! # What the binary has to do
//!
//! Call [`guard_main_if_asked`] first thing in `main`, before it starts a thread or a runtime or
//! looks at its arguments.
//!
//! # What is promised, and what is not
//!
//! The promise is about the program's *process group*. A descendant that leaves the group (`setsid`,
//! `setpgid`, a shell's `set -m`) is on its own. So is the group if the guard itself is killed with
//! `SIGKILL` *together with* its worker; a worker that survives its guard kills the group itself.

mod capture;
mod group;
mod lock;
mod process;
mod program;
mod talk;
mod wire;
mod worker;

pub use process::{GUARD_ARG, guard_main_if_asked};
pub use program::{Ended, Program, RunError, Status};
pub use worker::{Guards, run, wait_for_guards};
