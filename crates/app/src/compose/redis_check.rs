//! Checks that `longhaul doctor` makes on the server of a shared store.

pub(crate) use super::shared::knows;

use super::{key_check, shared, url_hints};
use crate::config::ManagerConfig;
use crate::doctor::{DoctorCheck, amount};
use crate::failure::causes;
use longhaul_adapters::redis::{
    AclError, ClockSkew, Durability, LeaseTimes, NamespaceState, NodeSettings, RedisOptions, RedisStore,
    RoundTrips, ServerCheck, ServerInfo, SyncPolicy, TlsFault, UnsuitableServer,
};
use longhaul_engine::ports::StoreError;
use std::time::Duration;

/// Maximum time until the server responds.
const STORE_TIMEOUT: Duration = Duration::from_secs(6);
/// Response time of the server that causes a warning. Each change of a process needs at least one response of the
/// server.
pub(super) const SLOW: Duration = Duration::from_millis(5);
/// Response time of the server that is reported as a problem, because lease renewals arrive late.
pub(super) const TOO_SLOW: Duration = Duration::from_millis(500);
/// Difference between the clocks of the server and this machine that causes a warning, in microseconds.
const MAX_CLOCK_SKEW_US: u64 = 1_000_000;
/// Used memory that causes a warning, in percent of the server's memory limit.
const NEARLY_FULL: u64 = 80;
/// Lease duration below which the check warns. A shorter lease expires after one or two late renewals.
const MIN_SAFE_LEASE: Duration = Duration::from_secs(3);

/// Checks the server of the store and the cluster key of the nodes. If the server does not respond, the key is not
/// checked.
pub(crate) async fn checks(settings: &ManagerConfig, url: &str) -> Vec<DoctorCheck> {
    let mut checks = of_server(url).await;
    checks.extend(key_check::check("redis.cluster_key", settings, url).await);
    checks
}

async fn of_server(url: &str) -> Vec<DoctorCheck> {
    let options = match shared::options(url) {
        Ok(options) => options,
        Err(error) => {
            let why = causes(&error).unwrap_or_else(|| error.to_string());
            return vec![
                DoctorCheck::obstacle("redis.url", "the URL of the store is not valid").because(why),
            ];
        }
    };
    match tokio::time::timeout(STORE_TIMEOUT, RedisStore::examine(&options)).await {
        Ok(Ok(found)) => {
            let mut checks = of_found(&found, &options);
            if let Ok(Ok(lacking)) = tokio::time::timeout(STORE_TIMEOUT, RedisStore::lacking(&options)).await
            {
                checks.push(rights(&lacking));
            }
            checks
        }
        Ok(Err(error)) => vec![away(&error, &options.namespace, url), leases(&options)],
        Err(_) => {
            let said = format!("no answer within {} s", STORE_TIMEOUT.as_secs());
            vec![not_reached(said, url), leases(&options)]
        }
    }
}

fn rights(lacking: &[String]) -> DoctorCheck {
    const NAME: &str = "redis.rights";
    if lacking.is_empty() {
        return DoctorCheck::ok(NAME, "the Redis user has all permissions that it needs");
    }
    let allowed: String = lacking.iter().map(|name| format!(" +{name}")).collect();
    DoctorCheck::problem(NAME, format!("the Redis user may not use {}", lacking.join(", ")))
        .because("operations that need these commands fail")
        .so(format!("run as an administrator of the server: ACL SETUSER USER{allowed}"))
}

fn away(error: &StoreError, namespace: &str, url: &str) -> DoctorCheck {
    let why = causes(error).unwrap_or_else(|| error.to_string());
    if let StoreError::Unavailable { source } = error
        && let Some(denial) = source.downcast_ref::<AclError>()
    {
        return DoctorCheck::obstacle("redis.server", "the server rejects the Redis user")
            .because(format!(
                "{why}; launches are refused until this is corrected, and running processes \
                 continue"
            ))
            .so(denial.help(namespace));
    }
    if let StoreError::Unavailable { source } = error
        && source.is::<UnsuitableServer>()
    {
        return DoctorCheck::obstacle("redis.server", "the server does not report its settings").because(why);
    }
    if let StoreError::Unavailable { source } = error
        && source.is::<TlsFault>()
    {
        return DoctorCheck::obstacle("redis.server", "the TLS connection to the server failed").because(why);
    }
    not_reached(why, url)
}

