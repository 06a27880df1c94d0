//! Checks that all records can be read, and that all live attempts have records.

use super::DoctorCheck;
use crate::compose::host_check::SupervisedAttempt;
use longhaul_cli::{manager_lacks, manager_stats};
use longhaul_client::ManagerLocator;
use longhaul_wire::api::StatsView;

const NAME: &str = "records";
/// Maximum number of processes that a check result lists by name.
const MAX_NAMED: usize = 10;

/// Asks the manager for three facts: the number of records, the damaged records, and the number of exits that were
/// recorded late. Returns no checks if no manager responds.
pub(super) fn records(place: &ManagerLocator) -> Vec<DoctorCheck> {
    match manager_stats(place) {
        Ok(Some(stats)) => vec![counted(&stats), detection(&stats)],
        Ok(None) => Vec::new(),
        Err(problem) => {
            let why = problem.detail.unwrap_or(problem.title);
            vec![DoctorCheck::warning(NAME, "the records cannot be counted at the moment").because(why)]
        }
    }
}

fn detection(stats: &StatsView) -> DoctorCheck {
    const NAME: &str = "detection";
    let (late, unrecorded) = (stats.late_detections, stats.unrecorded_exits);
    let check = if unrecorded > 0 {
        DoctorCheck::warning(
            NAME,
            format!("exits that are not recorded yet although detection.deadline has passed: {unrecorded}"),
        )
        .because("the store does not accept the records; clients still see these processes as live, or see an end that is not recorded yet")
        .so("free disk space, or make the store reachable; the log of the manager names the errors of the store")
    } else if late == 0 {
        DoctorCheck::ok(NAME, "each exit was recorded within detection.deadline")
    } else {
        DoctorCheck::warning(
            NAME,
            format!(
                "exits since the start of the manager that were recorded later than detection.deadline: {late}"
            ),
        )
        .because("the store or the machine is slow; clients learned of these exits late")
        .so("the log of the manager names the processes and the delays")
    };
    check.with("late_detections", late).with("unrecorded_exits", unrecorded)
}

fn counted(stats: &StatsView) -> DoctorCheck {
    let sound: u64 = stats.total.by_status.values().sum();
    let damaged = &stats.damaged;
    let Some(first) = damaged.first() else {
        return of_trees(sound, &stats.tree_unverified);
    };
    let named: Vec<&str> = damaged.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = if damaged.len() > MAX_NAMED { " …" } else { "" };
    DoctorCheck::problem(
        NAME,
        format!("{} of {} records cannot be read: {}{more}", damaged.len(), sound + damaged.len() as u64, named.join(" ")),
    )
    .because("processes with unreadable records are not listed, started or pruned; other processes are not affected")
    .so(format!(
        "`longhaul inspect {first}` shows the reason; to repair a damaged record, restore a copy of the \
         store; to read a record of a newer version, use the newer program"
    ))
    .with("damaged", damaged.len() as u64)
}

/// Reports live attempts whose process has no record or has already ended. No manager supervises these attempts.
/// Returns `None` if no attempt has this problem, or if no manager responds.
pub(super) fn unrecorded(place: &ManagerLocator, live: &[SupervisedAttempt]) -> Option<DoctorCheck> {
    const NAME: &str = "unrecorded";
    let ids: Vec<String> = live.iter().filter_map(|each| each.id()).map(str::to_owned).collect();
    match manager_lacks(place, &ids) {
        Ok(lacking) => {
            let lacking = lacking?;
            let lacks = |each: &&SupervisedAttempt| {
                each.id().is_some_and(|id| lacking.iter().any(|lacking| lacking == id)) && each.is_live()
            };
            of_unrecorded(NAME, &live.iter().filter(lacks).collect::<Vec<_>>())
        }
        Err(problem) => {
            let why = problem.detail.unwrap_or(problem.title);
            Some(
                DoctorCheck::warning(
                    NAME,
                    "running attempts cannot be compared with their records at the moment",
                )
                .because(why),
            )
        }
    }
}

