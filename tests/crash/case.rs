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

    pub(crate) fn latitude(&self) -> Latitude {
        let is_of_a_supervisor = self.point.starts_with("shim.");
        let is_of_the_start =
            ["shim.", "os.", "file.", "vault."].iter().any(|part| self.point.starts_with(part));
        match self.action {
            Action::Kill | Action::Panic => Latitude::of_a_death(is_of_a_supervisor),
            Action::Eio => Latitude { unknown: false, unstarted: is_of_the_start },
            Action::Enospc | Action::Delay => Latitude::default(),
        }
    }
}

/// What may be told of one process beside the truth, after what happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latitude {
    /// Nobody knows how it ended: only who was alone with a command may leave that unknown.
    pub(crate) unknown: bool,
    /// It was not begun: a command that cannot be begun is said to have failed so; want of room is waited out.
    pub(crate) unstarted: bool,
}

impl Latitude {
    /// Somebody died; a supervisor alone saw how a command ended, or was to begin it.
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