fn not_reached(why: String, url: &str) -> DoctorCheck {
    let default = "start the server, or correct `store`; the manager continues when the server is back";
    let help = url_hints::advice(url, &why).unwrap_or(default);
    DoctorCheck::obstacle("redis.server", "the server does not answer")
        .because(format!(
            "{why}; launches are refused until this is corrected, and running processes \
             continue"
        ))
        .so(help)
}

fn of_found(found: &ServerCheck, options: &RedisOptions) -> Vec<DoctorCheck> {
    let ServerCheck { server, round_trips, skew, namespace, differing } = found;
    vec![
        version(server),
        role(server, options.durability),
        eviction(server),
        memory(server),
        disk(server, options.durability),
        latency(round_trips),
        clock(skew),
        of_namespace(*namespace, &options.namespace),
        leases(options),
        agreement(options.terms(), differing),
    ]
}

fn version(server: &ServerInfo) -> DoctorCheck {
    const NAME: &str = "redis.server";
    let reported = format!("{} {}", server.product, server.version);
    let is_old = |fault: &UnsuitableServer| matches!(fault, UnsuitableServer::TooOld { .. });
    match server.faults(Durability::Cache).into_iter().find(is_old) {
        Some(fault) => DoctorCheck::obstacle(NAME, reported)
            .because(fault.to_string())
            .so("a manager refuses to start with this server"),
        None => DoctorCheck::ok(NAME, reported).with("version", server.version.clone()),
    }
}

fn role(server: &ServerInfo, durability: Durability) -> DoctorCheck {
    const NAME: &str = "redis.replicas";
    if let Some(primary) = &server.primary {
        return DoctorCheck::obstacle(NAME, format!("a replica of {primary}"))
            .because("a replica accepts no writes")
            .so(format!("set `store` to {primary}, or use sentinels: redis+sentinel://"));
    }
    let reported = match server.replicas {
        0 => "a primary without replicas".to_owned(),
        1 => "a primary with 1 replica".to_owned(),
        many => format!("a primary with {many} replicas"),
    };
    let of_replicas = |fault: &UnsuitableServer| matches!(fault, UnsuitableServer::OtherReplicas { .. });
    let check = match (server.faults(durability).into_iter().find(of_replicas), durability) {
        (Some(fault), _) => DoctorCheck::obstacle(NAME, reported).because(fault.to_string()),
        (None, Durability::Single) if server.replicas > 0 => DoctorCheck::warning(NAME, reported)
            .because(
                "`durability=single` does not wait for replicas: a replica that is promoted may lack the latest writes",
            )
            .so(format!("use `durability=replicated:{}` if replicas may be promoted", server.replicas)),
        (None, Durability::Single | Durability::Cache | Durability::Replicated { .. }) => {
            DoctorCheck::ok(NAME, reported)
        }
    };
    check.with("replicas", server.replicas)
}

fn eviction(server: &ServerInfo) -> DoctorCheck {
    const NAME: &str = "redis.maxmemory_policy";
    if server.eviction == "noeviction" {
        return DoctorCheck::ok(NAME, "noeviction");
    }
    DoctorCheck::obstacle(NAME, server.eviction.clone())
        .because("when its memory is full, the server would delete processes")
        .so("set `maxmemory-policy noeviction`, with CONFIG SET and in the configuration file of the server")
}

