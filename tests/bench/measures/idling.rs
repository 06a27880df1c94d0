//! Measures how often an idle manager wakes up.

use super::Found;
use crate::Failure;
use crate::figures::WAKEUPS;
use crate::manager_fixture::ManagerFixture;
use crate::procfs::Naps;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(super) fn wakeups(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 20, None)?;
    let mut api = fixture.api()?;
    for _ in 0..20 {
        let process = api.launch(&["sleep", "600"])?;
        api.wait(&process.id, "running")?;
    }
    drop(api);
    // Wait until the manager has finished the work that follows the launches.
    sleep(Duration::from_secs(2));
    let manager = fixture.manager()?;
    let (began, before) = (Instant::now(), Naps::of(manager)?);
    sleep(Duration::from_secs(if quick { 5 } else { 20 }));
    let switches = Naps::of(manager)?.since(&before);
    let switches = f64::from(u32::try_from(switches)?);
    Ok(vec![(WAKEUPS, switches / began.elapsed().as_secs_f64())])
}
