//! Measures the time until all descendants of a cancelled process have exited.

use super::Found;
use crate::Failure;
use crate::figures::CASCADE;
use crate::manager_fixture::ManagerFixture;
use crate::sample::Sample;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::Instant;

const LEVELS: usize = 10;
const LIMITS: [(&str, &str); 2] =
    [("LONGHAUL_LIMITS_MAX_LEVELS", "10"), ("LONGHAUL_LIMITS_MAX_PER_LEVEL", "200")];

pub(super) fn descendants(program: &Path, quick: bool) -> Result<Found, Failure> {
    let on_each = if quick { 10 } else { 100 };
    let mut sample = Sample::default();
    for _ in 0..if quick { 1 } else { 3 } {
        sample.add(cascade(program, on_each)?);
    }
    Ok(vec![(CASCADE, sample.median()?)])
}

/// Returns the time in seconds from the cancellation of the root until the last descendant has exited.
fn cascade(program: &Path, on_each: usize) -> Result<f64, Failure> {
    let fixture = ManagerFixture::adjusted(program, 8, &LIMITS)?;
    let mut api = fixture.api()?;
    let pipe = fixture.pipe("alive")?;
    // Open the pipe in both directions, so that opening it does not block.
    let mut arrivals = BufReader::new(File::options().read(true).write(true).open(&pipe)?);
    // Each descendant holds the pipe open while it is running.
    let pipe_name = pipe.to_string_lossy().into_owned();
    let command = ["sh", "-c", "exec 3>\"$0\"; echo >&3; exec sleep 600", pipe_name.as_str()];
    let root = api.launch(&command)?.id;
    let mut parent = root.clone();
    for _ in 0..LEVELS {
        let mut first = None;
        for _ in 0..on_each {
            let child = api.launch_under(Some(&parent), &command)?.id;
            first.get_or_insert(child);
        }
        parent = first.ok_or("a level has no processes")?;
    }
    for _ in 0..=LEVELS * on_each {
        arrivals.read_line(&mut String::new())?;
    }
    let mut alive = File::open(&pipe)?;
    drop(arrivals);
    let began = Instant::now();
    api.cancel(&root)?;
    // The read returns when no process holds the pipe open any more, which means that all descendants have exited.
    alive.read_to_end(&mut Vec::new())?;
    let span = began.elapsed();
    api.wait_for_all()?;
    Ok(span.as_secs_f64())
}
