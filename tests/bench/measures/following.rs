//! Measures the time until a client that follows an output receives a written line.

use super::Found;
use crate::Failure;
use crate::act::{millis, now};
use crate::figures::{FOLLOW_P50, FOLLOW_P99};
use crate::manager_fixture::{ManagerFixture, part};
use crate::sample::Sample;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

/// Time after which a client has surely sent its request.
const SETTLED: Duration = Duration::from_millis(100);

pub(super) fn lines(program: &Path, quick: bool) -> Result<Found, Failure> {
    let count = if quick { 50 } else { 500 };
    let fixture = ManagerFixture::start(program, 8, None)?;
    let gate = fixture.pipe("gate")?;
    let command = part("lines", &[&gate.to_string_lossy(), &count.to_string()])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let process = fixture.api()?.launch(&command)?;
    let mut client = fixture
        .command()
        .args(["logs", "-f", "--raw", &process.id])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = client.stdout.take().ok_or("the client has no output")?;
    let opened = File::options().write(true).open(&gate)?;
    sleep(SETTLED);
    drop(opened);
    let mut sample = Sample::default();
    let mut seen = 0;
    for line in BufReader::new(out).lines() {
        let arrived = now();
        sample.add(millis(line?.trim().parse()?, arrived));
        seen += 1;
    }
    client.wait()?;
    if seen != count {
        return Err(format!("{seen} of {count} lines were seen").into());
    }
    Ok(vec![(FOLLOW_P50, sample.median()?), (FOLLOW_P99, sample.percentile(99)?)])
}
