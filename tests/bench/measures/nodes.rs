//! Measures two times in a cluster: until a request reaches another node, and until the end of a process on another
//! node is reported.

use super::Found;
use crate::Failure;
use crate::act::{millis, now, stamp};
use crate::directories;
use crate::figures::{ACROSS_CANCEL_P50, ACROSS_CANCEL_P99, ACROSS_END_P50, ACROSS_END_P99};
use crate::manager_fixture::{ManagerFixture, part};
use crate::redis::Redis;
use crate::sample::Sample;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::Duration;

/// Time after which a client has surely sent its request and a node has reported a start.
const SETTLED: Duration = Duration::from_millis(30);

pub(super) fn across(program: &Path, quick: bool) -> Result<Found, Failure> {
    let count = if quick { 20 } else { 300 };
    let redis = Redis::start()?;
    let url = redis.url();
    let config = directories::patch("config-")?;
    let config = config.to_string_lossy();
    let fixture = |node| {
        let settings =
            [("LONGHAUL_STORE", url.as_str()), ("LONGHAUL_NODE_ID", node), ("XDG_CONFIG_HOME", &*config)];
        ManagerFixture::adjusted(program, 8, &settings)
    };
    let (here, there) = (fixture("here")?, fixture("there")?);
    let cancels = cancels(&here, &there, count)?;
    let ends = ends(&here, &there, count)?;
    // Drop the nodes before the Redis server: when they are dropped, they still need it to cancel their running
    // processes.
    drop((here, there));
    drop(redis);
    Ok(vec![
        (ACROSS_CANCEL_P50, cancels.median()?),
        (ACROSS_CANCEL_P99, cancels.percentile(99)?),
        (ACROSS_END_P50, ends.median()?),
        (ACROSS_END_P99, ends.percentile(99)?),
    ])
}

/// Returns the times in milliseconds from a cancel request on this node until the process on the other node has exited.
fn cancels(here: &ManagerFixture, there: &ManagerFixture, count: u32) -> Result<Sample, Failure> {
    let pipe = there.pipe("held")?;
    let line = format!("exec sleep 600 > '{}'", pipe.display());
    let (mut asking, mut launching) = (here.api()?, there.api()?);
    let mut sample = Sample::default();
    for _ in 0..count {
        let process = launching.launch(&["sh", "-c", &line])?;
        // Opening the pipe blocks until the process starts. Reading from it blocks until the process has exited.
        let mut held = File::open(&pipe)?;
        let gone = thread::spawn(move || held.read_to_end(&mut Vec::new()).map(|_| now()));
        sleep(SETTLED);
        let asked = now();
        asking.cancel(&process.id)?;
        let gone = gone.join().map_err(|_| "the reader of a pipe failed")??;
        sample.add(millis(asked, gone));
        launching.wait(&process.id, "ended")?;
    }
    Ok(sample)
}

/// Returns the times in milliseconds from the exit of a process on the other node until a client on this node receives
/// the response.
fn ends(here: &ManagerFixture, there: &ManagerFixture, count: u32) -> Result<Sample, Failure> {
    let (gate, left) = (there.pipe("gate")?, there.path("left"));
    let command = part("leave", &[&gate.to_string_lossy(), &left.to_string_lossy()])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut launching = there.api()?;
    let mut sample = Sample::default();
    for _ in 0..count {
        let process = launching.launch(&command)?;
        let answered = thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                let answer = here.api().and_then(|mut api| api.wait(&process.id, "ended"));
                answer.map(|_| now()).map_err(|failure| failure.to_string())
            });
            // Opening the pipe blocks until the process is waiting at the gate. The process exits when `opened` is
            // dropped.
            let opened = File::options().write(true).open(&gate)?;
            sleep(SETTLED);
            drop(opened);
            waiter.join().map_err(|_| "the waiter failed".to_owned())?.map_err(Failure::from)
        })?;
        sample.add(millis(stamp(&left)?, answered));
        fs::remove_file(&left)?;
    }
    Ok(sample)
}
