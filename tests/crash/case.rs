//! What is tried: one thing that happens at one point, in one world.

use longhaul_tests::Point;
use std::fmt;

/// One run of the script, and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) world: World,
    pub(crate) point: String,
    pub(crate) action: Action,
    /// At which pass of the point.
    pub(crate) pass: usize,
}

/// The store of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum World {
    Sqlite,
    Fs,
    Redis,
}

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Kill,
    Eio,
    Enospc,
    Panic,
    Delay,
}

/// What a run does beyond the script, so that a point is passed at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    None,
    /// Something else fails before.
    After(&'static str),
    /// So much is written that the log of the database is moved into it.
    LongLog,
    /// The store is copied.
    Copy,
}

impl Case {
    /// What a point can be tried with.
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

    /// Whether it happens to the one who alone saw how a command ended, or to the one who was to begin it.
    pub(crate) fn is_of_a_supervisor(&self) -> bool {
        self.point.starts_with("shim.")
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
            // A full store makes itself smaller.
            return Self::After("fs.commit.write=enospc@30");
        }
        match point {
            // What a supervisor left that ran short of something is cleared away.
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
