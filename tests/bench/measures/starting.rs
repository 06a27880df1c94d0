//! Measures the time until a restarted manager responds.

use super::Found;
use crate::Failure;
use crate::figures::START;
use crate::manager_fixture::ManagerFixture;
use crate::sample::Sample;
use crate::seed;
use std::path::Path;

const LIVE: usize = 100;

pub(super) fn crowded(program: &Path, quick: bool) -> Result<Found, Failure> {
    let seed = seed::finished(if quick { 1_000 } else { 10_000 - LIVE })?;
    let mut fixture = ManagerFixture::start(program, 200, Some(seed.path()))?;
    let mut api = fixture.api()?;
    for _ in 0..LIVE {
        let process = api.launch(&["sleep", "600"])?;
        api.wait(&process.id, "running")?;
    }
    drop(api);
    let mut sample = Sample::default();
    for _ in 0..if quick { 1 } else { 5 } {
        fixture.stop()?;
        sample.add(fixture.restart()?.as_secs_f64());
        let live = fixture.api()?.live(LIVE + 1)?;
        let running = live.iter().filter(|process| process.status == "running").count();
        if running != LIVE {
            return Err(format!("{running} of {LIVE} run after the manager's start").into());
        }
    }
    Ok(vec![(START, sample.median()?)])
}
