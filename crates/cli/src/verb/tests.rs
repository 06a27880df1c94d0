//! Tests of the subcommands with a simulated manager that sends prepared responses.

mod act;
mod artifacts;
mod events;
mod family;
mod launch;
mod look;
mod node;
mod output;
mod queue;
mod send;
mod test_run;
mod track;
mod upkeep;
mod wait;

use super::logs::logs_to;
use super::*;
use crate::arguments::{Cli, OutputFormat, Verb, read};
use crate::console::{Console, ConsoleState};
use crate::render::samples;
use crate::request::CallerContext;
use longhaul_client::fake::{FakeManager, FakeRequest, FakeResponse, output, problem, process};
use longhaul_wire::api::ProcessView;
use longhaul_wire::output::FrameKind;
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;

/// Result of a command line in a test: outcome, output and the requests that the manager received.
struct Came {
    outcome: Result<i32, CliError>,
    out: String,
    err: String,
    asked: Vec<String>,
    bodies: Vec<String>,
}

impl Came {
    /// Returns the body of the request at this index.
    fn body(&self, index: usize) -> Value {
        serde_json::from_str(&self.bodies[index]).unwrap()
    }

    fn code(&self) -> i32 {
        match &self.outcome {
            Ok(code) => *code,
            Err(failure) => of_failure(failure, ExitCodeMode::Control),
        }
    }
}

/// Runs a command line with a simulated manager that creates its responses with `answer`.
fn said(line: &str, terminal: bool, answer: impl Fn(&FakeRequest) -> FakeResponse + 'static) -> Came {
    said_from(surroundings(), line, terminal, None, Box::new(answer))
}

/// Runs a command line. If `unwritable` is set, every write to standard output fails with this error.
fn said_to(
    line: &str,
    terminal: bool,
    unwritable: Option<std::io::ErrorKind>,
    answer: impl Fn(&FakeRequest) -> FakeResponse + 'static,
) -> Came {
    said_from(surroundings(), line, terminal, unwritable, Box::new(answer))
}

/// Runs a command line in an environment whose variable `ODD` is not UTF-8.
fn said_lost(line: &str, answer: impl Fn(&FakeRequest) -> FakeResponse + 'static) -> Came {
    said_from(surroundings().with_lost("ODD"), line, false, None, Box::new(answer))
}

fn surroundings() -> CallerContext {
    CallerContext::of(Path::new("/"), &[("PATH", "/bin"), ("OWN", "\"x\"")])
}

fn said_from(
    around: CallerContext,
    line: &str,
    terminal: bool,
    unwritable: Option<std::io::ErrorKind>,
    answer: Box<dyn Fn(&FakeRequest) -> FakeResponse>,
) -> Came {
    let words = ["longhaul"].into_iter().chain(line.split(' ')).map(Into::into);
    let Cli { global, command } = read(words).unwrap();
    let (mut console, out, err) = Console::kept(global.format(), terminal);
    console.yes = global.yes;
    console.quiet = global.quiet;
    if let Some(kind) = unwritable {
        out.refuse(kind);
    }
    FakeManager::run(answer, |fake| async move {
        let context = VerbContext { client: fake.client(), console, global, around };
        let outcome = perform(&context, &command, out.clone()).await;
        Came { outcome, out: out.text(), err: err.text(), asked: fake.asked(), bodies: fake.bodies() }
    })
}

async fn perform(context: &VerbContext, command: &Verb, mut out: ConsoleState) -> Result<i32, CliError> {
    let Verb::Logs(args) = command else {
        return crate::dispatch::outcome_of(context, command).await.0;
    };
    let mut shown = Vec::new();
    let outcome = logs_to(context, args, &mut shown).await;
    std::io::Write::write_all(&mut out, &shown).unwrap();
    outcome
}

fn launched(process: &ProcessView) -> FakeResponse {
    FakeResponse::Json(201, json!({"process": process, "created": true}))
}

fn answered<T: serde::Serialize>(value: &T) -> FakeResponse {
    FakeResponse::Json(200, serde_json::to_value(value).unwrap())
}

fn changed(process: &ProcessView, changed: bool) -> FakeResponse {
    FakeResponse::Json(200, json!({"process": process, "changed": changed}))
}

fn list(processes: &[ProcessView]) -> FakeResponse {
    FakeResponse::Json(200, json!({"processes": processes, "cursor": null, "at": samples::NOW}))
}

fn waited(processes: &[ProcessView], timed_out: bool) -> FakeResponse {
    FakeResponse::Json(200, json!({"processes": processes, "timed_out": timed_out}))
}

fn ended(mut process: ProcessView, code: i32) -> ProcessView {
    process.status = "failed".to_owned();
    process.exit_code = Some(code);
    process
}
