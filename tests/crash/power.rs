//! Power cuts: a disk that keeps what was forced to it and nothing else is taken away under load, and what was acknowledged
//! has to be on it.

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

/// So many cuts of each kind with each store, unless `LONGHAUL_CUTS` says otherwise.
const CUTS: usize = 1;
/// So many in a row, each right after one launch.
const QUIET_CUTS: usize = 2;
/// So many clients launch and wait at once.
const CLIENTS: usize = 3;
/// A cut comes after so many ends were told, and up to a moment later.
const ENDS: usize = 4;
const LONGEST_MOMENT: Duration = Duration::from_millis(60);
/// Until everybody is gone as well, so that some find the disk gone before they go.
const AFTERMATH: Duration = Duration::from_millis(30);
const FILES: u32 = 4096;

#[test]
#[ignore = "mounts a disk of its own"]
fn nothing_acknowledged_is_lost_with_the_power() {
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
#[ignore = "mounts a disk of its own"]
fn launch_that_was_acknowledged_just_before_the_power_went_is_there() {
    for world in [World::Sqlite, World::Fs] {
        let mut scene = Scene::on_a_disk(world, FILES);
        for round in 0..QUIET_CUTS {
            scene.serve().unwrap();
            // It waits, so that nothing else is forced to the disk, and this by luck together with it.
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
#[ignore = "mounts a disk of its own"]
fn command_that_began_before_the_power_went_never_begins_again() {
    for loss in [Loss::Unforced, Loss::Bytes] {
        // Only the supervisor's word says that it began: the manager has not come so far.
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
        let record = scene.until(id.trim_end(), "over", is_over).unwrap();
        let ran = fs::read_to_string(scene.work().join("ran")).unwrap();
        assert_eq!((ran.as_str(), &record["status"]), ("begun\n", &Value::from("interrupted")), "{record}");
    }
}

/// A launch, and what a client was told of it, when.
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
            scope.spawn(move || launch_until_nobody_answers(seen, &format!("{round}-{client}"), told));
        }
        let ends = || told.lock().unwrap().iter().filter(|each: &&Told| each.end.is_some()).count();
        until("some ends were told", || (ends() >= ENDS).then_some(()));
        let moment = RandomState::new().hash_one(round) % u64::try_from(LONGEST_MOMENT.as_micros()).unwrap();
        // Not a wait for anything: a cut comes at any moment.
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

fn launch_until_nobody_answers(scene: &Scene, round: &str, told: &Mutex<Vec<Told>>) {
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
    // Some are under way whenever the cut comes.
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
            // Nobody knows whether it was accepted: asked again, it is there once.
            each.id = Some((launch(scene, &each.name, each.code)?, Instant::now()));
        }
    }
    let known: Vec<String> = told.iter().filter_map(|each| Some(each.id.clone()?.0)).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let records = scene.until_all(&known, "over", is_over)?;
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
        wrong.push(format!("{unknown} ends are unknown, and not so many were under way"));
    }
    scene.crash();
    wrong.extend(scene.flaws());
    Ok(wrong)
}

impl Told {
    /// What counts of it. A kernel that gives up a journal may call forced what it does not write any more: whoever asked
    /// before is told so after, which no loss of power does.
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
        Some("had ended, and that is not known any more")
    } else if !is_true && !is_unknown {
        Some("did not end so")
    } else {
        None
    }
}
