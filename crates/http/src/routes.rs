//! The routes, one file for each noun.

pub(crate) mod control;
pub(crate) mod health;
pub(crate) mod launch;
pub(crate) mod level;
pub(crate) mod list;
pub(crate) mod output;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod session;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod upkeep;
pub(crate) mod wait;
