//! Determines the system call or wait channel in which a thread sleeps.

use crate::os::procfs;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

/// Maximum number of descriptors in one descriptor set of `select`.
const MAX_SELECT_FDS: u64 = 1_024;
const STDIN: u64 = 0;

/// The operation that a sleeping thread is blocked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitChannel {
    /// A read of one descriptor.
    Reading { fd: u64 },
    /// A poll of exactly one descriptor.
    Polling {
        /// Number of the polled descriptor.
        only: u64,
    },
    /// A read of a pipe whose descriptor is unknown.
    InPipe,
    /// A read of a terminal, or of another file type with the same wait channel. The descriptor is unknown.
    InTerminal {
        /// True if only reads of terminals use this wait channel.
        surely: bool,
    },
    /// Any other operation, or no operation.
    Otherwise,
}

impl WaitChannel {
    /// Determines the operation that one thread is blocked in.
    pub(super) fn of(pid: u32, thread: u32) -> Self {
        match procfs::read(&format!("/proc/{pid}/task/{thread}/syscall")) {
            Ok(text) if calls::SYSCALLS_KNOWN => match BlockedSyscall::parse(&String::from_utf8_lossy(&text))
            {
                // `splice` can wait for its source or for its target. Only the wait channel shows which of them it is
                // waiting for.
                Some(call) if calls::SPLICE == call.number => match Self::by_channel(pid, thread) {
                    Self::InPipe => call.reading(),
                    Self::Reading { .. }
                    | Self::Polling { .. }
                    | Self::InTerminal { .. }
                    | Self::Otherwise => Self::Otherwise,
                },
                Some(call) => call.sleep(|set, bytes| read(pid, set, bytes)),
                None => Self::Otherwise,
            },
            // The thread has just ended.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                Self::Otherwise
            }
            Ok(_) => Self::by_channel(pid, thread),
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
                Self::by_channel(pid, thread)
            }
            Err(_) => Self::Otherwise,
        }
    }

    /// Determines the operation only from the wait channel. Reading it needs fewer permissions than reading the system
    /// call.
    pub(super) fn by_channel(pid: u32, thread: u32) -> Self {
        let channel = fs::read_to_string(format!("/proc/{pid}/task/{thread}/wchan"));
        channel.map_or(Self::Otherwise, |channel| Self::named(channel.trim_end()))
    }

    fn named(channel: &str) -> Self {
        match channel {
            "anon_pipe_read" | "fifo_pipe_read" | "pipe_read" | "pipe_wait_readable" => Self::InPipe,
            "n_tty_read" => Self::InTerminal { surely: true },
            "wait_woken" => Self::InTerminal { surely: false },
            _ => Self::Otherwise,
        }
    }
}

/// The system call that a thread is blocked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockedSyscall {
    number: u64,
    arguments: [u64; 6],
}

impl BlockedSyscall {
    /// Parses `/proc/<pid>/syscall`. Returns `None` if the thread is running or is blocked outside a system call.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let number = words.next()?.parse().ok()?;
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        }
        Some(Self { number, arguments })
    }

    fn reading(self) -> WaitChannel {
        let [first, ..] = self.arguments;
        WaitChannel::Reading { fd: first & u64::from(u32::MAX) }
    }

    /// Determines the operation from the system call. `memory` reads the memory of the process at an address.
    fn sleep(self, memory: impl Fn(u64, &mut [u8]) -> io::Result<()>) -> WaitChannel {
        let Self { number, arguments: [first, second, third, fourth, ..] } = self;
        if calls::READS.contains(&number) {
            return self.reading();
        }
        let only = if calls::POLLS.contains(&number) {
            polled(first, second, &memory)
        } else if calls::SELECTS.contains(&number) {
            selected(first, [second, third, fourth], &memory)
        } else {
            None
        };
        only.map_or(WaitChannel::Otherwise, |only| WaitChannel::Polling { only })
    }
}

/// Returns the descriptor of a `poll` call that polls exactly one descriptor.
fn polled(list: u64, count: u64, memory: &impl Fn(u64, &mut [u8]) -> io::Result<()>) -> Option<u64> {
    if count != 1 {
        return None;
    }
    let mut fd = [0; 4];
    memory(list, &mut fd).ok()?;
    u64::try_from(i32::from_ne_bytes(fd)).ok()
}

/// Returns the descriptor of a `select` call that waits only for this one descriptor to become readable.
fn selected(count: u64, sets: [u64; 3], memory: &impl Fn(u64, &mut [u8]) -> io::Result<()>) -> Option<u64> {
    let count = count & u64::from(u32::MAX);
    if count == 0 || count > MAX_SELECT_FDS {
        return None;
    }
    let members = |set: u64| -> Option<Vec<u64>> {
        let mut bits = [0; 128];
        let words = usize::try_from(count.div_ceil(64)).ok()?;
        let bits = bits.get_mut(..words.checked_mul(8)?)?;
        if set != 0 {
            memory(set, bits).ok()?;
        }
        let (words, _) = bits.as_chunks::<8>();
        let is_in = |fd: &u64| {
            let word = usize::try_from(fd / 64).ok().and_then(|place| words.get(place));
            word.is_some_and(|word| u64::from_ne_bytes(*word) >> (fd % 64) & 1 == 1)
        };
        Some((STDIN..count).filter(is_in).collect())
    };
    let [read, write, except] = sets;
    match (members(read)?.as_slice(), members(write)?.as_slice(), members(except)?.as_slice()) {
        ([only], [], []) => Some(*only),
        (_, _, _) => None,
    }
}