fn memory(server: &ServerInfo) -> DoctorCheck {
    const NAME: &str = "redis.memory";
    let used = server.used_memory;
    let Some(limit) = server.most_memory else {
        let reported = format!("{} used, no limit", amount(used));
        return DoctorCheck::ok(NAME, reported).with("used_bytes", used);
    };
    let percent = used.saturating_mul(100).checked_div(limit).unwrap_or(100);
    let reported = format!("{} of {} used, {percent} %", amount(used), amount(limit));
    let check = if used >= limit {
        DoctorCheck::problem(NAME, reported)
            .because("the memory is full: launches are refused; ends and stops are still recorded")
    } else if percent >= NEARLY_FULL {
        DoctorCheck::warning(NAME, reported)
            .because("a full server refuses launches; ends and stops are still recorded")
    } else {
        return DoctorCheck::ok(NAME, reported).with("used_bytes", used).with("limit_bytes", limit);
    };
    check
        .so("raise `maxmemory`, or delete old records: `longhaul prune`, `retention.count`")
        .with("used_bytes", used)
        .with("limit_bytes", limit)
}

fn disk(server: &ServerInfo, durability: Durability) -> DoctorCheck {
    const NAME: &str = "redis.durability";
    let appends = if server.appends { "yes" } else { "no" };
    let synced = match &server.synced {
        SyncPolicy::When(when) => format!("appendfsync {when}"),
        SyncPolicy::Untold => "appendfsync not reported".to_owned(),
    };
    let reported = format!("{durability}; appendonly {appends}, {synced}");
    if !server.disk_is_well {
        return DoctorCheck::problem(NAME, reported)
            .because("the server's latest write to its disk failed, so the server may refuse all writes")
            .so("check the disk and the log of the server");
    }
    let of_disk = |fault: &UnsuitableServer| {
        matches!(fault, UnsuitableServer::NotDurable { .. } | UnsuitableServer::Silent { .. })
    };
    if let Some(fault) = server.faults(durability).into_iter().find(of_disk) {
        return DoctorCheck::obstacle(NAME, reported)
            .because(fault.to_string())
            .so("a manager refuses to start with these settings, and refuses writes");
    }
    let is_promised = durability != Durability::Cache;
    if is_promised && server.begins_torn {
        return DoctorCheck::warning(NAME, format!("{reported}, aof-load-truncated yes"))
            .because("after a kill or a power cut during a write, half of a change can take effect at the second start")
            .so("set `aof-load-truncated no`: the server then asks for `redis-check-aof --fix`, which removes \
                 the incomplete change");
    }
    match durability {
        Durability::Cache if !server.appends => DoctorCheck::warning(NAME, reported)
            .because("there is no guarantee: all records are lost when the server ends")
            .so("except for experiments, set `appendonly yes` and `appendfsync always`, and use \
                 `durability=single`"),
        Durability::Cache => DoctorCheck::ok(NAME, reported)
            .because("there is no guarantee: the latest writes may be lost when the server ends"),
        Durability::Single => DoctorCheck::ok(NAME, reported)
            .because("acknowledged writes survive the end of the server and a power cut"),
        Durability::Replicated { .. } => {
            DoctorCheck::ok(NAME, reported).because("acknowledged writes survive the loss of the server")
        }
    }
}

fn latency(trips: &RoundTrips) -> DoctorCheck {
    const NAME: &str = "redis.latency";
    let RoundTrips { count, median, longest } = *trips;
    let reported = format!("p50 {}, max {} of {count}", millis(median), millis(longest));
    let why = "each change of a process takes at least one round trip to the server";
    let check = if median >= TOO_SLOW {
        DoctorCheck::problem(NAME, reported)
            .because(format!("{why}; lease renewals arrive too late, and leases expire"))
    } else if median >= SLOW || longest >= TOO_SLOW {
        DoctorCheck::warning(NAME, reported).because(why)
    } else {
        return DoctorCheck::ok(NAME, reported)
            .with("p50_ms", rounded(median))
            .with("max_ms", rounded(longest));
    };
    check
        .so("check the network and the load of the server: SLOWLOG GET, disk, processor")
        .with("p50_ms", rounded(median))
        .with("max_ms", rounded(longest))
}

