//! Measures the duration of a launch.

use super::Found;
use crate::Failure;
use crate::act::{millis, now};
use crate::figures::{FIRST_ACT, RUN_EMPTY, RUN_FULL};
use crate::manager_fixture::{ManagerFixture, part};
use crate::sample::Sample;
use crate::seed;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Instant;

pub(super) fn empty(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 8, None)?;
    Ok(vec![(RUN_EMPTY, whole_command(&fixture, quick)?)])
}

pub(super) fn full(program: &Path, quick: bool) -> Result<Found, Failure> {
    let seed = seed::finished(if quick { 10_000 } else { 100_000 })?;
    let fixture = ManagerFixture::start(program, 8, Some(seed.path()))?;
    Ok(vec![(RUN_FULL, whole_command(&fixture, quick)?)])
}

fn whole_command(fixture: &ManagerFixture, quick: bool) -> Result<f64, Failure> {
    let mut sample = Sample::default();
    let mut api = fixture.api()?;
    for round in 0..if quick { 30 } else { 200 } {
        let began = Instant::now();
        fixture.call(&["run", "-b", "--", "true"])?;
        // The first rounds only fill the caches, so they are not measured.
        if round >= 5 {
            sample.add_span(began.elapsed());
        }
        // This measurement launches processes one after the other. Another measurement covers concurrent launches.
        api.wait_for_all()?;
    }
    Ok(sample.median()?)
}

pub(super) fn first_act(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 8, None)?;
    let pipe = fixture.pipe("arrivals")?;
    // Open the pipe in both directions, so that opening it does not block.
    let file = File::options().read(true).write(true).open(&pipe)?;
    let mut arrivals = BufReader::new(file);
    let command = part("arrive", &[&pipe.to_string_lossy()])?;
    let mut arguments = vec!["run", "-b", "--"];
    arguments.extend(command.iter().map(String::as_str));
    let mut sample = Sample::default();
    let mut api = fixture.api()?;
    for _ in 0..if quick { 20 } else { 100 } {
        let began = now();
        fixture.call(&arguments)?;
        let mut line = String::new();
        arrivals.read_line(&mut line)?;
        sample.add(millis(began, line.trim().parse()?));
        api.wait_for_all()?;
    }
    Ok(vec![(FIRST_ACT, sample.median()?)])
}
