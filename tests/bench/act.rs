//! The roles that the benchmark program plays when it runs as the child of a managed process. Each role records the
//! times of its actions with a clock that all processes share, so that the time between events in two processes can be
//! measured.

use crate::Failure;
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

/// First command-line argument of the benchmark program when it plays a role. No option starts with this word.
pub(crate) const ACT: &str = "act";

/// Returns the current time of the clock that all processes share, in nanoseconds.
pub(crate) fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}

/// Returns the time from `from` to `to`, in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "spans of minutes are far below 2^53 ns")]
pub(crate) fn millis(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1e6
}

/// Reads the timestamp that a child process wrote to a file.
pub(crate) fn stamp(path: &Path) -> Result<i64, Failure> {
    Ok(fs::read_to_string(path)?.trim().parse()?)
}

/// Plays a role if the command-line arguments request one.
pub(crate) fn play(arrived: i64) -> Option<Result<(), Failure>> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some(ACT) {
        return None;
    }
    let part = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    Some(match (part.as_str(), rest.as_slice()) {
        ("arrive", [pipe]) => arrive(arrived, pipe),
        ("leave", [gate, path]) => leave(gate, path),
        ("lines", [gate, count]) => lines(gate, count),
        ("flood", [bytes]) => flood(bytes),
        _ => Err(format!("there is no role {part:?}").into()),
    })
}

/// Role that writes the time at which this program started.
fn arrive(arrived: i64, pipe: &str) -> Result<(), Failure> {
    Ok(File::options().write(true).open(pipe)?.write_all(format!("{arrived}\n").as_bytes())?)
}

/// Role that waits at the gate, writes the time, and exits.
fn leave(gate: &str, path: &str) -> Result<(), Failure> {
    pass(gate)?;
    let mut file = File::create(path)?;
    Ok(file.write_all(now().to_string().as_bytes())?)
}

/// Role that waits at the gate and then writes lines. Each line contains the time at which it is written.
fn lines(gate: &str, count: &str) -> Result<(), Failure> {
    pass(gate)?;
    let mut out = std::io::stdout().lock();
    for _ in 0..count.parse::<u32>()? {
        std::thread::sleep(Duration::from_millis(10));
        out.write_all(format!("{}\n", now()).as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// Role that writes a number of bytes as fast as possible, in lines of 64 bytes. Successive lines differ.
fn flood(bytes: &str) -> Result<(), Failure> {
    let block: Vec<u8> = (0..1024)
        .flat_map(|line| {
            format!("{line:04}456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+\n").into_bytes()
        })
        .collect();
    let mut left = bytes.parse::<usize>()?;
    // Write to the descriptor directly, because `stdout` of the standard library searches the bytes for line ends.
    let mut out = File::from(rustix::io::dup(rustix::stdio::stdout())?);
    while left > 0 {
        let part = block.get(..left.min(block.len())).unwrap_or(&block);
        out.write_all(part)?;
        left -= part.len();
    }
    Ok(())
}

/// Waits at a gate. A gate is a named pipe. It opens when the process that has opened its other end closes that end.
fn pass(gate: &str) -> Result<(), Failure> {
    File::open(gate)?.read_to_end(&mut Vec::new())?;
    Ok(())
}
