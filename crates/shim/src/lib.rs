//! The shim: the small program that supervises one attempt, with its protocol and its files.
//!
//! A shim is the parent of the command. It has one thread and its own session, and it uses little memory. It keeps
//! running when its starter ends. It has these tasks:
//! - It holds the lock that proves that the attempt is alive.
//! - It enforces the timeout and stops the whole process tree of the command.
//! - It copies the output of the command to disk.
//! - It records how the command ended.
//!
//! [`main`] is the program. All other items are for programs that start shims, talk to shims or read their files.
//!
//! # Sequence of an attempt
//! 1. The starter calls [`start`] with an attempt directory, gets one end of a socket pair, and sends
//!    [`ShimRequest::Launch`] through it. If the starter disconnects before the launch, no command runs.
//! 2. The shim takes the lock and forks a child, which waits at a gate (a pipe). The shim refuses a directory in which
//!    an attempt was already started.
//! 3. The shim makes the identity durable and opens the gate; the child then executes the command. If the gate closes
//!    instead, the child exits. Therefore, if there is no identity, no instruction of the command ran.
//! 4. Peers receive a pidfd and the read ends of both output pipes: the starter before the gate opens, by
//!    [`ShimMessage::Handed`], and other peers by [`ShimMessage::Started`]. A peer that holds these descriptors loses
//!    neither output nor exit status if the shim is killed. While the shim runs, only the shim may read from the pipes.
//! 5. If the command ends without being stopped, the shim records and reports the end at once. Leftovers keep running
//!    or are stopped, as the launch says. While they are being stopped, the record says `sweeping`; once the tree is
//!    proven empty, the shim reports the record again without `sweeping`. If the command was stopped, the shim records
//!    the end only after the whole tree is proven empty.
//! 6. The shim exits when the record is settled and a peer has acknowledged the record, when no peer is connected that
//!    could acknowledge it, or at the latest one second after the shim reported it.
//!
//! The shim creates its control socket when the starter disconnects, or 100 ms after the gate opened: most attempts end
//! before another peer could need the socket. If the socket cannot be created, for example on a full disk, the shim
//! retries. A client that finds the lock held but no socket waits for it with [`AttemptDirectory::connect_within`].
//!
//! A manager that the command starts is not part of the tree of the command if that manager sends a hello to the shim.
//! Other shims are never part of the tree.
//!
//! # Limits
//! The shim sets the limits of the launch on each process with `setrlimit`. If the cgroup of the tree has the memory or
//! pids controller, the limit on memory or on processes is set on the cgroup instead. When the tree then runs out of
//! memory, the kernel kills the tree as a whole.
//!
//! The exit record names the limit that ended the program only where there is proof:
//! - SIGXFSZ;
//! - SIGXCPU or SIGKILL, with the allowed processor time used up;
//! - SIGKILL, if `memory.events` of the cgroup or the kernel log reports an out-of-memory kill.
//!
//! If an allocation fails at the limit and the program then exits, the record has an exit code and no limit.
//!
//! # Input
//! A launch may request a named pipe as the input of the command: the file `stdin`. The shim holds its write end open,
//! so that the input does not end while writers connect and disconnect ([`AttemptDirectory::input`]).
//! [`ShimRequest::CloseInput`] removes the file and closes the write end of the shim; a shim that supports this request
//! lists `input` in its capabilities. The command reads the end of its input once all other writers have closed the
//! pipe too. Input that the command has not read when it ends is lost. If the shim is killed, the input ends when the
//! last manager that holds the pipe closes it.
//!
//! # Progress
//! A launch may request a progress file: the regular file `progress`, which the shim creates and opens for appending
//! before it forks. The command inherits this descriptor, and the variable `LONGHAUL_PROGRESS_FD` contains its number, 3
//! to 9. The command may write lines of JSON to this descriptor. A write to a regular file never blocks, and never
//! fails because a reader has ended, so the command can write while neither the shim nor a manager is alive. A reader
//! may free all but the last [`KEPT_PROGRESS_LEN`] bytes as soon as the file occupies more than [`MAX_PROGRESS_LEN`].
//! The shim does this too, once a minute ([`trim_progress`]). The offset of a byte does not change, so no line is lost.
//! In two cases, the file is emptied instead: if the file system cannot punch holes; and if the size of files is
//! limited (`RLIMIT_FSIZE`) and the file is larger than half of this limit, which the shim then checks once a second.
//! Readers ignore a line that becomes incomplete in this way. If the file cannot be created, the command runs without
//! the variable, as under a shim that does not know this request. While neither the shim nor a manager is alive, the
//! command continues to write, but no program trims the file.
//!
//! # Lease
//! A launch may name a file that contains the expiry of the node's lease ([`LeaseNote`]). This file is used for
//! processes that may run again on another node if this node is lost. A shim that supports leases lists `lease` in its
//! capabilities. The shim reads the file again when the expiry that it read last is reached, and at least every five
//! seconds. A timer of the boot-time clock triggers this, so that the time in which the machine is suspended counts.
//! - If the lease was not extended, the shim stops the tree with [`StopReason::Limit`], and kills it after five seconds
//!   at most.
//! - If the file cannot be read or belongs to another boot, the shim retries for one second. Then it treats the lease
//!   as expired, because no manager maintains the file.
//!
//! The file is text in the form that the section on files describes: `longhaul-lease 1`, `boot_id`, `until_ms`
//! (milliseconds since boot, or the largest `u64` for a lease that does not expire), `end`.
//!
//! # Clocks
//! Steady time is the boot-time clock plus the offset [`LaunchOrder::anchor_ms`], as milliseconds since the Unix epoch;
//! it never jumps. Awake time is the monotonic clock, which stops while the machine is suspended. Wall-clock times are
//! for display only.
//!
//! # Messages
//! A frame consists of a `u32` length of everything that follows, a `u8` kind, and fields. A field consists of a `u8`
//! tag, a `u32` length, and bytes. All numbers are little endian. The receiver answers an unknown kind with an error
//! and skips unknown tags. The kinds and tags of hello (1), status (3), stop (4), signal (5) and acknowledge (8) never
//! change.
//!
//! The shim reports every change to each peer that has sent a hello. It reports the start by [`ShimMessage::Started`],
//! or by a status to a peer that does not request descriptors. The first connection needs no hello, and receives the
//! descriptors by [`ShimMessage::Handed`] before the gate opens.
//!
//! The shim answers each request on the connection of the request:
//! - hello by [`ShimMessage::Hello`], and also by [`ShimMessage::Exited`] if the attempt has ended;
//! - stop and status by [`ShimMessage::Status`];
//! - signal by [`ShimMessage::Signaled`];
//! - pause and resume by [`ShimMessage::Paused`] and [`ShimMessage::Resumed`];
//! - close input by [`ShimMessage::InputClosed`];
//! - an invalid request by [`ShimMessage::Error`].
//!
//! # Files of an attempt directory
//! The form of these files never changes. [`Identity`], [`ExitRecord`] and [`OutputReader`] describe their content.
//!
//! | file | content |
//! | --- | --- |
//! | the directory | its own `flock` is held for as long as the shim lives |
//! | `ctl` | the Unix socket of the shim, once its starter has disconnected or the attempt has run for 100 ms |
//! | `stdin` | the named pipe (0600) that the command reads, if its launch requested one and until it is closed |
//! | `progress` | lines of JSON from the command, if its launch requested a progress file |
//! | `identity` | the processes of the attempt, durable before the command starts |
//! | `exit` | the exit record, durable before it is reported as durable |
//! | `exit.tmp` | space reserved for `exit`, in case the disk becomes full before the command ends |
//! | `output.log` | the bytes of both outputs; the offset of a byte never changes |
//! | `output.idx` | 16-byte entries: end offset of a run (low 56 bits) and stream (top 8 bits: 1 stdout, 2 stderr), then the steady time of its start in milliseconds; the file is created with the first entry |
//! | `output.gap` | four `u64`: the range that was dropped from the log, and the range that was dropped from the index |
//! | `output.lost` | 16-byte entries of two `u64`: an offset of the log and the number of bytes that could not be stored there; the last entry may still grow, and entry 256 also counts all later losses |
//! | `output.tail0`, `output.tail1`, `output.idx0`, `output.idx1` | the tails, where holes cannot be punched: `LHTAIL1`, a zero byte, the offset of the first byte as `u64`, then content |
//!
//! `identity` and `exit` are text: first the form and its version (`longhaul-identity 1`, `longhaul-exit 1`), then
//! lines of `key=value` with percent-escaped values, and last `end=` with the CRC-32 of everything before in
//! hexadecimal. Readers ignore unknown keys.
//!
//! The keys of `identity` are `process`, `attempt`, `boot_id`, `shim_pid`, `shim_start`, `pid`, `start_time`, `cgroup`
//! (if any), `mechanism`, `started_at`, `wall`.
//!
//! The keys of `exit` are:
//! - `kind`: `exited` with `code`, `signaled` with `signal` and `core`, `spawn_failed` with `stage` and `errno`, or
//!   `never_ran`;
//! - `ended_at`, and `undated` if the moment of the end was not observed, so that `ended_at` is the latest possible
//!   one;
//! - `wall`, `run_ms`, and `stopped` and `escalated` if present;
//! - `swept`, `leftovers`, `pipe_held` (1 if an output pipe is still open), `output_bytes`, `dropped_bytes`,
//!   `write_errors`, `utime_ms`, `stime_ms`, `max_rss_kb`;
//! - `limit` if a limit ended the program: `cpu`, `memory` or `file_size`;
//! - `paused`; `sweeping` while leftovers are being stopped; `unverified` if it could not be verified that the tree is
//!   empty; `settled`.

