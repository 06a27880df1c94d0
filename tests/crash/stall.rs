//! A slow disk. Launches wait for the disk. If the store is a database, no other operation waits.

use crate::case::World;
use crate::oracle;
use crate::scene::{Judge, Scene};
use crate::script::{End, Ledger, is_over};
use longhaul_tests::{Call, CallKind, Fate, Program, may_watch, until};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Duration of a slow sync.
const SLOW: Duration = Duration::from_secs(3);
/// Time limit for operations that do not need the disk, even under load.
const SOON: Duration = Duration::from_secs(1);

/// Whether the next sync of the store must be slow, and whether that slow sync has started.
#[derive(Debug, Default)]
struct Stall {
    is_due: AtomicBool,
    is_held: AtomicBool,
}

#[test]
fn slow_disk_delays_only_launches() {
    if !may_watch() {
        return;
    }
    let stall = Arc::new(Stall::default());
    let judge: Judge = {
        let stall = Arc::clone(&stall);
        Arc::new(move |call| stall.judge(call))
    };
    let mut scene = Scene::new(World::Sqlite, &[]).watched_by(judge);
    let wrong = launch_slowly(&mut scene, &stall).unwrap_or_else(|stuck| vec![stuck]);
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), scene.log());
}

impl Stall {
    fn judge(&self, call: &Call) -> Fate {
        let is_of_the_store = |place: &PathBuf| place.file_name().is_some_and(|name| name == "db-wal");
        let is_meant = call.kind == CallKind::Sync
            && call.program == Program::Manager
            && call.place.as_ref().is_some_and(is_of_the_store);
        if is_meant && self.is_due.swap(false, Ordering::SeqCst) {
            self.is_held.store(true, Ordering::SeqCst);
            return Fate::Delay(SLOW);
        }
        Fate::Pass
    }
}

fn launch_slowly(scene: &mut Scene, stall: &Stall) -> Result<Vec<String>, String> {
    let mut ledger = Ledger::default();
    let wait = "echo said; until [ -e go ]; do sleep 0.02; done; exit 5";
    let gated = ledger.launch(scene, ("gated", End::Code(5, 1)), &[], wait)?;
    scene.until(&gated, "running", |record| record["status"] == "running")?;
    let mut wrong = Vec::new();
    let mut expect = |is_so: bool, what: String| {
        if !is_so {
            wrong.push(what);
        }
    };
    let begun = Instant::now();
    stall.is_due.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let launched = scope.spawn(|| scene.run(&["run", "-b", "--no-autostart", "--", "true"]));
        until("the sync is in progress", || stall.is_held.load(Ordering::SeqCst).then_some(()));
        for args in [&["status", "-a"][..], &["inspect", &gated], &["logs", &gated]] {
            let asked = Instant::now();
            let answer = scene.run(&[args, &["--no-autostart"]].concat());
            let took = asked.elapsed();
            expect(answer.is_ok() && took < SOON, format!("{args:?} took {took:?}: {answer:?}"));
        }
        let launched = launched.join().unwrap();
        let took = begun.elapsed();
        expect(launched.is_ok() && took >= SLOW, format!("acknowledged after {took:?}: {launched:?}"));
    });
    fs::write(scene.work().join("go"), "").map_err(|error| error.to_string())?;
    scene.until_all(&ledger.kept(), "ended", is_over)?;
    wrong.extend(
        oracle::judge(scene, &ledger, None)?.into_iter().filter(|each| !each.starts_with("not launched")),
    );
    Ok(wrong)
}
