//! The script of a run: it launches a few small processes of every kind.

use crate::case::Detour;
use crate::scene::Scene;
use longhaul_tests::{kill, stat};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

/// First shell command of each process. It writes a line to a file, so that a second run of the process is detected.
const BEGIN: &str = "echo $0 $LONGHAUL_ATTEMPT >> ran";
/// Shell commands that detect whether two processes hold the same concurrency key at the same time. A killed process
/// does not count as a holder.
const HOLD: &str = "if ! mkdir held; then kill -0 $(cat held/pid) 2>/dev/null && touch overlap; fi; \
    mkdir -p held; echo $$ > held/pid; sleep 0.15; rm -rf held";
/// File that the process `seven` writes and keeps as an artifact. It contains the line `kept`.
pub(crate) const KEPT_FILE: &str = "kept/file";
/// Size in bytes of each of the values that are stored to make the write-ahead log long.
const HEAVY: usize = 110_000;

/// One process of the script.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    pub(crate) end: End,
}

/// How a process is expected to end if no fault affects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The process exits with this code, and ran this number of times.
    Code(i64, usize),
    Cancelled,
    /// The record of the process was pruned.
    Pruned,
}

/// Everything that a manager acknowledged in a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) work: Vec<Work>,
    /// Processes for which a stop was reported as complete while some of their descendants were still running.
    pub(crate) survivors: Vec<(&'static str, Vec<u32>)>,
}

impl Ledger {
    /// Returns the ids of all processes whose record was not pruned.
    pub(crate) fn kept(&self) -> Vec<&str> {
        self.work.iter().filter(|work| work.end != End::Pruned).map(|work| work.id.as_str()).collect()
    }

