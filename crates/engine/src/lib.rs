//! The use cases of longhaul over its ports: the only impure loop.
//!
//! Every change goes the same way: load the record, [decide](longhaul_domain::Process::decide) the input, commit the
//! events under the revision that the decision was made on, perform the effects; what they lead to comes back as an
//! observation and goes the same way. On a conflict the record is loaded and the input decided anew. Effects are
//! idempotent per attempt, and recovery derives them again from the records alone, so the engine may die between any
//! two steps.

mod attention;
mod beat;
mod causes;
mod clear;
mod copies;
mod descend;
mod engine;
mod environment;
mod error;
mod find;
mod follow;
mod handover;
mod hub;
mod input;
mod interrupted;
mod lanes;
mod launch;
mod leftovers;
mod look;
mod nodes;
mod output;
mod owned;
mod parts;
mod perform;
mod pump;
mod queues;
mod reconcile;
mod recover;
mod rejoin;
mod rest;
mod restart;
mod retention;
mod runners;
mod session;
mod shield;
mod shutdown;
mod starts;
mod stats;
mod subscribe;
mod tails;
mod tenure;
mod timers;
mod tree;
mod trust;
mod turn;
mod unanswered;
mod unexamined;
mod unrecorded;
mod vitals;
mod wait;
mod why;

pub use causes::with_causes;
pub use clear::Cleared;
pub use engine::{Answer, Engine};
pub use error::{Candidate, EngineError, InputRefusal, Matched, Reached, Standstill};
pub use handover::interrupt_attempts;
pub use input::Written;
pub use interrupted::{Revival, RevivalOptions, Revived, SkipReason, Skipped};
pub use launch::{Launch, Launched, Launcher};
pub use longhaul_ports as ports;
pub use look::Look;
pub use output::Followed;
pub use parts::{Parts, Settings};
pub use retention::Pruned;
pub use runners::Runners;
pub use shutdown::Shutdown;
pub use stats::{LevelStats, Stats};
pub use subscribe::{CallbackGuard, Notice, Subscription};
pub use tree::Told;
pub use wait::{Goal, Mode, Waited};
pub use why::Why;
