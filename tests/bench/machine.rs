//! What the machine itself can do at this moment, for a figure says little without it.
//!
//! ext4 takes no inode again for minutes after it was freed, and looks past each of them whenever a file is created:
//! where thousands of files were deleted a moment ago, creating one costs a hundred times as much as on rested ground,
//! and a launch creates five.

use crate::{Failure, ground};
use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

const TIMES: u32 = 300;

/// One line: programs started, files created, and small writes synced, each one after the other.
pub(crate) fn pace() -> Result<String, Failure> {
    let home = ground::patch("longhaul-pace-")?;
    let spawned = rate(|_| {
        let status = Command::new("/bin/true").stdin(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(format!("/bin/true ended with {status}").into()) }
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