fn clock(skew: &ClockSkew) -> DoctorCheck {
    const NAME: &str = "redis.clock";
    let ClockSkew { ahead, within } = *skew;
    let apart = Duration::from_micros(ahead.unsigned_abs());
    let reported = match ahead {
        0 => format!("the same, within {}", millis(within)),
        1.. => format!("the server is {} ahead, within {}", millis(apart), millis(within)),
        ..0 => format!("the server is {} behind, within {}", millis(apart), millis(within)),
    };
    let figure = if ahead < 0 { -rounded(apart) } else { rounded(apart) };
    let surely = ahead.unsigned_abs().saturating_sub(u64::try_from(within.as_micros()).unwrap_or(u64::MAX));
    let check = if surely >= MAX_CLOCK_SKEW_US {
        DoctorCheck::warning(NAME, reported)
            .because(
                "shown times and delays are wrong by this difference; leases use only the server's clock",
            )
            .so("synchronise both clocks with NTP")
    } else {
        DoctorCheck::ok(NAME, reported)
    };
    check.with("ahead_ms", figure)
}

fn of_namespace(namespace: NamespaceState, name: &str) -> DoctorCheck {
    const NAME: &str = "redis.namespace";
    match namespace {
        NamespaceState::Absent => DoctorCheck::ok(NAME, format!("{name}; the first manager creates it")),
        NamespaceState::Readable => DoctorCheck::ok(NAME, name),
        NamespaceState::Unreadable { layout, supported } => {
            let author = if layout > supported { "a newer program" } else { "an older program" };
            DoctorCheck::obstacle(NAME, name)
                .because(format!(
                    "{author} wrote the namespace with layout version {layout}; this program reads version \
                    {supported}"
                ))
                .so(format!("use {author}; nothing was changed"))
        }
    }
}

fn leases(options: &RedisOptions) -> DoctorCheck {
    const NAME: &str = "redis.leases";
    let Some(LeaseTimes { lease, grace }) = options.leases else {
        return DoctorCheck::ok(NAME, "leases never expire");
    };
    let reported = format!("lease {} s, grace {} s", lease.as_secs(), grace.as_secs());
    let check = if lease < MIN_SAFE_LEASE {
        DoctorCheck::warning(NAME, reported)
            .because(
                "a node renews its lease each second; such a short lease expires after a few late renewals",
            )
            .so("remove `lease` from the URL of the store; the default is 5 s")
    } else {
        DoctorCheck::ok(NAME, reported)
    };
    check.with("lease_ms", whole_millis(lease)).with("grace_ms", whole_millis(grace))
}

fn agreement(ours: String, differing: &[NodeSettings]) -> DoctorCheck {
    const NAME: &str = "redis.agreement";
    if differing.is_empty() {
        return DoctorCheck::ok(NAME, format!("all nodes use {ours}"));
    }
    let others: Vec<String> =
        differing.iter().map(|NodeSettings { node, terms }| format!("{node} uses {terms}")).collect();
    DoctorCheck::warning(NAME, format!("{}; this node uses {ours}", others.join(", ")))
        .because(
            "a node with a shorter lease or grace declares other nodes lost too early, and writes that a node with a \
             lower durability acknowledges may be lost",
        )
        .so("use the same values in the URL of the store on all nodes, and restart their managers")
        .with("differing", differing.len() as u64)
}

pub(super) fn millis(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1_000.0)
}

