//! Measures the number of launches per second, from the first launch until the last process has ended.

use super::Found;
use crate::Failure;
use crate::figures::{CLI_LOOP, HTTP_LOOP};
use crate::manager_fixture::ManagerFixture;
use std::path::Path;
use std::time::Instant;

pub(super) fn clients(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 8, None)?;
    let mut api = fixture.api()?;
    let count = count(quick);
    let began = Instant::now();
    for _ in 0..count {
        fixture.call(&["run", "-b", "--", "true"])?;
    }
    api.wait_for_all()?;
    Ok(vec![(CLI_LOOP, f64::from(count) / began.elapsed().as_secs_f64())])
}

pub(super) fn connection(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 8, None)?;
    let mut api = fixture.api()?;
    let count = count(quick);
    let began = Instant::now();
    for _ in 0..count {
        api.launch(&["true"])?;
    }
    api.wait_for_all()?;
    Ok(vec![(HTTP_LOOP, f64::from(count) / began.elapsed().as_secs_f64())])
}

const fn count(quick: bool) -> u32 {
    if quick { 100 } else { 1_000 }
}
