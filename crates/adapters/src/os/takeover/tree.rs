//! The processes of an attempt that lost its shim.
//!
//! Its descendants are nobody's in particular then. They are told by their session, by their parents, by their control
//! group, or by the variables that every command is started with.

use super::{FIRST_PAUSE, KILL, LONGEST_PAUSE};
use crate::os::launch;
use crate::os::look::{self, Sight};
use crate::os::pidfd;
use crate::os::procfs;
use crate::os::spawner::Shared;
use crate::os::usage::{Census, pids_in};
use crate::os::watch::Sent;
use longhaul_domain::{SignalTarget, TreeUsage};
use longhaul_ports::AttemptKey;
use longhaul_shim::{FileIdentity, Identity, ProcessStat};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who is killed and lives so long after is named.
const SURVIVORS_AFTER: Duration = Duration::from_secs(2);
const HOLD_PASSES: u32 = 100;
const CONTINUE: i32 = 18;
const HALT: i32 = 19;

/// The tree of one attempt.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    key: AttemptKey,
    leader: u32,
    start_time: u64,
    marks: [String; 2],
    cgroup: Option<PathBuf>,
    /// Programs that never belong to work, wherever they were started: shims and managers.
    strangers: Vec<FileIdentity>,
}

impl Tree {
    pub(super) fn new(shared: &Shared, key: AttemptKey, identity: &Identity) -> Self {
        let programs = [FileIdentity::of_process(std::process::id()), FileIdentity::of(&shared.options.shim)];
        let inner = Inner {
            key,
            leader: identity.pid,
            start_time: identity.start_time,
            marks: launch::marks(key),
            cgroup: identity.cgroup.clone(),
            strangers: programs.into_iter().flatten().collect(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sends a signal to everybody.
    pub(super) async fn signal(&self, signal: i32) {
        self.beside(move |inner| {
            inner.signal(signal);
            if signal != KILL {
                // A stopped process acts on nothing until it goes on.
                inner.release();
            }
        })
        .await;
    }

    /// Sends a signal that somebody asked for, which those that are halted get when they go on.
    pub(super) async fn send(&self, Sent { signal, target }: Sent) -> Result<(), String> {
        let reached = self.beside(move |inner| {
            let mut members = inner.members();
            members.retain(|member| target == SignalTarget::Tree || member.pid == inner.leader);
            members.iter().filter(|member| deliver(member, signal.number().into())).count()
        });
        match reached.await {
            Some(0) | None => Err("nobody was there to get it".to_owned()),
            Some(_) => Ok(()),
        }
    }

    /// Halts everybody; an error names how many still run.
    pub(super) async fn hold(&self) -> Result<(), String> {
        self.beside(|inner| {
            let mut running = 0;
            let mut asked = BTreeSet::new();
            for _ in 0..HOLD_PASSES {
                let members = inner.members();
                let is_halted = |member: &ProcessStat| {
                    // It stops by itself once it goes on.
                    let waits = || asked.contains(&member.birth()) && member.waits_for_one_of(members.iter());
                    member.is_stopped() || waits()
                };
                let awake: Vec<_> = members.iter().filter(|member| !is_halted(member)).collect();
                running = awake.len();
                if running == 0 {
                    return Ok(());
                }
                let reached =
                    awake.into_iter().filter(|member| deliver(member, HALT)).map(ProcessStat::birth);
                asked.extend(reached);
                std::thread::sleep(FIRST_PAUSE);
            }
            // Half halted would be worse than not at all.
            inner.release();
            Err(format!("{running} of its processes still run"))
        })
        .await
        .unwrap_or_else(|| Err("it could not be halted".to_owned()))
    }

    /// Lets everybody go on.
    pub(super) async fn release(&self) {
        self.beside(Inner::release).await;
    }

    /// What they use together; none if nobody is left.
    pub(super) async fn usage(&self) -> Option<TreeUsage> {
        self.beside(|inner| {
            let cgroup = inner.cgroup.as_deref();
            Census::of(inner.members(), cgroup).usage(cgroup)
        })
        .await
        .flatten()
    }

    /// What they wait for and listen on; none if nobody is left.
    pub(super) async fn look(&self) -> Option<Sight> {
        self.beside(|inner| {
            let cgroup = inner.cgroup.as_deref();
            look::into(&Census::of(inner.members(), cgroup), cgroup)
        })
        .await
        .flatten()
    }

    /// Counts who is alive beside the command itself.
    pub(super) async fn others(&self) -> u64 {
        let count =
            self.beside(|inner| inner.members().iter().filter(|member| member.pid != inner.leader).count());
        u64::try_from(count.await.unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// Kills until nobody is left; returns how many there were beside the command.
    pub(super) async fn empty(&self) -> u64 {
        let mut killed = BTreeSet::new();
        let mut pause = FIRST_PAUSE;
        let begin = Instant::now();
        let mut named = false;
        loop {
            let round = self.beside(|inner| {
                inner.thaw();
                inner.signal(KILL)
            });
            match round.await {
                Some(reached) if !reached.is_empty() => {
                    if !named && begin.elapsed() >= SURVIVORS_AFTER {
                        named = true;
                        let survivors: Vec<u32> = reached.iter().map(|(pid, _)| *pid).collect();
                        let key = self.inner.key;
                        tracing::warn!(id = %key.id, attempt = %key.attempt, ?survivors, "killed, and still alive");
                    }
                    killed.extend(reached);
                }
                Some(_) | None => break,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
        killed.retain(|(pid, _)| *pid != self.inner.leader);
        u64::try_from(killed.len()).unwrap_or(u64::MAX)
    }

    /// Looks at all processes of the machine on a thread that may block.
    async fn beside<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Option<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await.ok()
    }
}

impl Inner {
    fn signal(&self, signal: i32) -> Vec<(u32, u64)> {
        let members = self.members();
        for member in &members {
            deliver(member, signal);
        }
        members.iter().map(ProcessStat::birth).collect()
    }

    fn release(&self) {
        self.thaw();
        // Also to those that run: a stop that was asked of them may not have taken effect yet, and this revokes it.
        for member in self.members() {
            deliver(&member, CONTINUE);
        }
    }

    fn thaw(&self) {
        if let Some(cgroup) = &self.cgroup {
            // One that is gone holds nobody.
            drop(fs::write(cgroup.join("cgroup.freeze"), "0"));
        }
    }

    /// Lists who is alive.
    fn members(&self) -> Vec<ProcessStat> {
        let me = std::process::id();
        let inside = self.cgroup.as_deref().map(pids_in).unwrap_or_default();
        let mut everyone = ProcessStat::everyone();
        // A pid is given to nobody else while it names a session.
        let has_session =
            !everyone.iter().any(|stat| stat.pid == self.leader && stat.start_time != self.start_time);
        everyone.retain(|stat| stat.pid != me && !stat.is_dead() && stat.start_time >= self.start_time);
        let mut found: BTreeSet<u32> = BTreeSet::new();
        let mut members = Vec::new();
        let mut rest = everyone;
        loop {
            // Parents come first in one round, and their children at the latest in the next.
            let belongs = |stat: &ProcessStat| {
                found.contains(&stat.parent)
                    || (has_session && stat.session == self.leader)
                    || self.is_marked(stat, &inside)
            };
            let (fresh, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(belongs);
            let fresh: Vec<ProcessStat> =
                fresh.into_iter().filter(|stat| !self.is_stranger(stat.pid)).collect();
            if fresh.is_empty() {
                return members;
            }
            found.extend(fresh.iter().map(|stat| stat.pid));
            members.extend(fresh);
            rest = others;
        }
    }

    fn is_marked(&self, stat: &ProcessStat, inside: &BTreeSet<u32>) -> bool {
        stat.pid == self.leader && stat.start_time == self.start_time
            || inside.contains(&stat.pid)
            || procfs::was_started_with(stat.pid, &self.marks)
    }

    fn is_stranger(&self, pid: u32) -> bool {
        FileIdentity::of_process(pid).is_some_and(|program| self.strangers.contains(&program))
    }
}

/// Sends a signal to one member, and to nobody who got its pid later; false if it has ended meanwhile, or belongs to
/// somebody else now.
fn deliver(member: &ProcessStat, signal: i32) -> bool {
    let open = pidfd::open(member.pid, member.start_time);
    open.is_ok_and(|fd| fd.is_some_and(|fd| pidfd::send(&fd, signal).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AttemptNo, ProcessId};

    #[test]
    fn a_session_whose_pid_has_passed_to_another_is_no_part_of_it() {
        let mut other = std::process::Command::new("setsid").args(["sleep", "60"]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let stat = loop {
            let stat = ProcessStat::read(other.id()).unwrap();
            if stat.session == stat.pid {
                break stat;
            }
            assert!(Instant::now() < deadline, "{stat:?}");
            std::thread::sleep(FIRST_PAUSE);
        };
        let key = AttemptKey { id: ProcessId::new(uuid::Uuid::new_v4()), attempt: AttemptNo(1) };
        let of = |start_time| Inner {
            key,
            leader: stat.pid,
            start_time,
            marks: launch::marks(key),
            cgroup: None,
            strangers: Vec::new(),
        };
        let pids = |inner: Inner| inner.members().iter().map(|member| member.pid).collect::<Vec<_>>();
        assert_eq!(pids(of(stat.start_time)), [stat.pid]);
        assert_eq!(pids(of(stat.start_time.saturating_sub(1))), [0; 0]);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