fn read(pid: u32, address: u64, bytes: &mut [u8]) -> io::Result<()> {
    File::open(format!("/proc/{pid}/mem"))?.read_exact_at(bytes, address)
}

/// Numbers of system calls. They differ between architectures.
#[cfg(target_arch = "x86_64")]
mod calls {
    pub(super) const SYSCALLS_KNOWN: bool = true;
    /// Numbers of `read`, `pread64`, `readv`, `preadv` and `preadv2`, in this order.
    pub(super) const READS: [u64; 5] = [0, 17, 19, 295, 327];
    pub(super) const SPLICE: u64 = 275;
    /// Numbers of `poll` and `ppoll`, in this order.
    pub(super) const POLLS: [u64; 2] = [7, 271];
    /// Numbers of `select` and `pselect6`, in this order.
    pub(super) const SELECTS: [u64; 2] = [23, 270];
}

#[cfg(target_arch = "aarch64")]
mod calls {
    pub(super) const SYSCALLS_KNOWN: bool = true;
    /// Numbers of `read`, `readv`, `pread64`, `preadv` and `preadv2`, in this order.
    pub(super) const READS: [u64; 5] = [63, 65, 67, 69, 286];
    pub(super) const SPLICE: u64 = 76;
    /// System call number of `ppoll`.
    pub(super) const POLLS: [u64; 1] = [73];
    /// System call number of `pselect6`.
    pub(super) const SELECTS: [u64; 1] = [72];
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod calls {
    pub(super) const SYSCALLS_KNOWN: bool = false;
    pub(super) const READS: [u64; 0] = [];
    pub(super) const SPLICE: u64 = u64::MAX;
    pub(super) const POLLS: [u64; 0] = [];
    pub(super) const SELECTS: [u64; 0] = [];
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_address: u64, _bytes: &mut [u8]) -> io::Result<()> {
        Err(ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn a_line_of_the_kernel_is_understood() {
        let line = "0 0x3 0x7fff 0x1 0x0 0xffffffff 0x0 0x7ffd0 0x7f00\n";
        let call = BlockedSyscall::parse(line).unwrap();
        assert_eq!((call.number, call.arguments), (0, [3, 0x7fff, 1, 0, 0xffff_ffff, 0]));
        for other in ["running\n", "-1 0x7ffd0 0x7f00\n", "", "0 0x3\n", "0 3 4 5 6 7 8\n"] {
            assert_eq!(BlockedSyscall::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_wait_channels_of_reads_show_an_awaited_input() {
        assert_eq!(WaitChannel::named("anon_pipe_read"), WaitChannel::InPipe);
        assert_eq!(WaitChannel::named("wait_woken"), WaitChannel::InTerminal { surely: false });
        assert_eq!(WaitChannel::named("n_tty_read"), WaitChannel::InTerminal { surely: true });
        for other in ["0", "", "do_poll", "hrtimer_nanosleep", "anon_pipe_write", "futex_wait_queue"] {
            assert_eq!(WaitChannel::named(other), WaitChannel::Otherwise);
        }
    }

    #[test]
    fn a_selection_counts_only_if_it_waits_for_one_descriptor_to_be_readable() {
        let sets = |read: u64, write: u64| {
            move |address: u64, bytes: &mut [u8]| {
                let word = if address == 1 { read } else { write };
                bytes.fill(0);
                bytes[..8].copy_from_slice(&word.to_ne_bytes());
                Ok(())
            }
        };
        assert_eq!(selected(1, [1, 0, 0], &sets(1, 0)), Some(0));
        assert_eq!(selected(8, [1, 0, 0], &sets(0b100, 0)), Some(2));
        assert_eq!(selected(8, [1, 0, 0], &sets(0b101, 0)), None);
        assert_eq!(selected(8, [1, 2, 0], &sets(1, 0b10)), None);
        assert_eq!(selected(8, [1, 2, 0], &sets(1, 0)), Some(0));
        // A `select` without descriptors is only a timed sleep. A descriptor set that cannot be read has no result.
        assert_eq!(selected(0, [0, 0, 0], &nothing), None);
        assert_eq!(selected(1, [0, 0, 0], &nothing), None);
        assert_eq!(selected(1, [1, 0, 0], &nothing), None);
    }

    #[test]
    fn a_poll_of_several_descriptors_is_none_of_one() {
        let stdin = |_: u64, bytes: &mut [u8]| {
            bytes.fill(0);
            Ok(())
        };
        assert_eq!(polled(1, 1, &stdin), Some(0));
        assert_eq!(polled(1, 2, &stdin), None);
        let ignored = |_: u64, bytes: &mut [u8]| {
            bytes.fill(0xff);
            Ok(())
        };
        assert_eq!(polled(1, 1, &ignored), None);
    }

    #[test]
    fn reader_of_a_pipe_is_found_by_its_wait_channel_too() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let mut cat = std::process::Command::new("cat").stdin(reader).spawn().unwrap();
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let pid = cat.id();
        let sleeps = || [WaitChannel::of(pid, pid), WaitChannel::by_channel(pid, pid)];
        while sleeps() != [WaitChannel::Reading { fd: 0 }, WaitChannel::InPipe] {
            assert!(std::time::Instant::now() < end, "{:?}", sleeps());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        cat.kill().unwrap();
        cat.wait().unwrap();
        assert_eq!(sleeps(), [WaitChannel::Otherwise; 2]);
    }
}
