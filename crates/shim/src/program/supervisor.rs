//! The supervisor: the event loop that watches one attempt.

use std::{fs::File, os::fd::OwnedFd, time::Duration};

use longhaul_failpoint::crashpoint;

use super::{
    connections::Connections,
    ending::RecordState,
    hold,
    input::StdinPipe,
    leader::{ExecReport, Leader, LeaderExit, read_report},
    lease::{LeaseAction, LeaseTerm},
    poll::ReadyDescriptors,
    progress_file::ProgressFile,
    pumps::PipeReaders,
    stopping::{self, StopProgress, TreeStop},
    sys,
    tree::ProcessTree,
};
use crate::{
    attempt_directory::AttemptDirectory,
    clock,
    exit::ProgramEnd,
    identity::Identity,
    launch::{LaunchOrder, PROCESSOR_TIME},
    limit::{EndEvidence, ExceededLimit},
    out_of_memory::has_logged_kill,
    output::StreamId,
    plan::StopPlan,
    process_stat::ProcessStat,
    reason::StopReason,
};

const BATCH_DELAY: Duration = Duration::from_micros(200);
const POLL_DELAY: Duration = Duration::from_millis(10);

/// State of the attempt that this shim supervises.
pub(super) struct Supervisor {
    pub(super) directory: AttemptDirectory,
    pub(super) lock: OwnedFd,
    pub(super) launch: LaunchOrder,
    pub(super) identity: Identity,
    pub(super) signals: OwnedFd,
    pub(super) leader: Leader,
    pub(super) tree: ProcessTree,
    pub(super) pumps: PipeReaders,
    pub(super) input: StdinPipe,
    pub(super) term: Option<LeaseTerm>,
    pub(super) progress: Option<ProgressFile>,
    /// File with disk space reserved for the exit record. It is present until the record is written.
    pub(super) reserved: Option<File>,
    pub(super) connections: Connections,
    pub(super) stopping: Option<TreeStop>,
    pub(super) pause: PauseState,
    pub(super) paused_ms: u64,
    pub(super) require_no_live_descendants: bool,
    pub(super) leftovers: u64,
    pub(super) record: RecordState,
}

/// Pause state of the process tree. `since` is the start time of the pause in milliseconds of awake time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PauseState {
    Free,
    Held { since: u64 },
}

impl Supervisor {
    /// Runs the event loop until the end of the attempt is recorded and reported.
    pub(super) fn run(mut self) {
        self.serve_waiting();
        self.hand_over();
        self.open_gate();
        while !self.advance() {
            if self.pumps.are_flooded() {
                // Without this delay, the shim would wake up for every small write and use processor time that the
                // command needs.
                std::thread::sleep(BATCH_DELAY);
            }
            let deadline = self.next_deadline();
            let Ok(changed) = self.poll(deadline) else {
                // Polling fails only if the kernel interface is broken. Do not give up the attempt, but sleep before
                // the next try.
                std::thread::sleep(POLL_DELAY);
                continue;
            };
            self.react(&changed);
        }
        crashpoint!("shim.leave");
        self.tree.remove_cgroup();
        self.connections.remove_door(&self.directory);
        self.input.close(&self.directory);
        // Release the lock last, because other programs consider the attempt alive while the lock is held.
        drop(self.lock);
    }

    /// Executes the requests that arrived together with the launch. If they include a stop, the gate does not open.
    fn serve_waiting(&mut self) {
        // These requests are already in the frame buffer, so `poll` would not report the socket as readable.
        self.serve(0);
    }

    fn open_gate(&mut self) {
        let gated = std::mem::replace(&mut self.leader, Leader::Doomed { ending: ProgramEnd::NeverRan });
        match gated {
            Leader::Gated { gate, report } => {
                crashpoint!("shim.gate");
                if rustix::io::write(&gate, &[1]).is_ok() {
                    crashpoint!("shim.gate.open");
                    self.leader = Leader::Starting { report };
                }
            }
            other @ (Leader::Starting { .. }
            | Leader::Running { .. }
            | Leader::Doomed { .. }
            | Leader::Ended(_)) => self.leader = other,
        }
    }

