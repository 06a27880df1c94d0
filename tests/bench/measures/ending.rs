//! Measures the time until the end of a process is reported to a client.

use super::Found;
use crate::Failure;
use crate::act::{millis, now, stamp};
use crate::figures::{WAIT_P50, WAIT_P99};
use crate::manager_fixture::{ManagerFixture, part};
use crate::sample::Sample;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// Time after which a client has surely sent its request.
const SETTLED: Duration = Duration::from_millis(30);

pub(super) fn wait(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 8, None)?;
    let sample = returns(&fixture, if quick { 20 } else { 200 })?;
    Ok(vec![(WAIT_P50, sample.median()?), (WAIT_P99, sample.percentile(99)?)])
}

/// Returns the times in milliseconds from the exit of a command until a waiting client receives the response.
pub(super) fn returns(fixture: &ManagerFixture, count: u32) -> Result<Sample, Failure> {
    let (gate, left) = (fixture.pipe("gate")?, fixture.path("left"));
    let command = part("leave", &[&gate.to_string_lossy(), &left.to_string_lossy()])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut api = fixture.api()?;
    let mut sample = Sample::default();
    for _ in 0..count {
        let process = api.launch(&command)?;
        let mut client = fixture
            .command()
            .args(["wait", &process.id])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // Opening the pipe blocks until the command is waiting at the gate. The command exits when `opened` is dropped.
        let opened = File::options().write(true).open(&gate)?;
        sleep(SETTLED);
        drop(opened);
        let status = client.wait()?;
        let returned = now();
        if !status.success() {
            return Err(format!("wait exited with {status}").into());
        }
        sample.add(millis(stamp(&left)?, returned));
        fs::remove_file(&left)?;
    }
    Ok(sample)
}
