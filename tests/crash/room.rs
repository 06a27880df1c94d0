//! A full disk. Running commands must continue, stop requests must work, and no write may be acknowledged that is not
//! stored. As soon as there is free space, all operations must continue without intervention.

use crate::case::World;
use crate::oracle;
use crate::scene::Scene;
use crate::script::{End, Ledger, Work, is_over};
use longhaul_tests::{until, within};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

const MANY_FILES: u32 = 4096;
const FEW_FILES: u32 = 256;
/// Maximum number of launches that a store can accept in pages that it has allocated but does not use.
const MAX_LAUNCHES: usize = 64;
/// Number of launches that a database must accept when no more files can be created, because it needs no new file for
/// them. The starts of the processes wait.
const WAITING_LAUNCHES: usize = 3;
/// Free space, in bytes, that must remain when output may not use more of the disk.
const ALMOST_FULL: u64 = 6 << 20;
/// Free space, in bytes, that must remain available for records.
const HEADROOM: u64 = 1 << 20;
/// Time within which a running command must visibly make progress.
const ACTIVITY: Duration = Duration::from_millis(500);
/// Time limit for operations that need no disk space.
const SOON: Duration = Duration::from_secs(10);

/// Resource of the disk that the test uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filling {
    Bytes,
    Files,
}

#[test]
#[ignore = "mounts a disk"]
fn full_disk_ends_no_running_process_and_service_continues_when_there_is_space() {
    let disks = [
        (World::Sqlite, Filling::Bytes),
        (World::Fs, Filling::Files),
        (World::Sqlite, Filling::Files),
        (World::Fs, Filling::Bytes),
    ];
    for (world, filling) in disks.into_iter().take(if is_thorough() { disks.len() } else { 2 }) {
        let mut scene = Scene::on_a_disk(world, filling.files());
        let wrong = fill_and_empty(&mut scene, filling).unwrap_or_else(|stuck| vec![stuck]);
        assert!(wrong.is_empty(), "{world:?} {filling:?}: {}\n{}", wrong.join("\n"), scene.log());
    }
}

#[test]
#[ignore = "mounts a disk"]
fn output_leaves_the_last_disk_space_to_records() {
    for world in [World::Sqlite, World::Fs].into_iter().take(if is_thorough() { 2 } else { 1 }) {
        let mut scene = Scene::on_a_disk(world, MANY_FILES);
        let wrong = flood(&mut scene).unwrap_or_else(|stuck| vec![stuck]);
        assert!(wrong.is_empty(), "{world:?}: {}\n{}", wrong.join("\n"), scene.log());
    }
}

/// Returns true if the caller requested all cases.
fn is_thorough() -> bool {
    std::env::var_os("LONGHAUL_CUTS").is_some()
}

/// Lets a command fill the disk with its output, and runs other commands in the meantime.
fn flood(scene: &mut Scene) -> Result<Vec<String>, String> {
    let mut ledger = Ledger::default();
    let bounds = ["--log-head", "1g", "--log-tail", "1g"];
    let flood = ledger.launch(scene, ("flood", End::Cancelled), &bounds, "exec cat /dev/zero")?;
    until("output uses no more space", || {
        let before = scene.disk().free();
        std::thread::sleep(Duration::from_millis(100));
        (before < ALMOST_FULL && scene.disk().free() == before).then_some(())
    });
    for name in ["one", "two", "three", "four", "five", "six"] {
        ledger.launch(scene, (name, End::Code(3, 1)), &[], "echo said; exit 3")?;
    }
    scene.crash();
    scene.serve()?;
    ledger.launch(scene, ("late", End::Code(3, 1)), &[], "exit 3")?;
    let left = scene.disk().free();
    let others: Vec<&str> = ledger.kept().into_iter().filter(|id| *id != flood).collect();
    scene.until_all(&others, "ended", is_over)?;
    let floods = scene.run(&["inspect", "--no-autostart", &flood])?.contains("\"running\"");
    scene.ask(&["cancel", &flood])?;
    let mut wrong = oracle::judge(scene, &ledger, None)?;
    if !floods || left < HEADROOM {
        wrong.push(format!("{left} bytes were left, and the flood continues: {floods}"));
    }
    Ok(wrong)
}

