//! One creature in its cell.

use crate::cell::Containment;
use crate::census::Census;
use crate::keeper::Keeper;
use longhaul_tests::{kill, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// What one is launched with that has to be killed.
pub(crate) fn hasty() -> Value {
    json!({"grace_ms": 300})
}

/// A stop takes its grace of 5 s or 300 ms, and as long again for two cores that do nothing but forking.
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

    /// Waits until it did its worst.
    pub(crate) fn until_ready(&self) {
        until("it is ready", || self.census.beside("ready").exists().then_some(()));
    }

    /// Lets one go on that waits for its keeper.
    pub(crate) fn let_go(&self) {
        fs::write(self.census.beside("go"), "").unwrap();
    }

    /// Asks for something that must be granted.
    pub(crate) fn order(&self, verb: &str, body: &Value) -> Value {
        self.keeper.must("POST", &format!("/v1/processes/{}/{verb}", self.id), body)
    }

    /// Waits until its end was told; gives all that is told of it.
    pub(crate) fn ended(&self) -> Value {
        let path = format!("/v1/wait?id={}&for=ended&timeout_ms=30000", self.id);
        let answer = self.keeper.must("GET", &path, &Value::Null);
        assert_eq!(
            answer["timed_out"],
            false,
            "its end was not told: {answer}; alive {:?}",
            self.census.alive()
        );
        answer["processes"][0].clone()
    }

    /// Cancels it once it is ready, and holds the end that is told against who is left.
    pub(crate) fn cancelled(&self) -> Value {
        self.until_ready();
        self.runs();
        self.cancelled_as_it_is()
    }

    /// The same of one that may not be ready.
    pub(crate) fn cancelled_as_it_is(&self) -> Value {
        let begin = Instant::now();
        self.order("cancel", &json!({}));
        let view = self.ended();
        let (took, left) = (begin.elapsed(), self.census.alive());
        assert_eq!(left, BTreeSet::new(), "alive after it was told that it was cancelled: {view}");
        assert_eq!(
            (&view["status"], &view["exit"]["stopped_by"]),
            (&json!("cancelled"), &json!("user")),
            "{view}"
        );
        assert!(took < STOPPED, "stopped after {took:?}: {view}");
        until("all are buried", || self.census.unburied().is_empty().then_some(()));
        view
    }

    /// Cancels one that left its group where nothing but the group is known: it must be told that only that is.
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

    /// It ends by itself, and what it left behind is gone by the time that it is told.
    pub(crate) fn ends(&self) -> Value {
        let view = self.ended();
        assert_eq!(self.census.alive(), BTreeSet::new(), "alive after its end was told: {view}");
        view
    }

    /// The same of one whose rest may have left its group.
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

    /// It is said to run, and which kind of containment is in force.
    pub(crate) fn runs(&self) -> Value {
        // It can be ready before its manager heard that it began.
        let view = until("it runs", || Some(self.view()).filter(|view| view["status"] != "starting"));
        let told = (view["status"].as_str(), view["containment"].as_str());
        assert_eq!(told, (Some("running"), Some(self.containment.word())), "{view}");
        view
    }

    /// The process id that is told of it.
    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.runs()["pid"].as_u64().unwrap()).unwrap()
    }

    /// What it wrote.
    pub(crate) fn output(&self) -> Vec<u8> {
        // There is no file before the first byte.
        fs::read(self.view()["log_path"].as_str().unwrap()).unwrap_or_default()
    }

    /// Kills whoever is left, as only its keeper can.
    fn clear(&self) {
        until("nobody is left", || {
            let left = self.census.alive();
            left.iter().for_each(|pid| kill("-KILL", *pid));
            left.is_empty().then_some(())
        });
    }
}

/// Says how it ended: status, code, signal, who stopped it, and the last signal that it took.
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