/// Returns a duration in milliseconds, rounded to two decimal places.
pub(super) fn rounded(span: Duration) -> f64 {
    (span.as_secs_f64() * 100_000.0).round() / 100.0
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{CheckResult, DoctorReport};

    fn healthy() -> ServerCheck {
        ServerCheck {
            server: ServerInfo::well(),
            round_trips: RoundTrips {
                count: 30,
                median: Duration::from_micros(120),
                longest: Duration::from_micros(900),
            },
            skew: ClockSkew { ahead: -340, within: Duration::from_micros(60) },
            namespace: NamespaceState::Readable,
            differing: Vec::new(),
        }
    }

    fn options(query: &str) -> RedisOptions {
        RedisOptions::of_url(&format!("redis://user:hunter2@host/0?namespace=team&{query}")).unwrap()
    }

    fn result_text(found: &ServerCheck, query: &str) -> (CheckResult, String) {
        let report = DoctorReport::of(of_found(found, &options(query)));
        assert!(!format!("{}{}", report.text(), report.json()).contains("hunter2"));
        (report.health(), report.text())
    }

    #[test]
    fn server_that_begins_on_half_a_change_is_named() {
        let mut found = healthy();
        found.server.begins_torn = true;
        let (health, text) = result_text(&found, "durability=single");
        assert!(health == CheckResult::Warning && text.contains("redis-check-aof --fix"), "{text}");
        assert_eq!(result_text(&found, "durability=cache").0, CheckResult::Ok);
    }

    #[test]
    fn all_checks_of_a_healthy_server_succeed() {
        let (health, text) = result_text(&healthy(), "durability=single");
        assert_eq!(health, CheckResult::Ok);
        assert_eq!(
            text,
            "\
ok       redis.server            Redis 7.0.15
ok       redis.replicas          a primary without replicas
ok       redis.maxmemory_policy  noeviction
ok       redis.memory            12.0 MiB used, no limit
ok       redis.durability        single; appendonly yes, appendfsync always
  why:  acknowledged writes survive the end of the server and a power cut
ok       redis.latency           p50 0.12 ms, max 0.90 ms of 30
ok       redis.clock             the server is 0.34 ms behind, within 0.06 ms
ok       redis.namespace         team
ok       redis.leases            lease 5 s, grace 10 s
ok       redis.agreement         all nodes use durability=single&lease=5&grace=10
all is well
"
        );
    }

    #[test]
    fn every_problem_is_reported_with_advice() {
        let mut found = healthy();
        found.server.version = "6.0.16".to_owned();
        found.server.primary = Some("10.0.0.1:6379".to_owned());
        found.server.eviction = "allkeys-lru".to_owned();
        found.server.most_memory = Some(15 << 20);
        found.server.appends = false;
        found.round_trips.median = Duration::from_millis(7);
        found.skew.ahead = 2_500_000;
        found.namespace = NamespaceState::Unreadable { layout: 9, supported: 1 };
        let terms = "durability=cache&lease=5&grace=10".to_owned();
        found.differing = vec![NodeSettings { node: "beta".to_owned(), terms }];
        let (health, text) = result_text(&found, "durability=single&lease=2");
        assert_eq!(health, CheckResult::Problem);
        assert_eq!(
            text,
            "\
problem  redis.server            Redis 6.0.16
  why:  Redis 6.0.16 is too old; use version 6.2 or a newer one
  help: a manager refuses to start with this server
problem  redis.replicas          a replica of 10.0.0.1:6379
  why:  a replica accepts no writes
  help: set `store` to 10.0.0.1:6379, or use sentinels: redis+sentinel://
problem  redis.maxmemory_policy  allkeys-lru
  why:  when its memory is full, the server would delete processes
  help: set `maxmemory-policy noeviction`, with CONFIG SET and in the configuration file of the server
warning  redis.memory            12.0 MiB of 15.0 MiB used, 80 %
  why:  a full server refuses launches; ends and stops are still recorded
  help: raise `maxmemory`, or delete old records: `longhaul prune`, `retention.count`
problem  redis.durability        single; appendonly no, appendfsync always
  why:  the server cannot provide the durability `single`: `appendonly` is `no`; set it to `yes`, or use `durability=cache` in the URL, which accepts any setting and guarantees nothing
  help: a manager refuses to start with these settings, and refuses writes
warning  redis.latency           p50 7.00 ms, max 0.90 ms of 30
  why:  each change of a process takes at least one round trip to the server
  help: check the network and the load of the server: SLOWLOG GET, disk, processor
warning  redis.clock             the server is 2500.00 ms ahead, within 0.06 ms
  why:  shown times and delays are wrong by this difference; leases use only the server's clock
  help: synchronise both clocks with NTP
problem  redis.namespace         team
  why:  a newer program wrote the namespace with layout version 9; this program reads version 1
  help: use a newer program; nothing was changed
warning  redis.leases            lease 2 s, grace 10 s
  why:  a node renews its lease each second; such a short lease expires after a few late renewals
  help: remove `lease` from the URL of the store; the default is 5 s
warning  redis.agreement         beta uses durability=cache&lease=5&grace=10; this node uses durability=single&lease=2&grace=10
  why:  a node with a shorter lease or grace declares other nodes lost too early, and writes that a node with a lower durability acknowledges may be lost
  help: use the same values in the URL of the store on all nodes, and restart their managers
5 problems, 5 warnings
"
        );
    }

    #[test]
    fn each_fault_has_its_severity() {
        type Spoil = fn(&mut ServerCheck);
        let spoils: [(Spoil, &str, CheckResult); 9] = [
            (|found| found.server.most_memory = Some(12 << 20), "durability=single", CheckResult::Problem),
            (|found| found.server.most_memory = Some(16 << 20), "durability=single", CheckResult::Ok),
            (|found| found.server.disk_is_well = false, "durability=cache", CheckResult::Problem),
            (|found| found.server.appends = false, "durability=cache", CheckResult::Warning),
            (|found| found.server.synced = SyncPolicy::Untold, "durability=single", CheckResult::Problem),
            (|found| found.server.replicas = 1, "durability=single", CheckResult::Warning),
            (|found| found.server.replicas = 1, "durability=replicated:1", CheckResult::Ok),
            (|found| found.server.replicas = 1, "durability=replicated:2", CheckResult::Problem),
            (|found| found.round_trips.median = TOO_SLOW, "durability=cache", CheckResult::Problem),
        ];
        for (number, (spoil, query, expected)) in spoils.into_iter().enumerate() {
            let mut found = healthy();
            spoil(&mut found);
            let (health, text) = result_text(&found, query);
            assert_eq!(health, expected, "{number}: {text}");
        }
    }

    #[test]
    fn clock_difference_counts_only_beyond_the_measurement_error() {
        let mut found = healthy();
        found.skew = ClockSkew { ahead: 1_400_000, within: Duration::from_millis(500) };
        assert_eq!(result_text(&found, "").0, CheckResult::Ok);
        found.skew.within = Duration::from_millis(300);
        assert_eq!(result_text(&found, "").0, CheckResult::Warning);
    }

    #[tokio::test]
    async fn an_unreachable_server_is_reported_with_the_reason() {
        let checks = of_server("redis+unix:///nowhere/socket?pass=hunter2&lease=7").await;
        let report = DoctorReport::of(checks);
        let text = report.text();
        assert_eq!(report.health(), CheckResult::Problem);
        assert!(text.contains("does not answer") && text.contains("No such file"), "{text}");
        assert!(text.contains("lease 7 s") && !text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn a_server_that_takes_the_connection_and_says_nothing_is_waited_for_so_long_and_no_longer() {
        let top = tempfile::tempdir().unwrap();
        let socket = top.path().join("socket");
        let _silent = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let begun = std::time::Instant::now();
        let report = DoctorReport::of(of_server(&format!("redis+unix://{}", socket.display())).await);
        assert_eq!(report.health(), CheckResult::Problem);
        assert!(begun.elapsed() < STORE_TIMEOUT + Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_invalid_url_is_reported() {
        let report = DoctorReport::of(of_server("redis://host?durability=always").await);
        assert!(
            report.text().contains("is not a valid value of `durability`: use cache, single"),
            "{}",
            report.text()
        );
    }
}
