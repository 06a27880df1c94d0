//! Measures the memory of the manager and of shims.

use super::Found;
use crate::Failure;
use crate::figures::{RSS_FULL, RSS_IDLE, SHIM};
use crate::manager_fixture::ManagerFixture;
use crate::procfs::{parent, private, resident};
use crate::sample::Sample;
use crate::seed;
use std::path::Path;

pub(super) fn all(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 20, None)?;
    let idle = resident(fixture.manager()?)?;
    let per_process = per_running_process(&fixture)?;
    drop(fixture);
    let seed = seed::finished(if quick { 1_000 } else { 10_000 })?;
    let fixture = ManagerFixture::start(program, 20, Some(seed.path()))?;
    // Send typical requests: a launch, a list of the last fifty processes, a list of all processes.
    fixture.call(&["run", "-b", "--", "true"])?;
    fixture.api()?.wait_for_all()?;
    fixture.call(&["status"])?;
    fixture.call(&["status", "-a", "--json"])?;
    let full = resident(fixture.manager()?)?;
    Ok(vec![(RSS_IDLE, idle), (RSS_FULL, full), (SHIM, per_process)])
}

fn per_running_process(fixture: &ManagerFixture) -> Result<f64, Failure> {
    let mut api = fixture.api()?;
    let mut commands = Vec::new();
    for _ in 0..20 {
        let id = api.launch(&["sleep", "600"])?.id;
        commands.push(api.wait(&id, "running")?.pid.ok_or("a running command has no process id")?);
    }
    let mut sample = Sample::default();
    for command in commands {
        sample.add(private(parent(command)?)?);
    }
    Ok(sample.median()?)
}
