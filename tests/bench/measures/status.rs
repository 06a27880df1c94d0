//! Measures the duration of the command `longhaul status`.

use super::Found;
use crate::Failure;
use crate::figures::STATUS;
use crate::manager_fixture::ManagerFixture;
use crate::sample::Sample;
use crate::seed;
use std::path::Path;
use std::time::Instant;

pub(super) fn whole(program: &Path, quick: bool) -> Result<Found, Failure> {
    let seed = seed::finished(if quick { 1_000 } else { 10_000 })?;
    let fixture = ManagerFixture::start(program, 20, Some(seed.path()))?;
    let mut api = fixture.api()?;
    for _ in 0..10 {
        let process = api.launch(&["sleep", "600"])?;
        api.wait(&process.id, "running")?;
    }
    let mut sample = Sample::default();
    for _ in 0..if quick { 20 } else { 100 } {
        let began = Instant::now();
        fixture.call(&["status"])?;
        sample.add_span(began.elapsed());
    }
    Ok(vec![(STATUS, sample.median()?)])
}