    pub(crate) fn launch(
        &mut self,
        scene: &mut Scene,
        (name, end): (&'static str, End),
        options: &[&str],
        script: &str,
    ) -> Result<String, String> {
        let script = format!("{BEGIN}; {script}");
        let head = ["run", "-b", "--launch-key", name, "--grace", "300ms"];
        // The shell passes the name to the script as `$0`.
        let shell = scene.shell();
        let tail = ["--", &shell, "-c", &script, name];
        let id = scene.ask_before(&[&head, options].concat(), &tail)?;
        self.work.push(Work { name, id: id.clone(), end });
        Ok(id)
    }
}

/// Runs the script with managers that may have faults. Restarts the manager one time.
pub(crate) fn play(scene: &mut Scene, detour: Detour) -> Result<Ledger, String> {
    let mut ledger = Ledger::default();
    let pruned = ledger.launch(scene, ("pruned", End::Pruned), &[], "true")?;
    scene.until(&pruned, "ended", is_over)?;
    scene.ask(&["prune", "--keep", "0"])?;

    let tree =
        ledger.launch(scene, ("tree", End::Cancelled), &[], "setsid sleep 300 & touch tree; sleep 300")?;
    let stubborn = "trap '' TERM; touch child; while :; do sleep 0.1; done";
    let child = ledger.launch(scene, ("child", End::Cancelled), &["--parent", &tree], stubborn)?;
    let orphan = ledger.launch(
        scene,
        ("orphan", End::Code(41, 1)),
        &[],
        "until [ -e free ]; do sleep 0.02; done; exit 41",
    )?;
    let kept = ["--artifact", KEPT_FILE];
    let writing = format!("mkdir -p kept; echo kept > {KEPT_FILE}; exit 7");
    ledger.launch(scene, ("seven", End::Code(7, 1)), &kept, &writing)?;
    let retry = ["--retry", "1", "--backoff", "50ms"];
    ledger.launch(scene, ("retried", End::Code(0, 2)), &retry, "mkdir tried 2>/dev/null && exit 1; true")?;
    ledger.launch(scene, ("first", End::Code(0, 1)), &["--key", "q"], HOLD)?;
    ledger.launch(scene, ("second", End::Code(0, 1)), &["--key", "q"], HOLD)?;
    // The shim records the end of this command before its descendants have ended, and records it again afterwards.
    ledger.launch(scene, ("leaving", End::Code(4, 1)), &[], "sleep 300 & exit 4")?;
    let bounds = ["--log-head", "4k", "--log-tail", "64k"];
    ledger.launch(scene, ("loud", End::Code(0, 1)), &bounds, "head -c 3000000 /dev/zero")?;
    ledger.launch(scene, ("gated", End::Code(5, 1)), &[], "until [ -e go ]; do sleep 0.02; done; exit 5")?;
    if detour == Detour::LongLog {
        lengthen(scene)?;
    }

    halt(scene, &tree)?;
    scene.until(&child, "running", is_begun)?;
    cancel(scene, &mut ledger, &[("tree", &tree), ("child", &child)])?;
    strand(scene, &orphan)?;

    scene.crash();
    scene.serve()?;
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    ledger.launch(scene, ("late", End::Code(3, 1)), &[], "exit 3")?;
    scene.until_all(&ledger.kept(), "ended", is_over)?;
    if detour == Detour::Copy {
        copy(scene)?;
    }
    Ok(ledger)
}

/// Runs a short script: a launch, output, a cancel, and a command that ends while no manager is running.
pub(crate) fn play_briefly(scene: &mut Scene) -> Result<Ledger, String> {
    let mut ledger = Ledger::default();
    ledger.launch(scene, ("seven", End::Code(7, 1)), &[], "echo said; exit 7")?;
    ledger.launch(scene, ("gated", End::Code(5, 1)), &[], "until [ -e go ]; do sleep 0.02; done; exit 5")?;
    let tree = ledger.launch(scene, ("tree", End::Cancelled), &[], "setsid sleep 300 & sleep 300")?;
    scene.until(&tree, "running", is_begun)?;
    cancel(scene, &mut ledger, &[("tree", &tree)])?;

    scene.crash();
    scene.serve()?;
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    scene.until_all(&ledger.kept(), "ended", is_over)?;
    Ok(ledger)
}

/// Pauses a tree, so that the script later cancels a paused tree. Does nothing if the tree has already ended.
fn halt(scene: &mut Scene, tree: &str) -> Result<(), String> {
    let record = scene.until(tree, "running", |record| record["status"] == "running" || is_over(record))?;
    if !is_over(&record) {
        scene.until_written("tree")?;
        scene.ask(&["pause", tree])?;
    }
    Ok(())
}

/// Cancels the root of a tree, and waits until all processes of the tree have ended.
fn cancel(scene: &mut Scene, ledger: &mut Ledger, tree: &[(&'static str, &String)]) -> Result<(), String> {
    if let Some((_, root)) = tree.first() {
        scene.ask(&["cancel", "--no-wait", root])?;
    }
    for (name, id) in tree {
        let record = scene.until(id, "ended", is_over)?;
        let left = scene.alive(&format!("LONGHAUL_ID={id}"));
        // Check only cancelled processes. For an interrupted process, the only promise is that its descendants end
        // soon.
        if record["status"] == "cancelled" && !left.is_empty() {
            ledger.survivors.push((name, left));
        }
    }
    Ok(())
}

/// Kills the shim of a running command.
fn strand(scene: &mut Scene, id: &str) -> Result<(), String> {
    let record = scene.until(id, "running", |record| record["pid"].is_u64() || is_over(record))?;
    let pid = record["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    if let Some(stat) = pid.filter(|_| !is_over(&record)).and_then(stat) {
        // Kill the parent only if it is a shim: after the death of the shim, the command has another parent.
        let name = fs::read_to_string(format!("/proc/{}/cmdline", stat.parent)).unwrap_or_default();
        if name.starts_with("longhaul-shim") {
            kill("-KILL", stat.parent);
        }
    }
    fs::write(scene.work().join("free"), "").map_err(|error| error.to_string())?;
    scene.until(id, "ended", is_over).map(drop)
}

fn lengthen(scene: &mut Scene) -> Result<(), String> {
    let heavy = "x".repeat(HEAVY);
    let variables = ["A", "B"].map(|name| format!("{name}={heavy}"));
    for _ in 0..13 {
        let [first, second] = &variables;
        // Launch a process that waits, so that only its record is written.
        let head =
            ["run", "-b", "--delay", "1h", "--meta", "part=of nothing", "--env", first, "--env", second];
        scene.ask_before(&head, &["--", "true", &heavy])?;
    }
    Ok(())
}

/// Copies the store with a `longhaul` command that may have faults, and then with one that has none.
fn copy(scene: &mut Scene) -> Result<(), String> {
    scene.crash();
    let to = format!("sqlite:{}", scene.beside("copied").display());
    let from = scene.store().to_owned();
    let struck = scene.armed(&["store", "copy", &from, &to]).stdout(Stdio::null()).output();
    let struck = struck.map_err(|error| error.to_string())?;
    let is_there = scene.beside("copied").exists();
    if struck.status.success() && !is_there {
        return Err("the copy was reported as made, and does not exist".to_owned());
    }
    if is_there {
        fs::remove_file(scene.beside("copied")).map_err(|error| error.to_string())?;
        // Also remove the file that binds the copy to this state directory.
        let _ = fs::remove_file(scene.beside("copied.state"));
    }
    let again = scene.command(&["store", "copy", &from, &to]).output().map_err(|error| error.to_string())?;
    if again.status.success() { Ok(()) } else { Err(format!("the store cannot be copied again: {again:?}")) }
}

fn is_begun(record: &Value) -> bool {
    record["status"] != "starting" && record["status"] != "pending"
}

pub(crate) fn is_over(record: &Value) -> bool {
    ["completed", "failed", "timeout", "cancelled", "interrupted"]
        .iter()
        .any(|ended| record["status"] == *ended)
}
