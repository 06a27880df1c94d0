//! Measures by how much a large output slows down the command that writes it.

use super::Found;
use crate::Failure;
use crate::figures::{OUTPUT_RATIO, OUTPUT_WALL, TEXT};
use crate::manager_fixture::{ManagerFixture, part};
use crate::sample::Sample;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const GIBIBYTE: u64 = 1 << 30;
/// Token limit of a read; about the default limit of an agent.
const TOKENS: u32 = 2_000;

pub(super) fn gibibyte(program: &Path, quick: bool) -> Result<Found, Failure> {
    let bytes = if quick { GIBIBYTE / 8 } else { GIBIBYTE };
    let fixture = ManagerFixture::start(program, 8, None)?;
    let command = part("flood", &[&bytes.to_string()])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let plain = to_plain_file(&command, &fixture.path("plain"))?;
    let mut api = fixture.api()?;
    let began = Instant::now();
    let process = api.launch(&command)?;
    let ended = api.wait(&process.id, "ended")?;
    let wall = began.elapsed().as_secs_f64();
    let dropped = ended.exit.as_ref().map(|exit| exit.dropped_bytes);
    if (ended.exit_code, ended.output_bytes, dropped) != (Some(0), Some(bytes), Some(0)) {
        return Err(format!(
            "{bytes} bytes ended {} with {:?} bytes, {dropped:?} of them dropped",
            ended.status, ended.output_bytes
        )
        .into());
    }
    let whole = if quick { wall * 8.0 } else { wall };
    Ok(vec![(OUTPUT_WALL, whole), (OUTPUT_RATIO, wall / plain)])
}

/// Measures the time to read the start and the end of a long output.
pub(super) fn text(program: &Path, quick: bool) -> Result<Found, Failure> {
    let bytes = if quick { GIBIBYTE / 8 } else { GIBIBYTE };
    let fixture = ManagerFixture::start(program, 8, None)?;
    let command = part("flood", &[&bytes.to_string()])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut api = fixture.api()?;
    let process = api.launch(&command)?;
    api.wait(&process.id, "ended")?;
    let mut sample = Sample::default();
    for _ in 0..if quick { 20 } else { 200 } {
        let began = Instant::now();
        // A token is about four bytes. If the response is much shorter, repeated lines were folded, and the measurement
        // is invalid.
        if api.text(&process.id, TOKENS)? < usize::try_from(TOKENS)? * 2 {
            return Err("the response to a long output was nearly empty".into());
        }
        sample.add_span(began.elapsed());
    }
    Ok(vec![(TEXT, sample.percentile(99)?)])
}

/// Returns the time in seconds to write the same output without a manager.
fn to_plain_file(command: &[&str], path: &Path) -> Result<f64, Failure> {
    let (program, arguments) = command.split_first().ok_or("a command has a program")?;
    let began = Instant::now();
    let status =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(File::create(path)?).status()?;
    let seconds = began.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    if !status.success() {
        return Err(format!("the command exited with {status}").into());
    }
    Ok(seconds)
}
