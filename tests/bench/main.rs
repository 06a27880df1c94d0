//! Measures the performance of longhaul and prints one table: figure, value, floor, target, verdict.
//!
//! Run `cargo build --release -p longhaul && cargo run --release -p longhaul-tests --bin bench` on an idle machine. The
//! first line of the report shows the load.

#![expect(clippy::print_stdout, reason = "the program prints a report")]

mod act;
mod api;
mod directories;
mod figures;
mod machine;
mod manager_fixture;
mod measures;
mod options;
mod procfs;
mod program;
mod redis;
mod report;
mod sample;
mod seed;
mod stores;

use options::{Options, Task};
use std::process::ExitCode;

/// An error message for human readers.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    // Take the start time first, so that it is as close as possible to the real start of this program.
    let arrived = act::now();
    match act::play(arrived) {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(failure)) => return complain(&failure),
        None => {}
    }
    let Options { task, quick } = match Options::read(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(failure) => return complain(&failure),
    };
    match task {
        Task::Explain => {
            println!("{}", options::USAGE);
            ExitCode::SUCCESS
        }
        Task::List => {
            for measure in measures::ALL {
                println!("{:12} {}", measure.name, measure.what);
            }
            ExitCode::SUCCESS
        }
        Task::Measure { only } => match measure(only.as_deref(), quick) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(failure) => complain(&failure),
        },
    }
}

/// Runs the measurements and prints each result as soon as it is known. Returns true if every floor was reached.
fn measure(only: Option<&str>, quick: bool) -> Result<bool, Failure> {
    let chosen = measures::chosen(only)?;
    let program = program::find()?;
    println!("{}", report::machine(&program));
    println!("{}", machine::pace()?);
    if quick {
        println!("# quick: fewer repetitions, and fewer records than the names say");
    }
    println!("{}", report::heading());
    let mut held = true;
    for measure in chosen {
        match (measure.run)(&program, quick) {
            Ok(found) => {
                for (figure, value) in found {
                    held &= figure.is_held_by(value);
                    println!("{}", report::line(&figure, value));
                }
            }
            Err(failure) => {
                held = false;
                println!("{}", report::broken(measure.name, failure.as_ref()));
            }
        }
    }
    directories::clear()?;
    Ok(held)
}

fn complain(failure: &Failure) -> ExitCode {
    println!("error: {failure}");
    ExitCode::from(2)
}
