//! A wrong wall clock must change only displayed times.

use longhaul_tests::Home;
use std::time::{Duration, Instant};

const DAY_MS: i64 = 86_400_000;

/// Clock change that simulates a wall clock that was never set. The manager then records an offset so that its steady
/// clock counts from the boot.
const NEVER_SET: i64 = i64::MAX;

/// Creates a state directory of a manager that started earlier in this boot. The wall clock has moved by `by_ms` since
/// then.
fn home_where_the_wall_moved(by_ms: i64) -> Home {
    let home = Home::new();
    let _ = home.ok(&["run", "--", "true"]);
    home.end_manager("-TERM");
    let file = home.state().join("clock");
    let text = std::fs::read_to_string(&file).unwrap();
    let moved = |line: &str| match line.split_once('=') {
        Some((key @ ("anchor" | "mark"), ms)) => {
            format!("{key}={}\n", ms.parse::<i64>().unwrap().saturating_sub(by_ms).max(0))
        }
        Some(_) | None => format!("{line}\n"),
    };
    std::fs::write(&file, text.lines().map(moved).collect::<String>()).unwrap();
    std::fs::remove_dir_all(home.state().join("attempts")).unwrap();
    for file in
        ["longhaul.db", "longhaul.db-wal", "longhaul.db-shm", "longhaul.db.state", "last_store", "store_mark"]
    {
        let _ = std::fs::remove_file(home.state().join(file));
    }
    home
}

#[test]
fn timeouts_delays_retries_graces_and_order_are_the_same_whatever_the_wall_clock_shows() {
    for (moved, what) in
        [(10 * DAY_MS, "10 days ahead"), (-10 * DAY_MS, "10 days back"), (NEVER_SET, "from before 1970")]
    {
        let home = home_where_the_wall_moved(moved);
        let begin = Instant::now();
        let limited = home.ok(&["run", "-b", "--timeout", "300ms", "--", "sleep", "60"]);
        let stubborn = home.ok(&[
            "run",
            "-b",
            "--grace",
            "300ms",
            "--",
            "sh",
            "-c",
            "trap '' TERM; sleep 60 & wait; wait",
        ]);
        let retried = home.ok(&["run", "-b", "--retry", "1", "--backoff", "200ms", "--", "false"]);
        let delayed = home.ok(&["run", "-b", "--delay", "400ms", "--", "true"]);
        home.until_status(&stubborn, "running");
        assert_eq!(home.run(&["cancel", &stubborn]).code, 0, "{what}");
        assert_eq!(home.run(&["wait", &delayed]).code, 0, "{what}");
        assert!(begin.elapsed() >= Duration::from_millis(400), "{what}: the grace did not last");
        for id in [&limited, &retried] {
            let _ = home.run(&["wait", id]);
        }
        assert!(begin.elapsed() < Duration::from_secs(15), "{what}: {:?}", begin.elapsed());
        for (id, status, attempts) in [
            (&limited, "timeout", 1),
            (&stubborn, "cancelled", 1),
            (&retried, "failed", 2),
            (&delayed, "completed", 1),
        ] {
            let record = home.record(id);
            assert_eq!(record["status"], *status, "{what}: {record}");
            assert_eq!(record["attempt"], attempts, "{what}: {record}");
            assert!(record["duration_ms"].as_u64().unwrap() < 15_000, "{what}: {record}");
            let moment = |field: &str| record[field].as_str().unwrap().to_owned();
            // Timestamps can be compared as text, because their format sorts by time.
            assert!(moment("queued_at") <= moment("started_at"), "{what}: {record}");
            assert!(moment("started_at") <= moment("completed_at"), "{what}: {record}");
            let moved_apart = moment("queued_at")[..10] != moment_of_the_wall()[..10];
            assert!(moved_apart, "{what}: the test did not move the clock: {record}");
        }
        let reported = home.run(&["doctor"]);
        assert!(reported.out.contains("the wall clock was set"), "{what}: {}", reported.out);
    }
}

fn moment_of_the_wall() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
