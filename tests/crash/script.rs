//! The work of a run: small, and of every kind.

use crate::case::Detour;
use crate::scene::Scene;
use longhaul_tests::{kill, stat};
use serde_json::Value;
use std::fs;
use std::process::Stdio;

/// What each command does first, so that nobody runs twice unseen.
const BEGIN: &str = "echo $0 $LONGHAUL_ATTEMPT >> ran";
/// Tells when two hold the key at once; one that was killed holds nothing.
const HOLD: &str = "if ! mkdir held; then kill -0 $(cat held/pid) 2>/dev/null && touch overlap; fi; \
    mkdir -p held; echo $$ > held/pid; sleep 0.15; rm -rf held";
/// What is written when the log of the database shall become long.
const HEAVY: usize = 110_000;

/// One process of the script.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    pub(crate) end: End,
}

/// How it has to end when nothing happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this code, after so many runs.
    Code(i64, usize),
    Cancelled,
    /// Its record was let go of.
    Pruned,
}

/// All that was acknowledged.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) work: Vec<Work>,
    /// The end of this one was acknowledged as asked for, and something of it lived on.
    pub(crate) survivors: Vec<(&'static str, Vec<u32>)>,
}

impl Ledger {
    /// The ids of all that have a record still.
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
        // The name is the `$0` of the script.
        let shell = scene.shell();
        let tail = ["--", &shell, "-c", &script, name];
        let id = scene.ask_before(&[&head, options].concat(), &tail)?;
        self.work.push(Work { name, id: id.clone(), end });
        Ok(id)
    }
}

/// Does it all under managers that may be struck, with one more in between.
pub(crate) fn play(scene: &mut Scene, detour: Detour) -> Result<Ledger, String> {
    let mut ledger = Ledger::default();
    let pruned = ledger.launch(scene, ("pruned", End::Pruned), &[], "true")?;
    scene.until(&pruned, "over", is_over)?;
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
    ledger.launch(scene, ("seven", End::Code(7, 1)), &[], "exit 7")?;
    let retry = ["--retry", "1", "--backoff", "50ms"];
    ledger.launch(scene, ("retried", End::Code(0, 2)), &retry, "mkdir tried 2>/dev/null && exit 1; true")?;
    ledger.launch(scene, ("first", End::Code(0, 1)), &["--key", "q"], HOLD)?;
    ledger.launch(scene, ("second", End::Code(0, 1)), &["--key", "q"], HOLD)?;
    // Its end is recorded before what it leaves behind is gone, and once more afterwards.
    ledger.launch(scene, ("leaving", End::Code(4, 1)), &[], "sleep 300 & exit 4")?;
    let bounds = ["--log-head", "4k", "--log-tail", "64k"];
    ledger.launch(scene, ("loud", End::Code(0, 1)), &bounds, "head -c 3000000 /dev/zero")?;
    ledger.launch(scene, ("gated", End::Code(5, 1)), &[], "until [ -e go ]; do sleep 0.02; done; exit 5")?;
    if detour == Detour::LongLog {
        lengthen(scene)?;
    }

    halt(scene, &tree)?;
    scene.until(&child, "at work", is_begun)?;
    cancel(scene, &mut ledger, &[("tree", &tree), ("child", &child)])?;
    strand(scene, &orphan)?;

    scene.crash();
    scene.serve()?;
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    ledger.launch(scene, ("late", End::Code(3, 1)), &[], "exit 3")?;
    scene.until_all(&ledger.kept(), "over", is_over)?;
    if detour == Detour::Copy {
        copy(scene)?;
    }
    Ok(ledger)
}

/// Does a little of it: a launch, output, a cancel and an end that outlives a manager.
pub(crate) fn play_briefly(scene: &mut Scene) -> Result<Ledger, String> {
    let mut ledger = Ledger::default();
    ledger.launch(scene, ("seven", End::Code(7, 1)), &[], "echo said; exit 7")?;
    ledger.launch(scene, ("gated", End::Code(5, 1)), &[], "until [ -e go ]; do sleep 0.02; done; exit 5")?;
    let tree = ledger.launch(scene, ("tree", End::Cancelled), &[], "setsid sleep 300 & sleep 300")?;
    scene.until(&tree, "at work", is_begun)?;
    cancel(scene, &mut ledger, &[("tree", &tree)])?;

    scene.crash();
    scene.serve()?;
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    scene.until_all(&ledger.kept(), "over", is_over)?;
    Ok(ledger)
}

