//! Sweep of system calls. The test covers each kind of call that the manager or a shim makes on its files. The n-th
//! call of a kind kills its process, fails, or writes only half of its data. This is repeated for every n until a run
//! makes fewer than n such calls. After each run, a manager without faults reports the results.
//!
//! By default, every 48th call is tried (`LONGHAUL_CALLS_STRIDE`), starting at the first (`LONGHAUL_CALLS_FIRST`),
//! without a time limit (`LONGHAUL_CALLS_SECONDS`). `LONGHAUL_CALLS_ONLY=sqlite-Sync-kill` selects the cases whose name
//! contains that text.

use crate::case::{Latitude, World};
use crate::oracle;
use crate::scene::{Judge, Scene};
use crate::script;
use crate::sweep::{side_by_side, tell};
use longhaul_tests::{Call, CallKind, Fate, Program, may_watch};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Step from one tried call to the next. Trying every call would take too long.
const STRIDE: usize = 48;
/// Default time limit. It is so long that no run reaches it.
const NO_LIMIT: Duration = Duration::from_secs(24 * 3600);

#[test]
fn no_fault_at_a_system_call_breaks_a_promise() {
    if !may_watch() {
        return;
    }
    let number = |name: &str, otherwise| {
        std::env::var(name).ok().map_or(otherwise, |text| text.parse::<usize>().unwrap())
    };
    let (stride, first) = (number("LONGHAUL_CALLS_STRIDE", STRIDE), number("LONGHAUL_CALLS_FIRST", 1));
    let only = std::env::var("LONGHAUL_CALLS_ONLY").unwrap_or_default();
    let begun = Instant::now();
    let until = begun
        + std::env::var("LONGHAUL_CALLS_SECONDS")
            .map_or(NO_LIMIT, |text| Duration::from_secs(text.parse().unwrap()));

    let lanes: Vec<Lane> = Lane::all().filter(|lane| lane.to_string().contains(&only)).collect();
    let ran = side_by_side(&lanes, until, |lane| lane.run(first, stride, until));
    let struck: usize = ran.iter().map(|(struck, _)| struck).sum();
    eprintln!(
        "{struck} calls got a fault in {} lanes, every {stride} from {first} on, in {:.0} s",
        lanes.len(),
        begun.elapsed().as_secs_f64()
    );
    let wrong: Vec<String> = ran.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(struck >= lanes.len(), "some kind of call is never made");
}

/// A kind of store, a kind of system call, and the fault that the call gets.
#[derive(Clone, Copy, Debug)]
struct Lane {
    world: World,
    kind: CallKind,
    blow: Blow,
}

/// Fault that a system call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Kill,
    Eio,
    Enospc,
    /// The call fails as if the system had no free process or memory.
    Eagain,
    /// The call writes only half of its data.
    Short,
}

/// The system call that gets the fault, identified by its kind and its number.
#[derive(Debug)]
struct Target {
    lane: Lane,
    n: usize,
    seen: AtomicUsize,
    struck: OnceLock<Call>,
}

impl Lane {
    fn all() -> impl Iterator<Item = Self> {
        let worlds = [World::Sqlite, World::Fs].into_iter();
        let kinds = worlds.flat_map(|world| CallKind::ALL.map(|kind| (world, kind)));
        kinds.flat_map(|(world, kind)| {
            Blow::at(kind).iter().map(move |blow| Self { world, kind, blow: *blow })
        })
    }

    /// Runs the script several times, and injects a fault at a later call in each run. Stops when a run makes too few
    /// calls for its fault, or at the time `until`. Returns the number of injected faults and the violations.
    fn run(self, first: usize, stride: usize, until: Instant) -> (usize, Vec<String>) {
        let (mut struck, mut wrong) = (0, Vec::new());
        for n in (first..).step_by(stride) {
            let (call, found) = self.play(n);
            wrong.extend(found);
            if call.is_none() || Instant::now() >= until {
                break;
            }
            struck += 1;
        }
        (struck, wrong)
    }

    fn play(self, n: usize) -> (Option<Call>, Vec<String>) {
        let target = Arc::new(Target { lane: self, n, seen: AtomicUsize::new(0), struck: OnceLock::new() });
        let judge = Arc::clone(&target);
        let judge: Judge = Arc::new(move |call| judge.judge(call));
        let mut scene = Scene::new(self.world, &[]).watched_by(judge);
        let played = script::play_briefly(&mut scene);
        let struck = target.struck.get().cloned();
        let latitude = struck.as_ref().map(|call| self.blow.latitude(call));
        let judged =
            played.and_then(|ledger| oracle::judge(&mut scene, &ledger, latitude)).map(|mut wrong| {
                wrong.extend(scene.flaws());
                wrong
            });
        let what = match &struck {
            Some(call) => format!("{self}@{n} of {:?} at {:?}", call.program, call.place),
            None => format!("{self}@{n}, which was never made"),
        };
        (struck, tell(&scene, &what, judged.unwrap_or_else(|stuck| vec![stuck])))
    }
}

impl Blow {
    /// Returns the faults that are possible for a kind of system call.
    const fn at(kind: CallKind) -> &'static [Self] {
        match kind {
            CallKind::Write => &[Self::Kill, Self::Eio, Self::Enospc, Self::Short],
            CallKind::Sync | CallKind::Rename | CallKind::Create | CallKind::Directory | CallKind::Size => {
                &[Self::Kill, Self::Eio, Self::Enospc]
            }
            CallKind::Remove | CallKind::Program => &[Self::Kill, Self::Eio],
            CallKind::Process => &[Self::Kill, Self::Eagain],
        }
    }

    const fn fate(self) -> Fate {
        match self {
            Self::Kill => Fate::Kill,
            Self::Eio => Fate::Fail(libc::EIO),
            Self::Enospc => Fate::Fail(libc::ENOSPC),
            Self::Eagain => Fate::Fail(libc::EAGAIN),
            Self::Short => Fate::Short,
        }
    }

    fn latitude(self, call: &Call) -> Latitude {
        let is_of_a_supervisor = call.program == Program::Shim;
        match self {
            Self::Kill => Latitude::of_a_death(is_of_a_supervisor),
            Self::Eio => {
                let is_of_the_store = call.place.as_ref().is_some_and(|place| {
                    place.components().any(|part| part.as_os_str().to_string_lossy().starts_with("db"))
                });
                Latitude { unknown: false, unstarted: !is_of_the_store }
            }
            Self::Enospc | Self::Eagain | Self::Short => Latitude::default(),
        }
    }
}

impl Target {
    fn judge(&self, call: &Call) -> Fate {
        let is_meant = call.kind == self.lane.kind
            && match &call.place {
                Some(place) => Scene::is_of_the_state(place),
                None => matches!(call.kind, CallKind::Process | CallKind::Program),
            };
        if !is_meant || self.seen.fetch_add(1, Ordering::Relaxed) + 1 != self.n {
            return Fate::Pass;
        }
        let _ = self.struck.set(call.clone());
        self.lane.blow.fate()
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { world, kind, blow } = self;
        write!(f, "{world:?}-{kind:?}-{blow:?}")
    }
}
