//! Measures the effect of 1,000 waiting clients on other clients.

use super::{Found, ending};
use crate::Failure;
use crate::figures::{CROWD_LAUNCH, CROWD_WAIT};
use crate::manager_fixture::ManagerFixture;
use crate::sample::Sample;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;

const PARKED: usize = 1_000;

pub(super) fn waits(program: &Path, quick: bool) -> Result<Found, Failure> {
    let fixture = ManagerFixture::start(program, 16, None)?;
    let mut api = fixture.api()?;
    let sleeper = api.launch(&["sleep", "600"])?;
    let parked = (0..PARKED).map(|_| park(&fixture, &sleeper.id)).collect::<Result<Vec<_>, _>>()?;
    let mut launches = Sample::default();
    for _ in 0..if quick { 20 } else { 200 } {
        let began = Instant::now();
        let process = api.launch(&["true"])?;
        launches.add_span(began.elapsed());
        api.wait(&process.id, "ended")?;
    }
    let returns = ending::returns(&fixture, if quick { 20 } else { 200 })?;
    drop(parked);
    Ok(vec![(CROWD_LAUNCH, launches.percentile(99)?), (CROWD_WAIT, returns.percentile(99)?)])
}

/// Opens a connection and waits on it for the end of a process.
fn park(fixture: &ManagerFixture, id: &str) -> Result<UnixStream, Failure> {
    let mut client = UnixStream::connect(fixture.socket())?;
    write!(client, "GET /v1/wait?id={id}&for=ended HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    Ok(client)
}
