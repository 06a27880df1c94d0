//! The speed of the machine itself, for comparison with the figures.
//!
//! For some minutes, ext4 does not reuse the inodes of deleted files, and skips each of them when it creates a file.
//! After thousands of deletions, creating a file takes a hundred times as long. This matters because a launch creates
//! five files.

use crate::{Failure, directories};
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

const TIMES: u32 = 300;

/// Returns a line of text with the rates at which the machine starts programs, creates files and syncs small writes.
/// The rates are measured one after the other.
pub(crate) fn pace() -> Result<String, Failure> {
    let home = directories::patch("longhaul-pace-")?;
    let spawned = rate(|_| {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("/bin/true exited with {status}").into()) }
    })?;
    let created = rate(|turn| {
        File::create(home.join(turn.to_string()))?;
        Ok(())
    })?;
    let mut log = File::create(home.join("log"))?;
    let synced = rate(|_| {
        log.write_all(&[b'x'; 100])?;
        Ok(log.sync_data()?)
    })?;
    Ok(format!(
        "# per second: {spawned:.0} × /bin/true, {created:.0} files created, {synced:.0} writes synced"
    ))
}

fn rate(mut act: impl FnMut(u32) -> Result<(), Failure>) -> Result<f64, Failure> {
    let began = Instant::now();
    for turn in 0..TIMES {
        act(turn)?;
    }
    Ok(f64::from(TIMES) / began.elapsed().as_secs_f64())
}
