//! Power cuts. Under load, a disk that keeps only synced data is disconnected. After the power cut, the disk must
//! contain all acknowledged data.

use crate::case::World;
use crate::disk::Loss;
use crate::scene::{Scene, brief};
use crate::script::is_over;
use longhaul_tests::until;
use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Number of power cuts of each kind with each store. `LONGHAUL_CUTS` overrides it.
const CUTS: usize = 1;
/// Number of successive power cuts that each follow a single launch.
const QUIET_CUTS: usize = 2;
/// Number of clients that concurrently launch processes and wait for them.
const CLIENTS: usize = 3;
/// Number of reported ends after which the power is cut, following a short random delay.
const ENDS: usize = 4;
const MAX_MOMENT: Duration = Duration::from_millis(60);
/// Time from the power cut until all programs are killed. In this time, some of the programs notice that the disk has
/// failed.
const AFTERMATH: Duration = Duration::from_millis(30);
const FILES: u32 = 4096;

#[test]
#[ignore = "mounts a disk"]
fn no_acknowledged_write_is_lost_in_a_power_cut() {
    let cuts = std::env::var("LONGHAUL_CUTS").map_or(CUTS, |text| text.parse().unwrap());
    for world in [World::Sqlite, World::Fs] {
        let mut scene = Scene::on_a_disk(world, FILES);
        for (cut, loss) in (0..cuts).flat_map(|cut| [(cut, Loss::Unforced), (cut, Loss::Bytes)]) {
            let found = lose_power_under_load(&mut scene, &format!("{cut}{loss:?}"), loss);
            let wrong = found.unwrap_or_else(|stuck| vec![stuck]);
            let log = if wrong.is_empty() { String::new() } else { scene.log() };
            assert!(wrong.is_empty(), "{world:?}, cut {cut} {loss:?}: {}\n{log}", wrong.join("\n"));
        }
    }
}

#[test]
#[ignore = "mounts a disk"]
fn launch_acknowledged_right_before_a_power_cut_exists() {
    for world in [World::Sqlite, World::Fs] {
        let mut scene = Scene::on_a_disk(world, FILES);
        for round in 0..QUIET_CUTS {
            scene.serve().unwrap();
            // The process waits for an hour, so that no later write syncs its record by coincidence.
            let id = scene.run(&["run", "-b", "--no-autostart", "--delay", "1h", "--", "true"]).unwrap();
            scene.disk().cut(Loss::Unforced);
            scene.end_all();
            scene.come_back();
            scene.serve().unwrap();
            let found = scene.run(&["inspect", "--no-autostart", id.trim_end()]);
            assert!(found.is_ok(), "{world:?}, cut {round}: {found:?}\n{}", scene.log());
        }
    }
}

#[test]
#[ignore = "mounts a disk"]
fn command_that_started_before_a_power_cut_never_starts_again() {
    for loss in [Loss::Unforced, Loss::Bytes] {
        // Delay the manager, so that only the shim has recorded the start when the power is cut.
        let mut scene =
            Scene::on_a_disk(World::Sqlite, FILES).with_rules("engine.commit.running=delay:5000@1");
        scene.serve().unwrap();
        let launched = ["run", "-b", "--no-autostart", "--", "sh", "-c", "echo $0 >> ran; sleep 60", "begun"];
        let id = scene.run(&launched).unwrap();
        scene.until_written("ran").unwrap();
        scene.disk().cut(loss);
        scene.end_all();
        scene.come_back();
        scene.disarm();
        let record = scene.until(id.trim_end(), "ended", is_over).unwrap();
        let ran = fs::read_to_string(scene.work().join("ran")).unwrap();
        assert_eq!((ran.as_str(), &record["status"]), ("begun\n", &Value::from("interrupted")), "{record}");
    }
}

/// A launch, and the replies that a client received about it, with their times.
#[derive(Clone, Debug)]
struct Told {
    name: String,
    code: i32,
    id: Option<(String, Instant)>,
    end: Option<(i32, Instant)>,
}

