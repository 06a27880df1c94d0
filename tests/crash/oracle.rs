//! Checks the conditions that must hold after every run.

use crate::case::Latitude;
use crate::scene::{Scene, brief};
use crate::script::{End, KEPT_FILE, Ledger, Work, is_over};
use longhaul_tests::is_alive;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// Maximum time for which descendants may still run after the end of their tree was reported.
const LINGERING: Duration = Duration::from_secs(10);

/// Starts a manager without faults and checks all conditions. Returns the violations.
pub(crate) fn judge(
    scene: &mut Scene,
    ledger: &Ledger,
    latitude: Option<Latitude>,
) -> Result<Vec<String>, String> {
    scene.crash();
    scene.disarm();
    let mut wrong = Vec::new();
    for (name, left) in &ledger.survivors {
        wrong.push(format!("processes {left:?} of {name} were alive after the cancel"));
    }
    let mut spared = 0;
    let called_live = first_answer(scene, ledger)?;
    let records = scene.until_all(&ledger.kept(), "ended", is_over)?;
    let ran = fs::read_to_string(scene.work().join("ran")).unwrap_or_default();
    for (work, record) in ledger.work.iter().filter(|work| work.end != End::Pruned).zip(records) {
        match end_of(&ran, work, record) {
            Verdict::True => {}
            Verdict::Unknown(record) => {
                spared += 1;
                if called_live.contains(&work.id) {
                    wrong.push(format!(
                        "the first answer called {} live, although it was lost before",
                        work.name
                    ));
                }
                // The end may be unknown if both the manager and the shim were killed.
                if !latitude.is_some_and(|allowed| allowed.unknown || work.name == "orphan") {
                    wrong.push(format!(
                        "the record of {} does not show the real ending: {}",
                        work.name,
                        brief(&record)
                    ));
                }
            }
            Verdict::Unstarted(record) => {
                spared += 1;
                if !latitude.is_some_and(|allowed| allowed.unstarted) {
                    wrong.push(format!("{} was not started: {}", work.name, brief(&record)));
                }
            }
            Verdict::False(record) => {
                wrong.push(format!("{} ended otherwise: {}", work.name, brief(&record)))
            }
        }
    }
    if spared > 2 {
        wrong.push(format!("one fault happened, and {spared} endings are not correct"));
    }
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    ran.lines().for_each(|line| *runs.entry(line).or_default() += 1);
    wrong.extend(
        runs.iter().filter(|(_, runs)| **runs > 1).map(|(line, runs)| format!("{line} ran {runs} times")),
    );
    if scene.work().join("overlap").exists() {
        wrong.push("two processes held a key with one slot".to_owned());
    }
    wrong.extend(torn_artifact(scene, ledger)?);
    wrong.extend(unexpected(scene, ledger)?);
    wrong.extend(lingering(scene, ledger));
    Ok(wrong)
}

/// Returns the processes that the first answer of this manager reports as live although their commands have ended.
///
/// The caller passes a ledger that contains only processes whose end no program observed. The test kills no process at
/// this time, so these processes ended before the answer. Any other process may have ended right after the answer.
fn first_answer(scene: &mut Scene, ledger: &Ledger) -> Result<Vec<String>, String> {
    let text = scene.ask(&[&["inspect"], ledger.kept().as_slice()].concat())?;
    let records: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&text).into_iter().collect();
    let records = records.map_err(|error| format!("{error}: {text}"))?;
    let is_gone = |record: &Value| {
        let pid = record["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        pid.is_some_and(|pid| !is_alive(pid))
    };
    let gone = records.iter().filter(|record| !is_over(record) && is_gone(record));
    Ok(gone.filter_map(|record| record["id"].as_str().map(str::to_owned)).collect())
}

/// Result of comparing how a process ended with what the script expects.
enum Verdict {
    True,
    /// The end is reported as unknown.
    Unknown(Value),
    /// The process never ran, and is reported as not started.
    Unstarted(Value),
    False(Value),
}

fn end_of(ran: &str, work: &Work, record: Value) -> Verdict {
    // An attempt that never ran has written no line. The next attempt follows it.
    let runs = ran.lines().filter(|line| line.split(' ').next() == Some(work.name)).count();
    let code = record["exit_code"].as_i64();
    let is_explained = record["reason"].as_str().is_some_and(|reason| !reason.is_empty());
    match (record["status"].as_str(), work.end) {
        (Some("completed" | "failed"), End::Code(wanted, times)) if code == Some(wanted) && runs == times => {
            let is_failed = record["status"] == "failed";
            if is_failed == (wanted != 0) { Verdict::True } else { Verdict::False(record) }
        }
        (Some("cancelled"), End::Cancelled) => Verdict::True,
        (Some("interrupted"), _) if code.is_none() && is_explained => Verdict::Unknown(record),
        (Some("failed"), _) if code.is_none() && is_explained && runs == 0 => Verdict::Unstarted(record),
        (_, _) => Verdict::False(record),
    }
}

/// Returns a violation if the artifacts of a process that ended normally are neither complete nor reported as missing.
fn torn_artifact(scene: &mut Scene, ledger: &Ledger) -> Result<Option<String>, String> {
    let Some(work) = ledger.work.iter().find(|work| work.name == "seven") else { return Ok(None) };
    let text = scene.ask(&["artifacts", "--json", &work.id])?;
    let list: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    let names = |part: &str| list[part].as_array().map_or(0, Vec::len);
    match (list["state"].as_str(), names("files"), names("skipped")) {
        (Some("none" | "missing"), 0, 0) | (Some("copied"), 0, 1) => Ok(None),
        (Some("copied"), 1, 0) => {
            let content = scene.ask(&["artifacts", &work.id, "--get", KEPT_FILE])?;
            Ok((content.trim() != "kept").then(|| format!("the artifact of seven is torn: {content:?}")))
        }
        _ => Ok(Some(format!("the artifacts of seven are inconsistent: {text}"))),
    }
}

/// Returns processes that should not exist: those that were not launched, and those that were pruned. A launch that was
/// repeated must have created one process only.
fn unexpected(scene: &mut Scene, ledger: &Ledger) -> Result<Vec<String>, String> {
    let all: Value =
        serde_json::from_str(&scene.ask(&["status", "-a", "--json"])?).map_err(|error| error.to_string())?;
    let listed = all["processes"].as_array().cloned().unwrap_or_default();
    let id_of = |each: &Value| each["id"].as_str().unwrap_or_default().to_owned();
    let is_unknown = |each: &&Value| {
        let id = id_of(each);
        each["metadata"].is_null() && !ledger.work.iter().any(|work| work.id == id)
    };
    let unexpected = listed.iter().filter(is_unknown).map(|each| format!("not launched: {}", brief(each)));
    let pruned = ledger.work.iter().filter(|work| work.end == End::Pruned);
    let back = pruned.filter(|work| listed.iter().any(|each| id_of(each) == work.id));
    Ok(unexpected.chain(back.map(|work| format!("{} was pruned and exists", work.name))).collect())
}

/// Returns processes that are still running although their end was reported.
fn lingering(scene: &Scene, ledger: &Ledger) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let of = |work: &Work| (work.name, scene.alive(&format!("LONGHAUL_ID={}", work.id)));
        let left: Vec<_> = ledger.work.iter().map(of).filter(|(_, left)| !left.is_empty()).collect();
        if left.is_empty() || begun.elapsed() > LINGERING {
            return left
                .iter()
                .map(|(name, left)| format!("processes {left:?} of {name} are alive after its end"))
                .collect();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