    /// Executes all steps that are due now. Returns true if the shim has no more work.
    fn advance(&mut self) -> bool {
        let now = clock::awake_ms();
        self.check_timeout(now);
        self.check_term(now);
        if let Some(progress) = &mut self.progress {
            progress.advance(now);
        }
        self.advance_stop(now);
        let done = self.advance_ending(now);
        self.connections.drop_broken(now);
        if !done {
            self.connections.advance_door(&self.directory, now);
        }
        done
    }

    fn check_timeout(&mut self, now: u64) {
        if self.timeout_at().is_some_and(|at| now >= at) {
            self.begin_stop(Some(StopReason::Timeout), None, now);
        }
    }

    fn check_term(&mut self, now: u64) {
        match self.term.as_mut().map_or(LeaseAction::Nothing, LeaseTerm::advance) {
            LeaseAction::Nothing => {}
            // The leader has ended, so there is nothing to stop: leftovers are already being stopped, or the launch
            // allows them to keep running.
            LeaseAction::Stop if self.leader.has_ended() => {}
            LeaseAction::Stop => self.begin_stop(Some(StopReason::Limit), None, now),
            LeaseAction::Kill => {
                if let Some(stopping) = &mut self.stopping {
                    stopping.force(now);
                }
            }
        }
    }

    /// Returns the time when the timeout of the program is reached, in milliseconds of awake time. Returns `None` if
    /// there is no timeout, or while the tree is paused or being stopped.
    fn timeout_at(&self) -> Option<u64> {
        let since = self.leader.since()?;
        let counted = self.launch.timeout_ms > 0 && self.stopping.is_none() && self.pause == PauseState::Free;
        counted.then(|| since.saturating_add(self.launch.timeout_ms).saturating_add(self.paused_ms))
    }

    /// Starts to stop the process tree, unless a stop is already in progress.
    pub(super) fn begin_stop(&mut self, reason: Option<StopReason>, plan: Option<StopPlan>, now: u64) {
        self.end_pause(now);
        if self.stopping.is_none() {
            let plan = plan.unwrap_or_else(|| self.launch.stop_plan.clone());
            crashpoint!("shim.stop");
            self.stopping = Some(TreeStop::new(reason, plan, now));
            self.advance_stop(now);
            self.send_status();
        }
    }

    fn advance_stop(&mut self, now: u64) {
        let Some(stopping) = &mut self.stopping else {
            return;
        };
        match stopping.advance(&self.tree, self.leader.has_ended(), self.require_no_live_descendants, now) {
            StopProgress::Same | StopProgress::Emptied => {}
            StopProgress::Survivors => self.send_status(),
        }
    }

    /// Records the end of a pause. The caller must resume the processes.
    pub(super) fn end_pause(&mut self, now: u64) {
        if let PauseState::Held { since } = self.pause {
            self.paused_ms = self.paused_ms.saturating_add(now.saturating_sub(since));
            self.pause = PauseState::Free;
        }
    }

