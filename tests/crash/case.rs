//! Test case: one fault at one crash point with one kind of store.

use longhaul_tests::Point;
use std::fmt;

/// One run of the script with one fault.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) point: String,
    pub(crate) action: Action,
    /// Number of the pass through the point at which the fault happens.
    pub(crate) pass: usize,
}

/// Kind of store of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    Sqlite,
    Fs,
    Redis,
}

/// Fault at a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Kill,
    Eio,
    Enospc,
    Panic,
    Delay,
}

/// Additional action of a run, needed to reach the crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    None,
    /// Another fault happens first.
    After(&'static str),
    /// Enough data is written that the write-ahead log is moved into the database.
    LongLog,
    /// The store is copied.
    Copy,
}

impl Case {
    /// Returns the cases of a crash point.
    pub(crate) fn of(point: &Point) -> impl Iterator<Item = Self> + '_ {
        let fails = [Action::Eio, Action::Enospc].into_iter().filter(|_| point.can_fail);
        let actions = [Action::Kill].into_iter().chain(fails).chain([Action::Panic, Action::Delay]);
        actions.map(|action| Self {
            world: World::of(&point.name),
            point: point.name.clone(),
            action,
            pass: 1,
        })
    }

    pub(crate) fn rule(&self) -> String {
        format!("{}={}@{}", self.point, self.action, self.pass)
    }

    pub(crate) fn latitude(&self) -> Latitude {
        let is_of_a_supervisor = self.point.starts_with("shim.");
        let is_of_the_start =
            ["shim.", "os.", "file.", "environment."].iter().any(|part| self.point.starts_with(part));
        match self.action {
            Action::Kill | Action::Panic => Latitude::of_a_death(is_of_a_supervisor),
            Action::Eio => Latitude { unknown: false, unstarted: is_of_the_start },
            Action::Enospc | Action::Delay => Latitude::default(),
        }
    }
}

/// Deviations from the true report about a process that are allowed after a fault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latitude {
    /// An unknown end is allowed: the only program that knew the end was killed.
    pub(crate) unknown: bool,
    /// A failed start is allowed. A start without free space is retried instead.
    pub(crate) unstarted: bool,
}

impl Latitude {
    /// Returns what is allowed after a kill. Only a shim can be the only program that knows a start or an end.
    pub(crate) const fn of_a_death(is_of_a_supervisor: bool) -> Self {
        Self { unknown: is_of_a_supervisor, unstarted: is_of_a_supervisor }
    }
}

impl World {
    pub(crate) const ALL: [Self; 3] = [Self::Sqlite, Self::Fs, Self::Redis];

    pub(crate) fn of(point: &str) -> Self {
        match point.split('.').next() {
            Some("fs") => Self::Fs,
            Some("outbox" | "seal") => Self::Redis,
            _ => Self::Sqlite,
        }
    }
}

impl Detour {
    pub(crate) fn of(point: &str) -> Self {
        if point.starts_with("fs.checkpoint.") || point == "fs.commit.remove" {
            // A full store compacts itself.
            return Self::After("fs.commit.write=enospc@30");
        }
        match point {
            // Files of a shim that failed for lack of space are removed.
            "os.attempt.clear" => Self::After("shim.fork=enospc@1"),
            "sqlite.checkpoint" => Self::LongLog,
            "app.copy.rename" | "app.copy.directory" => Self::Copy,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Eio => "eio",
            Self::Enospc => "enospc",
            Self::Panic => "panic",
            Self::Delay => "delay:1000",
        })
    }
}
