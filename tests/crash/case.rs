//! A test case: one fault at one crash point with one kind of store.

use longhaul_tests::Point;
use std::fmt;

/// A test case: one run of the script with one fault.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) point: String,
    pub(crate) action: Action,
    /// Which pass through the crash point gets the fault, counted from 1.
    pub(crate) pass: usize,
}

/// Kind of store that a run uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    Sqlite,
    Fs,
    Redis,
}

/// Fault that happens at a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Kill,
    Eio,
    Enospc,
    Panic,
    Delay,
}

/// Additional action in a run, without which the run would not pass the crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    None,
    /// Inject another fault first, described by this rule.
    After(&'static str),
    /// Write so much data that the database moves its write-ahead log into the database file.
    LongLog,
    /// Copy the store.
    Copy,
}

impl Case {
    /// Returns the test cases for a crash point, one for each possible fault.
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

/// Differences between the real and the reported end of a process that are allowed after a fault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latitude {
    /// True if the report may say that the end is unknown, because the only program that observed the end was killed.
    pub(crate) unknown: bool,
    /// True if the report may say that the start failed. This is not allowed if the disk is full, because such a start
    /// is retried.
    pub(crate) unstarted: bool,
}

impl Latitude {
    /// Returns the differences that are allowed after a kill. If the shim was killed, a start or an end that only the
    /// shim observed may be missing.
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
            // The file store compacts itself when the disk is full.
            return Self::After("fs.commit.write=enospc@30");
        }
        match point {
            // The manager removes the files of a shim that failed because the disk was full.
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