fn fill_and_empty(scene: &mut Scene, filling: Filling) -> Result<Vec<String>, String> {
    let mut ledger = Ledger::default();
    let wait = "until [ -e go ]; do sleep 0.02; done; exit 5";
    let gated = ledger.launch(scene, ("gated", End::Code(5, 1)), &[], wait)?;
    let tree = ledger.launch(scene, ("tree", End::Cancelled), &[], "setsid sleep 300 & sleep 300")?;
    let lease_renew_interval = "until [ -e go ]; do echo >> $0.beat; sleep 0.02; done; exit 6";
    let runs = ledger.launch(scene, ("runs", End::Code(6, 1)), &[], lease_renew_interval)?;
    let halted = ledger.launch(scene, ("halted", End::Code(6, 1)), &[], lease_renew_interval)?;
    for id in [&gated, &tree, &runs, &halted] {
        scene.until(id, "running", |record| record["pid"].is_u64())?;
    }
    scene.ask(&["pause", &halted])?;
    let manager = scene.manager();
    let filled = filling.fill(scene);
    let mut wrong = Vec::new();

    let is_refused = (0..filling.launches()).any(|_| match launch(scene) {
        Ok(id) => {
            ledger.work.push(Work { name: "small", id, end: End::Code(0, 1) });
            false
        }
        Err(reported) => {
            if !reported.contains("full") {
                wrong.push(format!("a launch was refused for another reason: {reported}"));
            }
            true
        }
    });
    if filling == Filling::Bytes && !is_refused {
        wrong.push(format!("{MAX_LAUNCHES} launches were accepted on a full disk"));
    }
    wrong.extend(order(scene, "pause", ("runs", &runs))?);
    wrong.extend(order(scene, "resume", ("halted", &halted))?);
    // The stop must be executed, and the reply must say that it is not recorded yet.
    if let Err(reported) = scene.run(&["cancel", &tree, "--no-autostart"])
        && !reported.contains("received a stop request")
    {
        wrong.push(format!("a cancel was refused: {reported}"));
    }
    within(SOON, "the cancelled command has exited", || is_gone(scene, &tree));
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    within(SOON, "the other command has exited", || is_gone(scene, &gated));
    scene.run(&["status", "-a", "--no-autostart"])?;
    // The end must be reported, because space for the exit record is reserved when an attempt starts.
    let waited = scene.run(&["wait", &gated, "--timeout", "10s", "--no-autostart"]);
    if !waited.as_ref().is_err_and(|reported| reported.starts_with("Some(5)")) {
        wrong.push(format!("the end of the command is not reported: {waited:?}"));
    }

    filling.empty(&filled);
    let last = until("launches are accepted again", || launch(scene).ok());
    ledger.work.push(Work { name: "small", id: last, end: End::Code(0, 1) });
    let small = ledger.work.iter_mut().filter(|work| work.name == "small");
    let small: Vec<&mut Work> = small.collect();
    let many = small.len();
    // All these processes have the same name, so the number of lines with this name is the number of all their runs.
    small.into_iter().for_each(|work| work.end = End::Code(0, many));
    for id in [&runs, &halted] {
        if scene.until(id, "readable", |_| true)?["status"] == "paused" {
            scene.ask(&["resume", id])?;
        }
    }
    scene.until_all(&ledger.kept(), "ended", is_over)?;
    if scene.manager() != manager {
        wrong.push("another manager had to be started".to_owned());
    }
    wrong.extend(oracle::judge(scene, &ledger, None)?);
    Ok(wrong)
}

/// Pauses or resumes a process. The request must be executed or rejected, and the record must show which of these
/// happened.
fn order(scene: &Scene, verb: &str, (name, id): (&str, &str)) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    if let Err(reported) = scene.run(&[verb, id, "--no-autostart"])
        && !reported.contains("full")
    {
        wrong.push(format!("a {verb} was refused for another reason: {reported}"));
    }
    let record = scene.run(&["inspect", "--no-autostart", id])?;
    let record: Value = serde_json::from_str(&record).map_err(|error| format!("{error}: {record}"))?;
    let done = || fs::metadata(scene.work().join(format!("{name}.beat"))).map_or(0, |file| file.len());
    let before = done();
    std::thread::sleep(ACTIVITY);
    let beats = done() > before;
    let is_true = if beats { record["status"] == "running" } else { record["status"] == "paused" };
    if !is_true {
        wrong.push(format!("after a {verb}, active: {beats}, and called {}", record["status"]));
    }
    Ok(wrong)
}

fn launch(scene: &Scene) -> Result<String, String> {
    let printed =
        scene.run(&["run", "-b", "--no-autostart", "--", "sh", "-c", "echo small $LONGHAUL_ID >> ran"]);
    printed.map(|id| id.trim_end().to_owned())
}

pub(crate) fn is_gone(scene: &Scene, id: &str) -> Option<()> {
    scene.alive(&format!("LONGHAUL_ID={id}")).is_empty().then_some(())
}

impl Filling {
    const fn files(self) -> u32 {
        match self {
            Self::Bytes => MANY_FILES,
            Self::Files => FEW_FILES,
        }
    }

    const fn launches(self) -> usize {
        match self {
            Self::Bytes => MAX_LAUNCHES,
            Self::Files => WAITING_LAUNCHES,
        }
    }

    /// Uses up the resource. Returns the path of the file that must be removed to free it.
    fn fill(self, scene: &Scene) -> PathBuf {
        let place = scene.disk().path().join("filling");
        match self {
            Self::Bytes => {
                let mut file = File::create_new(&place).unwrap();
                // Fill the last free space with smaller and smaller writes.
                for piece in [1 << 20, 4096] {
                    while file.write_all(&vec![b'x'; piece]).and_then(|()| file.sync_data()).is_ok() {}
                }
            }
            Self::Files => {
                fs::create_dir(&place).unwrap();
                let mut names = 0..2 * FEW_FILES;
                while names.next().is_some_and(|name| File::create_new(place.join(name.to_string())).is_ok())
                {
                }
            }
        }
        place
    }

    fn empty(self, place: &PathBuf) {
        match self {
            Self::Bytes => fs::remove_file(place).unwrap(),
            Self::Files => fs::remove_dir_all(place).unwrap(),
        }
    }
}
