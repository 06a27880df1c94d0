//! `longhaul doctor` with and without a manager, and with a server that is well, sick and gone.

use crate::bench::{Bench, Said};
use crate::shared_store::Server;
use std::time::{Duration, Instant};

#[test]
fn doctor_of_a_new_user_finds_all_well_and_makes_nothing() {
    let bench = Bench::new();
    let said = bench.run(&["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("none answers") && said.out.contains("sqlite:"), "{}", said.out);
    assert!(!bench.state().exists() && !bench.is_serving());
}

#[test]
fn doctor_tells_of_a_broken_configuration_and_goes_on() {
    let bench = Bench::new().with_config("store = 7\n");
    let said = bench.run(&["doctor"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("problem  configuration") && said.out.contains("state_dir"), "{}", said.out);
}

#[test]
fn doctor_tells_how_a_server_is_and_that_it_is_gone() {
    let bench = Bench::new();
    let Some(mut server) = Server::start(&bench) else { return };
    let config = format!("store = \"{}&pass=hunter2&lease=7\"\n", server.url("team"));
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let bench = bench.with_config(&config);
    let told = |said: &Said| {
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()
    };
    let found = |told: &serde_json::Value, name: &str| {
        let checks = told["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == name).unwrap_or_default()
    };

    let before = bench.run(&["doctor", "--json"]);
    let all = told(&before);
    assert_eq!((before.code, &all["state"]), (0, &"warning".into()), "{all:#}");
    assert!(found(&all, "redis.namespace")["found"].as_str().unwrap().contains("founds"), "{all:#}");
    assert!(found(&all, "redis.latency")["figures"]["p50_ms"].as_f64().unwrap() > 0.0, "{all:#}");
    assert!(found(&all, "redis.clock")["figures"]["ahead_ms"].as_f64().unwrap().abs() < 1_000.0, "{all:#}");
    assert_eq!(found(&all, "redis.leases")["figures"]["lease_ms"], 7_000);
    assert_eq!(found(&all, "redis.durability")["state"], "warning", "{all:#}");
    let keys = server.ask(&["-a", "hunter2", "--no-auth-warning", "DBSIZE"]);
    assert_eq!(keys.trim(), "0", "a look founds nothing");

    let id = bench.launch("true");
    assert_eq!(bench.run(&["wait", &id]).code, 0);
    let with_manager = told(&bench.run(&["doctor", "--json"]));
    assert_eq!(found(&with_manager, "manager")["state"], "ok", "{with_manager:#}");
    assert_eq!(found(&with_manager, "redis.namespace")["found"], "team");

    server.ask(&["-a", "hunter2", "--no-auth-warning", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let sick = bench.run(&["doctor"]);
    assert_eq!(sick.code, 1, "{sick:?}");
    assert!(sick.out.contains("problem  redis.maxmemory_policy  allkeys-lru"), "{}", sick.out);

    server.end();
    let begun = Instant::now();
    let gone = bench.run(&["doctor"]);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.out.contains("problem  redis.server") && !gone.out.contains("hunter2"), "{}", gone.out);
    assert!(gone.out.contains("does not answer"), "{}", gone.out);
}
