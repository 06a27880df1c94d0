//! A disk that becomes read-only after an error. Running commands must continue and react to stop requests, and no
//! write may be acknowledged. Everything that was acknowledged before must exist when the disk works again.

use crate::case::World;
use crate::room::is_gone;
use crate::scene::{Scene, brief};
use crate::script::{End, Ledger, is_over};
use longhaul_tests::within;
use std::fs;
use std::time::Duration;

const FILES: u32 = 4096;
/// Time limit for operations that do not need the disk.
const SOON: Duration = Duration::from_secs(10);

#[test]
#[ignore = "mounts a disk"]
fn read_only_disk_keeps_acknowledged_records_and_blocks_no_client() {
    for world in [World::Sqlite, World::Fs] {
        let mut scene = Scene::on_a_disk(world, FILES);
        let wrong = protect(&mut scene).unwrap_or_else(|stuck| vec![stuck]);
        assert!(wrong.is_empty(), "{world:?}: {}\n{}", wrong.join("\n"), scene.log());
    }
}

fn protect(scene: &mut Scene) -> Result<Vec<String>, String> {
    let mut ledger = Ledger::default();
    let wait = "until [ -e go ]; do sleep 0.02; done; exit 5";
    let gated = ledger.launch(scene, ("gated", End::Code(5, 1)), &[], wait)?;
    let tree = ledger.launch(scene, ("tree", End::Cancelled), &[], "setsid sleep 300 & sleep 300")?;
    let seven = ledger.launch(scene, ("seven", End::Code(7, 1)), &[], "exit 7")?;
    scene.until(&seven, "ended", is_over)?;
    for id in [&gated, &tree] {
        scene.until(id, "running", |record| record["status"] == "running")?;
    }
    scene.disk().protect();
    let mut wrong = Vec::new();
    if let Ok(id) = scene.run(&["run", "-b", "--no-autostart", "--", "sh", "-c", "echo stranger 1 >> ran"]) {
        wrong.push(format!("{id} was acknowledged on a disk that may not be written"));
    }
    // The stop must be executed, and the reply must say that it is not recorded.
    let reported = scene.run(&["cancel", &tree, "--no-wait", "--no-autostart"]);
    within(SOON, &format!("the cancelled command has exited ({reported:?})"), || is_gone(scene, &tree));
    scene.run(&["status", "-a", "--no-autostart"])?;
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    within(SOON, "the other command has exited", || is_gone(scene, &gated));
    // Neither the store nor the attempt directory can store the exit, so the exit must not be reported as durable.
    let waited = scene.run(&["wait", &gated, "--timeout", "1s", "--no-autostart"]);
    if !waited.as_ref().is_err_and(|reported| reported.starts_with("Some(75)")) {
        wrong.push(format!("an end was reported that is not durable: {waited:?}"));
    }

    scene.end_all();
    scene.come_back();
    let records = scene.until_all(&[&gated, &tree, &seven], "ended", is_over)?;
    let ends = [("failed", 5), ("cancelled", 143), ("failed", 7)];
    for (record, (status, code)) in records.iter().zip(ends) {
        let is_true =
            record["status"] == status && (record["exit_code"].is_null() || record["exit_code"] == code);
        let is_unknown = code != 7 && record["status"] == "interrupted" && record["exit_code"].is_null();
        if !is_true && !is_unknown {
            wrong.push(format!("not {status} {code}: {}", brief(record)));
        }
    }
    let ran = fs::read_to_string(scene.work().join("ran")).unwrap_or_default();
    if ran.lines().count() != 3 {
        wrong.push(format!("not each command ran once: {ran}"));
    }
    Ok(wrong)
}