fn of_unrecorded(name: &'static str, lacking: &[&SupervisedAttempt]) -> Option<DoctorCheck> {
    let reported: Vec<String> = lacking
        .iter()
        .map(|each| {
            let pid =
                each.command.or(each.supervisor).map_or_else(String::new, |pid| format!(" (process {pid})"));
            format!("{}{pid}", each.directory.display())
        })
        .collect();
    let pids: Vec<String> = lacking
        .iter()
        .filter_map(|each| each.command.or(each.supervisor))
        .map(|pid| pid.to_string())
        .collect();
    if lacking.is_empty() {
        return None;
    }
    let check = DoctorCheck::warning(
        name,
        format!("running attempts without the record of a live process: {}", reported.join(", ")),
    )
    .because(
        "the records of these attempts were lost, or their store now belongs to another state directory; \
        no manager supervises these attempts, and longhaul cannot cancel them",
    );
    let check = match pids.as_slice() {
        [] => check,
        pids => check.so(format!(
            "inspect the processes: ps -f -p {}; wait until they end, or end them: kill {}",
            pids.join(","),
            pids.join(" ")
        )),
    };
    Some(check.with("pids", pids))
}

/// Reports ended processes whose descendants may still be running, because the manager could not verify their process
/// trees.
fn of_trees(sound: u64, unverified: &[String]) -> DoctorCheck {
    let reported = format!("{sound} readable, none damaged");
    let Some(first) = unverified.first() else {
        return DoctorCheck::ok(NAME, reported);
    };
    let named: Vec<&str> = unverified.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = if unverified.len() > MAX_NAMED { " …" } else { "" };
    DoctorCheck::warning(
        NAME,
        format!(
            "{reported}; descendants of these ended processes may still be running: {}{more}",
            named.join(" ")
        ),
    )
    .because(
        "the shims of these processes were killed, and the manager could not verify that all \
         descendants have ended",
    )
    .so(format!(
        "`longhaul inspect {first}` shows what was started; the check `orphans` below lists running programs \
             that still carry the mark of an ended process"
    ))
    .with("tree_unverified", unverified.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{CheckResult, DoctorReport};
    use longhaul_wire::api::LevelStatsView;

    #[test]
    fn processes_whose_trees_could_not_be_verified_are_named() {
        let stats = StatsView { tree_unverified: vec!["0a1b".to_owned()], ..StatsView::default() };
        let report = DoctorReport::of(vec![counted(&stats)]);
        assert_eq!(report.health(), CheckResult::Warning);
        assert!(report.text().contains("may still be running: 0a1b\n"), "{}", report.text());
    }

    #[test]
    fn exits_that_were_recorded_late_are_a_warning() {
        let health = |late_detections| {
            DoctorReport::of(vec![detection(&StatsView { late_detections, ..StatsView::default() })]).health()
        };
        assert_eq!((health(0), health(2)), (CheckResult::Ok, CheckResult::Warning));
    }

    #[test]
    fn exit_that_is_not_recorded_yet_is_a_warning() {
        let stats = StatsView { unrecorded_exits: 1, ..StatsView::default() };
        let report = DoctorReport::of(vec![detection(&stats)]);
        assert_eq!(report.health(), CheckResult::Warning);
        assert!(report.text().contains("detection.deadline has passed: 1"), "{}", report.text());
    }

    #[test]
    fn damaged_records_are_counted_and_named_with_advice() {
        let by_status = [("failed", 2), ("running", 1)].map(|(status, count)| (status.to_owned(), count));
        let total = LevelStatsView { by_status: by_status.into(), ..LevelStatsView::default() };
        let reported = |damaged: Vec<String>| {
            let report = DoctorReport::of(vec![counted(&StatsView {
                total: total.clone(),
                damaged,
                ..StatsView::default()
            })]);
            (report.health(), report.text())
        };
        assert_eq!(
            reported(Vec::new()),
            (CheckResult::Ok, "ok       records  3 readable, none damaged\nall is well\n".to_owned())
        );
        let (health, text) = reported(vec!["0a1b".to_owned(), "0c2d".to_owned()]);
        assert_eq!(health, CheckResult::Problem);
        assert!(
            text.contains("2 of 5 records cannot be read: 0a1b 0c2d\n") && text.contains("inspect 0a1b"),
            "{text}"
        );
        let many = (0..11).map(|number| format!("id{number}")).collect();
        assert!(reported(many).1.contains("id9 …\n"));
    }
}