/// Halts a tree, so that a paused one is cancelled. What has ended in the meantime is not halted.
fn halt(scene: &mut Scene, tree: &str) -> Result<(), String> {
    let record = scene.until(tree, "at work", |record| record["status"] == "running" || is_over(record))?;
    if !is_over(&record) {
        scene.until_written("tree")?;
        scene.ask(&["pause", tree])?;
    }
    Ok(())
}

/// Cancels the first of a tree, and sees all of it end.
fn cancel(scene: &mut Scene, ledger: &mut Ledger, tree: &[(&'static str, &String)]) -> Result<(), String> {
    if let Some((_, root)) = tree.first() {
        scene.ask(&["cancel", "--no-wait", root])?;
    }
    for (name, id) in tree {
        let record = scene.until(id, "over", is_over)?;
        let left = scene.alive(&format!("LONGHAUL_ID={id}"));
        // Of what is interrupted nobody promises anything but to end it soon.
        if record["status"] == "cancelled" && !left.is_empty() {
            ledger.survivors.push((name, left));
        }
    }
    Ok(())
}

/// Takes the supervisor away from a command that goes on.
fn strand(scene: &mut Scene, id: &str) -> Result<(), String> {
    let record = scene.until(id, "at work", |record| record["pid"].is_u64() || is_over(record))?;
    let pid = record["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    if let Some(stat) = pid.filter(|_| !is_over(&record)).and_then(stat) {
        // Of a manager that stands in already, or of nobody, there is nothing to take away.
        let name = fs::read_to_string(format!("/proc/{}/cmdline", stat.parent)).unwrap_or_default();
        if name.starts_with("longhaul-shim") {
            kill("-KILL", stat.parent);
        }
    }
    fs::write(scene.work().join("free"), "").map_err(|error| error.to_string())?;
    scene.until(id, "over", is_over).map(drop)
}

fn lengthen(scene: &mut Scene) -> Result<(), String> {
    let heavy = "x".repeat(HEAVY);
    let variables = ["A", "B"].map(|name| format!("{name}={heavy}"));
    for _ in 0..13 {
        let [first, second] = &variables;
        // What waits costs nothing but its record.
        let head =
            ["run", "-b", "--delay", "1h", "--meta", "part=of nothing", "--env", first, "--env", second];
        scene.ask_before(&head, &["--", "true", &heavy])?;
    }
    Ok(())
}

/// Copies the store by a program that may be struck, then by one that is not.
fn copy(scene: &mut Scene) -> Result<(), String> {
    scene.crash();
    let to = format!("sqlite:{}", scene.beside("copied").display());
    let from = scene.store().to_owned();
    let struck = scene.armed(&["store", "copy", &from, &to]).stdout(Stdio::null()).output();
    let struck = struck.map_err(|error| error.to_string())?;
    let is_there = scene.beside("copied").exists();
    if struck.status.success() && !is_there {
        return Err("a copy that is said to be made is not there".to_owned());
    }
    if is_there {
        fs::remove_file(scene.beside("copied")).map_err(|error| error.to_string())?;
        // It named the store that it was copied to as one of this state directory.
        let _ = fs::remove_file(scene.beside("copied.state"));
    }
    let again = scene.command(&["store", "copy", &from, &to]).output().map_err(|error| error.to_string())?;
    if again.status.success() { Ok(()) } else { Err(format!("it cannot be copied again: {again:?}")) }
}

fn is_begun(record: &Value) -> bool {
    record["status"] != "starting" && record["status"] != "pending"
}

pub(crate) fn is_over(record: &Value) -> bool {
    ["completed", "failed", "timeout", "cancelled", "interrupted"]
        .iter()
        .any(|ended| record["status"] == *ended)
}
