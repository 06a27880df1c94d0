//! Concurrent runs.

use crate::case::{Case, Detour, Latitude, World};
use crate::oracle;
use crate::scene::Scene;
use crate::script;
use std::collections::BTreeSet;
use std::panic;
use std::sync::Mutex;
use std::time::Instant;

/// Number of concurrent runs. It may exceed the number of cores, because a run mostly waits.
const AT_ONCE: usize = 6;

/// Runs the script once with the fault of the test case. Returns the violations.
pub(crate) fn play(case: &Case) -> Vec<String> {
    let rule = case.rule();
    let detour = Detour::of(&case.point);
    let rules = match detour {
        Detour::After(before) => vec![before, rule.as_str()],
        Detour::None | Detour::LongLog | Detour::Copy => vec![rule.as_str()],
    };
    let mut scene = Scene::new(case.world, &rules);
    let mut wrong = judged(&mut scene, detour, Some(case.latitude()));
    if scene.passed().iter().filter(|name| **name == case.point).count() < case.pass {
        wrong.push("no program passed the point".to_owned());
    }
    tell(&scene, &rule, wrong)
}

/// Runs the script without a fault, but with the additional action. Returns the violations, and the names of the crash
/// points that were passed.
pub(crate) fn play_untouched(world: World, detour: Detour) -> (Vec<String>, BTreeSet<String>) {
    let rules = match detour {
        Detour::After(before) => vec![before],
        Detour::None | Detour::LongLog | Detour::Copy => Vec::new(),
    };
    let mut scene = Scene::new(world, &rules);
    let wrong = judged(&mut scene, detour, None);
    let passed = scene.passed().into_iter().collect();
    (tell(&scene, &format!("{world:?} {detour:?}"), wrong), passed)
}

fn judged(scene: &mut Scene, detour: Detour, latitude: Option<Latitude>) -> Vec<String> {
    let played = script::play(scene, detour).and_then(|ledger| oracle::judge(scene, &ledger, latitude));
    played.unwrap_or_else(|stuck| vec![stuck])
}

/// Formats violations with one line each. Prints them with the log of the managers if there are any.
pub(crate) fn tell(scene: &Scene, what: &str, wrong: Vec<String>) -> Vec<String> {
    if !wrong.is_empty() {
        eprintln!("---- {what}\n{}\n{}", wrong.join("\n"), scene.log());
    }
    wrong.into_iter().map(|each| format!("{what}: {each}")).collect()
}

/// Calls a function for each item, several at the same time. Starts no more calls after the time limit. Returns the
/// results of the started calls.
pub(crate) fn side_by_side<T: Sync, R: Send>(
    tasks: &[T],
    until: Instant,
    run: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = Mutex::new(tasks.iter());
    let done = Mutex::new(Vec::new());
    let work = || {
        while Instant::now() < until
            && let Some(task) = { next.lock().unwrap().next() }
        {
            let result = run(task);
            done.lock().unwrap().push(result);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
        }
    });
    done.into_inner().unwrap()
}