fn lose_power_under_load(scene: &mut Scene, round: &str, loss: Loss) -> Result<Vec<String>, String> {
    scene.serve()?;
    let told = Mutex::new(Vec::new());
    let cut = std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (seen, told) = (&*scene, &told);
            scope.spawn(move || launch_until_no_answer(seen, &format!("{round}-{client}"), told));
        }
        let ends = || told.lock().unwrap().iter().filter(|each: &&Told| each.end.is_some()).count();
        until("some ends were reported", || (ends() >= ENDS).then_some(()));
        let moment = RandomState::new().hash_one(round) % u64::try_from(MAX_MOMENT.as_micros()).unwrap();
        // Wait for a random time, so that the power cut can happen at any moment.
        std::thread::sleep(Duration::from_micros(moment));
        let cut = Instant::now();
        scene.disk().cut(loss);
        std::thread::sleep(AFTERMATH);
        scene.end_all();
        cut
    });
    scene.come_back();
    let told = told.into_inner().unwrap();
    judge(scene, told.into_iter().map(|each| each.before(cut)).collect())
}

fn launch_until_no_answer(scene: &Scene, round: &str, told: &Mutex<Vec<Told>>) {
    for (no, code) in (41..47).cycle().enumerate() {
        let name = format!("{round}-{no}");
        let at = {
            let mut told = told.lock().unwrap();
            told.push(Told { name: name.clone(), code, id: None, end: None });
            told.len() - 1
        };
        let Ok(id) = launch(scene, &name, code) else { return };
        told.lock().unwrap()[at].id = Some((id.clone(), Instant::now()));
        let waited = scene.command(&["wait", &id, "--no-autostart"]).output().unwrap();
        let end = waited.status.code().filter(|end| (41..47).contains(end));
        told.lock().unwrap()[at].end = end.map(|end| (end, Instant::now()));
        if end.is_none() {
            return;
        }
    }
}

fn launch(scene: &Scene, name: &str, code: i32) -> Result<String, String> {
    // Half of the commands sleep, so that some commands are running at every power cut.
    let span = if code % 2 == 0 { "sleep 0.2;" } else { "" };
    let script = format!("echo $0 >> ran; {span} exit {code}");
    let head = ["run", "-b", "--no-autostart", "--launch-key", name, "--", "sh", "-c", &script, name];
    scene.run(&head).map(|printed| printed.trim_end().to_owned())
}

fn judge(scene: &mut Scene, mut told: Vec<Told>) -> Result<Vec<String>, String> {
    scene.serve()?;
    let mut wrong = Vec::new();
    for each in &mut told {
        if each.id.is_none() {
            // It is unknown whether this launch was accepted. Repeat it: exactly one process must then exist.
            each.id = Some((launch(scene, &each.name, each.code)?, Instant::now()));
        }
    }
    let known: Vec<String> = told.iter().filter_map(|each| Some(each.id.clone()?.0)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let records = scene.until_all(&known, "ended", is_over)?;
    let ran = fs::read_to_string(scene.work().join("ran")).unwrap_or_default();
    let mut unknown = 0;
    for (each, record) in told.iter().zip(&records) {
        let runs = ran.lines().filter(|line| *line == each.name).count();
        let is_unknown = record["status"] == "interrupted" && record["exit_code"].is_null();
        unknown += usize::from(is_unknown);
        if let Some(flaw) = flaw_of(each, record, runs, is_unknown) {
            wrong.push(format!("{each:?} {flaw}, {runs} runs: {}", brief(record)));
        }
    }
    if unknown > 2 * CLIENTS {
        wrong.push(format!("{unknown} ends are unknown, more than were in progress"));
    }
    scene.crash();
    wrong.extend(scene.flaws());
    Ok(wrong)
}

impl Told {
    /// Returns the replies that arrived before the power cut. Later replies are dropped, because they prove nothing: a
    /// kernel that abandons its journal can report a sync as successful although the data is lost. A real power cut has
    /// no such effect.
    fn before(self, cut: Instant) -> Self {
        Self {
            id: self.id.filter(|(_, told)| *told < cut),
            end: self.end.filter(|(_, told)| *told < cut),
            ..self
        }
    }
}

fn flaw_of(told: &Told, record: &Value, runs: usize, is_unknown: bool) -> Option<&'static str> {
    let is_true = record["status"] == "failed" && record["exit_code"] == told.code && runs == 1;
    if runs > 1 {
        Some("ran twice")
    } else if told.end.is_some() && !is_true {
        Some("had ended, and its record does not show that any more")
    } else if !is_true && !is_unknown {
        Some("did not end like this")
    } else {
        None
    }
}
