//! Checks that `longhaul doctor` makes on a PostgreSQL server.

use super::redis_check::{SLOW, TOO_SLOW, millis, rounded};
use crate::doctor::DoctorCheck;
use longhaul_adapters::postgres::{PostgresOptions, PostgresServerCheck, PostgresStore};
use std::time::Duration;

/// Maximum time until the server responds.
const STORE_TIMEOUT: Duration = Duration::from_secs(6);
/// Oldest version that is supported, as the server reports it in `server_version_num`.
const MIN_VERSION: i32 = 14_00_00;
/// Used connections that cause a warning, in percent of the maximum.
const NEARLY_FULL: i64 = 80;

/// Checks the server of the store. Returns no checks if the server does not respond, because another check reports this.
pub(crate) async fn checks(url: &str) -> Vec<DoctorCheck> {
    let examined = async { PostgresStore::examine(&PostgresOptions::of_url(url)?).await };
    match tokio::time::timeout(STORE_TIMEOUT, examined).await {
        Ok(Ok(found)) => of_found(&found),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

fn of_found(found: &PostgresServerCheck) -> Vec<DoctorCheck> {
    vec![server(found), durability(found), connections(found), latency(found)]
}

fn server(found: &PostgresServerCheck) -> DoctorCheck {
    const NAME: &str = "postgres.server";
    let reported = format!("PostgreSQL {}", found.version);
    if found.is_standby {
        DoctorCheck::problem(NAME, format!("{reported}, a standby"))
            .because("a standby accepts no writes")
            .so("name all hosts in the URL of the store, with `target_session_attrs=read-write`")
    } else if found.version_number < MIN_VERSION {
        DoctorCheck::problem(NAME, reported)
            .because("the version is not supported")
            .so("use PostgreSQL 14 or newer")
    } else {
        DoctorCheck::ok(NAME, reported)
    }
}

fn durability(found: &PostgresServerCheck) -> DoctorCheck {
    const NAME: &str = "postgres.durability";
    if found.is_durable {
        return DoctorCheck::ok(NAME, "fsync and full_page_writes are on");
    }
    DoctorCheck::problem(NAME, "fsync or full_page_writes is off")
        .because("a crash of the machine of the server can lose or damage acknowledged records")
        .so("set `fsync = on` and `full_page_writes = on` in the configuration of the server, and reload it")
}

fn connections(found: &PostgresServerCheck) -> DoctorCheck {
    const NAME: &str = "postgres.connections";
    let PostgresServerCheck { connections, max_connections, .. } = *found;
    let reported = format!("{connections} of {max_connections}");
    let check = if connections.saturating_mul(100) >= i64::from(max_connections).saturating_mul(NEARLY_FULL) {
        DoctorCheck::warning(NAME, reported)
            .because("a manager that gets no connection refuses launches")
            .so("raise `max_connections`, or end programs that keep connections open")
    } else {
        DoctorCheck::ok(NAME, reported)
    };
    check.with("open", connections).with("max", max_connections)
}

fn latency(found: &PostgresServerCheck) -> DoctorCheck {
    const NAME: &str = "postgres.latency";
    let PostgresServerCheck { median, longest, .. } = *found;
    let reported = format!("p50 {}, max {}", millis(median), millis(longest));
    let help = "check the network and the load of the server: pg_stat_activity, disk, processor";
    let check = if median >= TOO_SLOW {
        DoctorCheck::problem(NAME, reported)
            .because("lease renewals arrive too late, and leases expire")
            .so(help)
    } else if median >= SLOW || longest >= TOO_SLOW {
        DoctorCheck::warning(NAME, reported)
            .because("each change of a process takes several round trips to the server")
            .so(help)
    } else {
        DoctorCheck::ok(NAME, reported)
    };
    check.with("p50_ms", rounded(median)).with("max_ms", rounded(longest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{CheckResult, DoctorReport};

    fn healthy() -> PostgresServerCheck {
        PostgresServerCheck {
            version: "16.4".to_owned(),
            version_number: 160_004,
            is_standby: false,
            is_durable: true,
            connections: 12,
            max_connections: 100,
            median: Duration::from_micros(210),
            longest: Duration::from_micros(800),
        }
    }

    #[test]
    fn all_checks_of_a_healthy_server_succeed() {
        let report = DoctorReport::of(of_found(&healthy()));
        assert_eq!(
            report.text(),
            "\
ok       postgres.server       PostgreSQL 16.4
ok       postgres.durability   fsync and full_page_writes are on
ok       postgres.connections  12 of 100
ok       postgres.latency      p50 0.21 ms, max 0.80 ms
all is well
"
        );
    }

    #[test]
    fn each_fault_has_its_severity() {
        type Spoil = fn(&mut PostgresServerCheck);
        let spoils: [(Spoil, CheckResult); 6] = [
            (|found| found.is_standby = true, CheckResult::Problem),
            (|found| found.version_number = 130_015, CheckResult::Problem),
            (|found| found.is_durable = false, CheckResult::Problem),
            (|found| found.connections = 80, CheckResult::Warning),
            (|found| found.median = SLOW, CheckResult::Warning),
            (|found| found.median = TOO_SLOW, CheckResult::Problem),
        ];
        for (number, (spoil, expected)) in spoils.into_iter().enumerate() {
            let mut found = healthy();
            spoil(&mut found);
            let report = DoctorReport::of(of_found(&found));
            assert_eq!(report.health(), expected, "{number}: {}", report.text());
        }
    }
}
