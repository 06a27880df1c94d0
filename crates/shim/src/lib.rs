//! The tiny program that supervises one attempt of a process, its protocol, and the files that it leaves.
//!
//! A shim is the real parent of the command. It has one thread, its own session and no memory to speak of; it
//! outlives whoever started it, holds the lock that proves that the attempt is alive, enforces the timeout, stops the
//! whole tree of the command, moves its output to disk, and writes down how it ended.
//!
//! [`main`] is the program. Everything else is for those who start shims, talk to them, or read what they left.
//!
//! # Life of a shim
//! 1. Whoever starts it ([`start`]) gives it an attempt directory and the other end of a socket, and sends
//!    [`ShimRequest::Launch`]. If that peer disappears before, nothing runs.
//! 2. The shim takes the lock and makes a child, which waits at a gate. A directory in which an attempt was started
//!    before is refused.
//! 3. The identity is made durable, the gate opens, the child becomes the command. A child whose gate closes instead
//!    leaves: no identity means that no instruction of the command ran.
//! 4. [`ShimMessage::Started`] brings a pidfd and the read ends of both output pipes. Whoever keeps them loses neither
//!    output nor exit status when the shim is killed; nobody but the shim may read from them before.
//! 5. When the command ends by itself, its end is recorded and told at once. What it left behind is kept, or swept: the
//!    record says `sweeping` then, and once the tree is proven empty it is told again without that. When the command was
//!    stopped, the end is recorded only once the whole tree is proven empty.
//! 6. The shim leaves when the record is settled and confirmed, or one second after it was told.
//!
//! The socket for others is made when the starter hangs up, or 100 ms after the gate opened: most attempts end before
//! anybody but their starter could need it. One that cannot be made, on a full disk, is tried again. Whoever finds the
//! lock held and no socket waits for it ([`AttemptDirectory::connect_within`]).
//!
//! A manager that the command starts is no part of it if it says hello to the shim; other shims never are.
//!
//! # Limits
//! Each process has the limits of the launch by `setrlimit`. Those of memory and of processes are set on the cgroup of
//! the tree instead where it has the controllers; out of memory, the kernel then kills the tree as a whole. The exit
//! record names the limit that ended the program, where there is proof: SIGXFSZ; SIGXCPU or SIGKILL and processor time
//! used up; SIGKILL and the word of the kernel, in `memory.events` of the cgroup or in its log, that it killed for want
//! of memory. A program that is refused memory by its own limit and leaves by itself has a code and no limit.
//!
//! # Input
//! A launch may ask for a pipe as the input of the command: the file `stdin`, whose write end the shim holds, so that it
//! does not end while others come and go who write into it ([`AttemptDirectory::input`]). [`ShimRequest::CloseInput`], which a
//! shim that says `input` in its capabilities knows, removes the file and lets go of that end; the command finds the end
//! of its input once all others who have it open do the same. Bytes that were not read when the command ends are lost.
//! When the shim is killed, the input ends with the last manager that holds it.
//!
//! # Lease
//! A launch may name a file that says how long the lease of the node lasts ([`LeaseNote`]), for work that runs again
//! elsewhere once the node is lost. A shim that says `lease` in its capabilities looks into it when the lease that it knows
//! is over, by a timer of the boot-time clock, which wakes it after a sleep of the machine too. If nobody prolonged it, the
//! tree is stopped as at a limit, and killed after five seconds at most. A file that cannot be read, or belongs to another
//! boot, is looked at again for one second, and counts as over then: no manager is left who keeps it.
//!
//! It is text of the form below: `longhaul-lease 1`, `boot_id`, `until_ms` (milliseconds since boot, the largest `u64` for a
//! lease that does not end), `end`.
//!
//! # Messages
//! A frame is a `u32` length of all that follows, a `u8` kind, and fields; a field is a `u8` tag, a `u32` length, and
//! bytes. All numbers are little endian. Unknown kinds are answered with an error, unknown tags are skipped. Kind and
//! tags of hello (1), status (3), stop (4), signal (5) and acknowledge (8) are frozen for ever.
//!
//! Every peer that said hello is told of every change; of the start by [`ShimMessage::Started`] or by its status, if it wants
//! no descriptors. The first connection counts as greeted, and has the descriptors by [`ShimMessage::Handed`] before the gate
//! opens. An order on any connection is answered there: hello by
//! [`ShimMessage::Hello`], stop and status by [`ShimMessage::Status`], signal by [`ShimMessage::Signaled`], pause and resume by
//! [`ShimMessage::Paused`] and [`ShimMessage::Resumed`], close input by [`ShimMessage::InputClosed`], a wrong one by [`ShimMessage::Error`]. A hello to an attempt that ended brings
//! [`ShimMessage::Exited`] too.
//!
//! # Files of an attempt directory
//! These are frozen for ever; see [`Identity`], [`ExitRecord`] and [`OutputReader`] for their content.
//!
//! | file | content |
//! | --- | --- |
//! | the directory | its own `flock` is held for as long as the shim lives |
//! | `ctl` | the Unix socket of the shim, once its starter has hung up or the attempt has run for 100 ms |
//! | `stdin` | the named pipe (0600) that the command reads, if its launch asked for one and until it is closed |
//! | `identity` | who runs, durable before the command starts |
//! | `exit` | how it ended, durable before it is told as durable |
//! | `exit.tmp` | room for `exit` on a disk that may be full by then, until it has an end |
//! | `output.log` | the bytes of both outputs, each at its own offset for ever |
//! | `output.idx` | 16-byte entries: end offset of a run (low 56 bits) and stream (top 8 bits: 1 stdout, 2 stderr), then the steady time of its start in milliseconds; there from the first entry on |
//! | `output.gap` | four `u64`: the range of the log that was given back, and that of the index |
//! | `output.lost` | 16-byte entries: an offset of the log and how many bytes could not be stored there, as two `u64`; the last one may still grow, and counts what is lost behind it once there are 256 |
//! | `output.tail0`, `output.tail1`, `output.idx0`, `output.idx1` | the tails, where holes cannot be punched: `LHTAIL1`, a zero byte, the offset of the first byte as `u64`, then content |
//!
//! `identity` and `exit` are text: the form and its version (`longhaul-identity 1`, `longhaul-exit 1`), lines of
//! `key=value` with values percent-escaped, and last `end=` with the CRC-32 of everything before in hexadecimal.
//! Unknown keys are ignored. `identity` has `process`, `attempt`, `boot_id`, `shim_pid`, `shim_start`, `pid`,
//! `start_time`, `cgroup` (if any), `mechanism`, `started_at`, `wall`. `exit` has `kind` (`exited` with `code`,
//! `signaled` with `signal` and `core`, `spawn_failed` with `stage` and `errno`, `never_ran`), `ended_at`,
//! `undated` (only where nobody saw that moment, so that it is the latest possible one), `wall`, `run_ms`, `stopped` and `escalated` (if any), `swept`, `leftovers`, `output_open`, `output_bytes`, `dropped_bytes`,
//! `write_errors`, `utime_ms`, `stime_ms`, `max_rss_kb`, `limit` (if one ended it: `cpu`, `memory`, `file_size`),
//! `paused`, `sweeping` (only while it is so), `unverified` (only where nobody could verify that the tree is empty), `settled`.

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
pub use reason::StopReason;
pub use record::{MAX_RECORD_LEN, RecordError};
pub use request::{PROTOCOL_VERSION, ShimHello, ShimRequest, ShimStopRequest, SignalTarget};
pub use shortage::is_shortage;
pub use status::{AttemptPhase, AttemptStatus};