mod attempt_directory;
mod channel;
mod clock;
mod containment;
mod exit;
mod file_identity;
mod frame;
mod identity;
mod launch;
mod lease;
mod limit;
mod message;
mod out_of_memory;
mod output;
mod plan;
mod process_stat;
mod program;
mod progress;
mod reason;
mod record;
mod request;
mod shortage;
mod status;

pub use attempt_directory::{AttemptDirectory, AttemptFileError, EXIT, IDENTITY, INPUT, SOCKET};
pub use channel::{ATTEMPT_ARGUMENT, MAX_DESCRIPTORS, SHIM_VARIABLE, VERSION_ARGUMENT, receive, send, start};
pub use containment::{AllowedContainment, Containment};
pub use exit::{ExitRecord, ProgramEnd, SpawnStage};
pub use file_identity::FileIdentity;
pub use frame::{
    ControlFrame, FrameBuffer, FrameField, FrameFields, FrameWriter, MAX_FRAME_LEN, ProtocolError,
};
pub use identity::Identity;
pub use launch::{
    CgroupLimits, EnvironmentBlock, LaunchOrder, Leftovers, OutputBound, ResourceLimit, StdinSource,
};
pub use lease::LeaseNote;
pub use limit::{EndEvidence, ExceededLimit};
pub use message::{Descriptor, ErrorCode, ShimMessage, ShimWelcome};
pub use out_of_memory::{has_killed_in_group, has_logged_kill};
pub use output::{
    IndexEntry, LOOKBACK_BYTES, Loss, OutputEntries, OutputReader, OutputRun, ReadChunk, StreamId,
    leave_headroom,
};
pub use plan::{MAX_PLAN_STEPS, StopPlan, StopStep};
pub use process_stat::ProcessStat;
pub use program::{main, run_if_asked};
pub use progress::{KEPT_PROGRESS_LEN, MAX_PROGRESS_LEN, PROGRESS, ProgressTrim, trim_progress};
pub use reason::StopReason;
pub use record::{MAX_RECORD_LEN, RecordError};
pub use request::{PROTOCOL_VERSION, ShimHello, ShimRequest, ShimStopRequest, SignalTarget};
pub use shortage::is_shortage;
pub use status::{AttemptPhase, AttemptStatus};