    pub(super) fn total_paused_ms(&self, now: u64) -> u64 {
        match self.pause {
            PauseState::Held { since } => self.paused_ms.saturating_add(now.saturating_sub(since)),
            PauseState::Free => self.paused_ms,
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        let now = clock::awake_ms();
        let stop = self.stopping.as_ref().and_then(|each| each.next_deadline(self.leader.has_ended(), now));
        let progress = self.progress.as_ref().map(ProgressFile::next_deadline);
        let all =
            [self.timeout_at(), stop, self.ending_deadline(), self.connections.next_deadline(), progress];
        all.into_iter().flatten().min()
    }

    fn react(&mut self, changed: &ReadyDescriptors) {
        for place in &changed.writable {
            if let Some(connection) = self.connections.nth(*place) {
                connection.flush();
            }
        }
        // Handle the start report before the end of the program. A program that ends immediately must still be recorded
        // as started.
        if changed.report || changed.signals {
            self.hear_report();
        }
        if changed.stdout {
            self.pumps.pump(StreamId::Stdout);
        }
        if changed.stderr {
            self.pumps.pump(StreamId::Stderr);
        }
        if changed.signals {
            self.reap();
        }
        for place in &changed.readable {
            self.serve(*place);
        }
        self.connections.drop_broken(clock::awake_ms());
        if changed.listener {
            self.connections.accept();
        }
    }

    fn hear_report(&mut self) {
        let Some(pipe) = self.leader.report() else {
            return;
        };
        match read_report(pipe) {
            ExecReport::Nothing => {}
            ExecReport::Failure { stage, errno } => {
                self.leader = Leader::Doomed { ending: ProgramEnd::SpawnFailed { stage, errno } };
            }
            ExecReport::Silence => {
                self.leader = Leader::Running { since: clock::awake_ms() };
                // Free the memory of the arguments and the environment, because the shim no longer needs them.
                self.launch.arguments = Vec::new();
                self.launch.environment = crate::launch::EnvironmentBlock::default();
                crashpoint!("shim.started");
                self.send_started();
            }
        }
    }

    fn reap(&mut self) {
        let was_halted = sys::take_signals(&self.signals);
        let leader = self.tree.leader();
        let own_cpu_ms = self.own_cpu_ms();
        let mut end = None;
        self.require_no_live_descendants = stopping::reap(|reaped| {
            if reaped.pid == leader {
                end = Some(reaped);
            }
        });
        if let Some(reaped) = end {
            crashpoint!("shim.ended");
            self.end_leader(&reaped, own_cpu_ms, was_halted);
        }
    }

    fn end_leader(&mut self, reaped: &sys::ReapedChild, own_cpu_ms: Option<u64>, undated: bool) {
        let now = clock::awake_ms();
        let run_ms = self
            .leader
            .since()
            .map_or(0, |since| now.saturating_sub(since).saturating_sub(self.total_paused_ms(now)));
        let decided = match &self.leader {
            Leader::Doomed { ending } => Some(*ending),
            Leader::Gated { .. } => Some(ProgramEnd::NeverRan),
            Leader::Starting { .. } | Leader::Running { .. } | Leader::Ended(_) => None,
        };
        let paused = self.pause != PauseState::Free;
        let mut end = LeaderExit::new(reaped, decided, run_ms, paused);
        end.undated = undated;
        end.limit = self.exceeded(&end, own_cpu_ms);
        self.leader = Leader::Ended(end);
    }

    /// Returns the processor time that the leader used without its children, in milliseconds. Returns `None` if the
    /// leader is alive or has no limit on processor time. The time can be read only until the leader is reaped.
    fn own_cpu_ms(&self) -> Option<u64> {
        let is_limited = self.launch.limits.iter().any(|limit| limit.resource == PROCESSOR_TIME);
        let dead = || ProcessStat::read(self.tree.leader()).filter(ProcessStat::is_dead);
        is_limited.then(dead).flatten().map(|stat| stat.used_ms())
    }

    fn exceeded(&self, end: &LeaderExit, own_cpu_ms: Option<u64>) -> Option<ExceededLimit> {
        let waited_for = end.user_ms.saturating_add(end.system_ms);
        let killed = self.stopping.as_ref().is_some_and(|stopping| stopping.escalated == Some(libc::SIGKILL));
        let (cpu_ms, out_of_memory) = match end.ending {
            ProgramEnd::Signaled { signal, .. } => {
                let is_kill = signal == libc::SIGKILL && !killed;
                let since = self.leader.since();
                let is_logged = || has_logged_kill(self.tree.leader(), since.unwrap_or(0));
                (own_cpu_ms, is_kill && (self.tree.has_run_out_of_memory() || is_logged()))
            }
            ProgramEnd::Exited { code } => (Some(waited_for), code != 0 && self.tree.has_run_out_of_memory()),
            ProgramEnd::SpawnFailed { .. } | ProgramEnd::NeverRan => return None,
        };
        let (ending, limits) = (end.ending, self.launch.limits.as_slice());
        EndEvidence { ending, cpu_ms, limits, out_of_memory, killed }.exceeded()
    }

    /// Pauses the whole process tree.
    pub(super) fn hold(&mut self) -> hold::PauseCount {
        let held = hold::hold(&self.tree);
        if self.pause == PauseState::Free {
            self.pause = PauseState::Held { since: clock::awake_ms() };
        }
        held
    }

    pub(super) fn release(&mut self) {
        self.end_pause(clock::awake_ms());
        hold::release(&self.tree);
    }
}
