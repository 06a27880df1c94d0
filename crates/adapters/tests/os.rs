//! Tests of the spawner and the output log with real commands and real shims.
#![cfg(all(feature = "os", feature = "system"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking too"
)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a test waits for one observation among many")]

#[path = "os/artifacts.rs"]
mod artifacts;
#[path = "os/bench.rs"]
mod bench;
#[path = "os/halts.rs"]
mod halts;
#[path = "os/inputs.rs"]
mod inputs;
#[path = "os/leases.rs"]
mod leases;
#[path = "os/leftovers.rs"]
mod leftovers;
#[path = "os/limits.rs"]
mod limits;
#[path = "os/lives.rs"]
mod lives;
#[path = "os/looks.rs"]
mod looks;
#[path = "os/losses.rs"]
mod losses;
#[path = "os/measure.rs"]
mod measure;
#[path = "os/outputs.rs"]
mod outputs;
#[path = "os/probes.rs"]
mod probes;
#[path = "os/shortages.rs"]
mod shortages;
#[path = "os/signals.rs"]
mod signals;
#[path = "os/starts.rs"]
mod starts;
#[path = "os/stops.rs"]
mod stops;
#[path = "os/suites.rs"]
mod suites;
#[path = "os/versions.rs"]
mod versions;
