//! One test program that a manager runs.

use crate::cell::Containment;
use crate::census::Census;
use crate::keeper::Keeper;
use longhaul_tests::{kill, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// Returns launch options with a short grace period, for programs that must be killed.
pub(crate) fn hasty() -> Value {
    json!({"grace_ms": 300})
}

/// Time limit of a stop: the grace period of 5 s or 300 ms, plus time for processor cores that are busy with forks.
const STOPPED: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) struct Creature {
    pub(crate) id: String,
    pub(crate) census: Census,
    keeper: Keeper,
    containment: Containment,
}

impl Creature {
    pub(crate) fn new(id: String, census: Census, keeper: Keeper, containment: Containment) -> Self {
        Self { id, census, keeper, containment }
    }

    pub(crate) fn view(&self) -> Value {
        self.keeper.must("GET", &format!("/v1/processes/{}", self.id), &Value::Null)
    }

    /// Waits until the program has reported that it is in its final state.
    pub(crate) fn until_ready(&self) {
        until("the program is ready", || self.census.beside("ready").exists().then_some(()));
    }

    /// Lets a program continue that is waiting for the test.
    pub(crate) fn let_go(&self) {
        fs::write(self.census.beside("go"), "").unwrap();
    }

    /// Sends a request about the process. The request must succeed.
    pub(crate) fn order(&self, verb: &str, body: &Value) -> Value {
        self.keeper.must("POST", &format!("/v1/processes/{}/{verb}", self.id), body)
    }

    /// Waits until the end of the process is reported. Returns the record.
    pub(crate) fn ended(&self) -> Value {
        let path = format!("/v1/wait?id={}&for=ended&timeout_ms=30000", self.id);
        let answer = self.keeper.must("GET", &path, &Value::Null);
        assert_eq!(
            answer["timed_out"],
            false,
            "the end was not reported: {answer}; alive {:?}",
            self.census.alive()
        );
        answer["processes"][0].clone()
    }

    /// Cancels the process as soon as it is ready. When the end is reported, no process of the program may be alive.
    pub(crate) fn cancelled(&self) -> Value {
        self.until_ready();
        self.runs();
        self.cancelled_as_it_is()
    }

    /// Like `cancelled`, but does not wait until the process is ready.
    pub(crate) fn cancelled_as_it_is(&self) -> Value {
        let begin = Instant::now();
        self.order("cancel", &json!({}));
        let view = self.ended();
        let (took, left) = (begin.elapsed(), self.census.alive());
        assert_eq!(left, BTreeSet::new(), "alive after the cancel was reported: {view}");
        assert_eq!(
            (&view["status"], &view["exit"]["stopped_by"]),
            (&json!("cancelled"), &json!("user")),
            "{view}"
        );
        assert!(took < STOPPED, "stopped after {took:?}: {view}");
        until("all processes are reaped", || self.census.unburied().is_empty().then_some(()));
        view
    }

    /// Cancels a process that leaves its process group. If the containment is by group, its descendants may survive,
    /// and are then killed.
    pub(crate) fn cancelled_or_escaped(&self) -> Value {
        match self.containment {
            Containment::Cgroup | Containment::Subreaper => self.cancelled(),
            Containment::Group => {
                self.until_ready();
                self.runs();
                self.order("cancel", &json!({}));
                let view = self.ended();
                assert_eq!(view["status"], "cancelled", "{view}");
                self.clear();
                view
            }
        }
    }

    /// Waits for the end of the process. When the end is reported, no leftovers may be alive.
    pub(crate) fn ends(&self) -> Value {
        let view = self.ended();
        assert_eq!(self.census.alive(), BTreeSet::new(), "alive after its end was reported: {view}");
        view
    }

    /// Like `ends`, for a process whose leftovers may have left its process group and may therefore survive.
    pub(crate) fn ends_or_escapes(&self) -> Value {
        match self.containment {
            Containment::Cgroup | Containment::Subreaper => self.ends(),
            Containment::Group => {
                let view = self.ended();
                self.clear();
                view
            }
        }
    }

    /// Waits until the process is running, and checks the containment that its record names.
    pub(crate) fn runs(&self) -> Value {
        // Poll, because the program can be ready before its manager has processed its start.
        let view =
            until("the process runs", || Some(self.view()).filter(|view| view["status"] != "starting"));
        let reported = (view["status"].as_str(), view["containment"].as_str());
        assert_eq!(reported, (Some("running"), Some(self.containment.word())), "{view}");
        view
    }

    /// Returns the pid that the manager reports.
    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.runs()["pid"].as_u64().unwrap()).unwrap()
    }

    /// Returns the output of the process.
    pub(crate) fn output(&self) -> Vec<u8> {
        // A missing file counts as empty, because the output file does not exist before the first byte.
        fs::read(self.view()["log_path"].as_str().unwrap()).unwrap_or_default()
    }

    /// Kills all live processes of the program.
    fn clear(&self) {
        until("no process is left", || {
            let left = self.census.alive();
            left.iter().for_each(|pid| kill("-KILL", *pid));
            left.is_empty().then_some(())
        });
    }
}

/// Returns how the process ended: its status, its exit code, its signal, the reason for the stop, and the last signal
/// that was sent to it.
pub(crate) fn end(view: &Value) -> (&str, Option<i64>, Option<i64>, Option<&str>, Option<i64>) {
    let exit = &view["exit"];
    (
        view["status"].as_str().unwrap(),
        exit["code"].as_i64(),
        exit["signal"].as_i64(),
        exit["stopped_by"].as_str(),
        exit["last_signal"].as_i64(),
    )
}
