//! The program's process group, as the guard sees it: signalled, reaped, and waited for.

use std::{fs, time::Duration};

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process,
        kill_process_group, test_kill_process_group, wait, waitid,
    },
};
use tokio::{signal::unix::Signal as SignalStream, time::sleep};

/// How often a group is looked at which does not tell of its end: a member whose parent is outside
/// the group is not ours to reap, and its end makes no `SIGCHLD` here.
const TICK: Duration = Duration::from_millis(10);

/// After how many ticks `/proc` is asked whether those that are left are all dead.
const PATIENCE: u32 = 20;

/// The process group of a child of this process, which is a subreaper. This process has no other
/// children than that child and what it left behind.
pub(super) struct Group {
    /// The first process, which gave the group its number.
    leader: Pid,
    /// How the first process ended, once it was reaped.
    status: Option<WaitStatus>,
}

impl Group {
    /// The group that `leader`, an unreaped child of this process, was made to lead.
    pub(super) fn new(leader: Pid) -> Self {
        Self { leader, status: None }
    }

    /// How the first process ended, if it was reaped.
    pub(super) fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    /// Whether the first process has ended. It is not reaped by this if it can be helped: its
    /// remains keep the group's number from being given to another.
    pub(super) fn has_lost_leader(&mut self) -> bool {
        if self.leader_ended() {
            return true;
        }
        self.reap();
        self.status.is_some()
    }

    /// Whether the first process was reaped or waits for it.
    fn leader_ended(&self) -> bool {
        let peek = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        self.status.is_some() || !matches!(waitid(WaitId::Pid(self.leader), peek), Ok(None))
    }

    /// Reaps every child that has ended: the first process, and orphans of any group.
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.leader {
                self.status = Some(status);
            }
        }
    }

    /// Whether no process is left in the group, not even a dead one.
    pub(super) fn is_gone(&self) -> bool {
        self.leader_ended() && test_kill_process_group(self.leader) == Err(Errno::SRCH)
    }

    /// Asks every member to end. One that is suspended is woken up, or it would not hear.
    pub(super) fn terminate(&self) {
        // An error means that the group is gone or not ours to signal; the caller looks anyway.
        kill_process_group(self.leader, Signal::TERM).ok();
        kill_process_group(self.leader, Signal::CONT).ok();
    }

    /// Waits until something may have changed; `children` tells of `SIGCHLD`.
    pub(super) async fn changed(children: &mut SignalStream) {
        tokio::select! {
            Some(()) = children.recv() => {}
            () = sleep(TICK) => {}
        }
    }

    /// Kills every member and reaps them until none is left. A member that cannot be killed (it
    /// became another user's, or waits in the kernel for a dead disk) is waited for.
    pub(super) async fn destroy(&mut self, children: &mut SignalStream) {
        let mut ticks = 0;
        loop {
            if !self.leader_ended() {
                // It may have moved to another group, and is a child: its number is its own.
                kill_process(self.leader, Signal::KILL).ok();
            }
            let sent = kill_process_group(self.leader, Signal::KILL);
            self.reap();
            if self.is_gone() {
                return;
            }
            if ticks >= PATIENCE && is_dead(self.leader, sent) {
                // One may have died, and come to this process, after the look above.
                return self.reap();
            }
            ticks += 1;
            Self::changed(children).await;
        }
    }
}

/// Kills the group of a guard that died, and returns once no member is alive.
pub(super) async fn destroy_orphaned(leader: Pid) {
    loop {
        let sent = kill_process_group(leader, Signal::KILL);
        if sent == Err(Errno::SRCH) || is_dead(leader, sent) {
            return;
        }
        sleep(TICK).await;
    }
}

/// Whether all that is left of a group is dead and waits for parents who do not reap; `sent` is
/// what came of killing it. They would make the group look alive for ever.
fn is_dead(group: Pid, sent: Result<(), Errno>) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return false };
    let group = group.as_raw_pid().to_string();
    sent.is_ok()
        && !processes.filter_map(Result::ok).any(|process| {
            let stat = fs::read(process.path().join("stat")).unwrap_or_default();
            let stat = String::from_utf8_lossy(&stat);
            // `pid (name) state parent group …`, where the name may hold anything.
            let mut fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let state = fields.next().unwrap_or("X");
            !matches!(state, "Z" | "X") && fields.nth(1) == Some(group.as_str())
        })
}
