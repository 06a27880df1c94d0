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
use std::time::Duration;

/// So many cuts of each kind with each store, unless `LONGHAUL_CUTS` says otherwise.
const CUTS: usize = 2;
/// So many clients launch and wait at once.
const CLIENTS: usize = 3;
/// A cut comes after so many ends were told, and up to a moment later.
const ENDS: usize = 4;
const LONGEST_MOMENT: Duration = Duration::from_millis(60);
/// Until everybody is gone as well, so that something may be told that is not true any more.
const AFTERMATH: Duration = Duration::from_millis(30);
const FILES: u32 = 4096;

#[test]
#[ignore = "mounts a disk of its own"]
fn nothing_acknowledged_is_lost_with_the_power() {
    let cuts = std::env::var("LONGHAUL_CUTS").map_or(CUTS, |text| text.parse().unwrap());
    let mut wrong = Vec::new();
    for world in [World::Sqlite, World::Fs] {
        let mut scene = Scene::on_a_disk(world, FILES);
        for cut in 0..cuts {
            for loss in [Loss::Unforced, Loss::Bytes] {
                let found = lose_power_under_load(&mut scene, &format!("{cut}{loss:?}"), loss);
                let found = found.unwrap_or_else(|stuck| vec![stuck]);
                wrong.extend(found.into_iter().map(|each| format!("{world:?} {cut} {loss:?}: {each}")));
            }
        }
        if !wrong.is_empty() {
            eprintln!("{}", scene.log());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A launch, and what a client was told of it.
#[derive(Clone, Debug)]
struct Told {
    name: String,
    code: i32,
    id: Option<String>,
    end: Option<i32>,
}

fn lose_power_under_load(scene: &mut Scene, round: &str, loss: Loss) -> Result<Vec<String>, String> {
    scene.serve()?;
    let told = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (seen, told) = (&*scene, &told);
            scope.spawn(move || launch_until_nobody_answers(seen, &format!("{round}-{client}"), told));
        }
        let ends = || told.lock().unwrap().iter().filter(|each: &&Told| each.end.is_some()).count();
        until("some ends were told", || (ends() >= ENDS).then_some(()));
        let moment = RandomState::new().hash_one(round) % u64::try_from(LONGEST_MOMENT.as_micros()).unwrap();
        // Not a wait for anything: a cut comes at any moment.
        std::thread::sleep(Duration::from_micros(moment));
        scene.disk().cut(loss);
        // What is told after that counts as well; then everybody goes.
        std::thread::sleep(AFTERMATH);
        scene.end_all();
    });
    scene.come_back();
    judge(scene, told.into_inner().unwrap())
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
        told.lock().unwrap()[at].id = Some(id.clone());
        let waited = scene.command(&["wait", &id, "--no-autostart"]).output().unwrap();
        let end = waited.status.code().filter(|end| (41..47).contains(end));
        told.lock().unwrap()[at].end = end;
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
            each.id = Some(launch(scene, &each.name, each.code)?);
        }
    }
    let known: Vec<String> = told.iter().filter_map(|each| each.id.clone()).collect();
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
