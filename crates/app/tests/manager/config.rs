use crate::bench::Bench;

#[test]
fn configuration_is_shown_with_the_origin_of_every_value() {
    let bench = Bench::new();
    let config = bench.top().join(".config/longhaul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[limits]\nmax_parallel = 3\n").unwrap();
    let said = bench.run(&["config", "show", "--origin"]);
    let line = said.out.lines().find(|line| line.starts_with("limits.max_parallel")).unwrap();
    assert!(line.contains("= 3") && line.ends_with("config.toml:2"), "{line}");
    let output = bench
        .command(&["--json", "config", "show"])
        .env("LONGHAUL_LIMITS_MAX_PARALLEL", "4")
        .output()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown["keys"]["limits.max_parallel"]["value"], 4);
    assert_eq!(
        shown["keys"]["limits.max_parallel"]["origin"],
        "environment variable LONGHAUL_LIMITS_MAX_PARALLEL"
    );
    assert!(!bench.is_serving());
}

#[test]
fn check_finds_forbidden_keys_of_a_project() {
    let bench = Bench::new().at("project/.longhaul");
    let project = bench.top().join("project");
    std::fs::create_dir_all(&project).unwrap();
    assert_eq!(bench.run(&["config", "check"]).code, 0);
    assert_eq!(bench.run(&["--json", "config", "check"]).out, "{\n  \"ok\": true\n}\n");
    std::fs::write(project.join("longhaul.toml"), "\nstore = \"memory\"\n").unwrap();
    let said = bench.run(&["config", "check"]);
    assert_eq!(said.code, 2);
    for part in ["store", "longhaul.toml", "line 2", "help:"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    let paths: serde_json::Value =
        serde_json::from_str(&bench.run(&["--json", "config", "path"]).out).unwrap();
    let exist: Vec<_> = paths["files"].as_array().unwrap().iter().map(|file| &file["exists"]).collect();
    assert_eq!(exist, [false, true, false]);
    let problem = bench.run(&["--json", "config", "check"]).err;
    let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
    assert_eq!(problem["type"], "invalid_configuration");
}

#[test]
fn schema_is_json() {
    let said = Bench::new().run(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(schema["properties"]["limits"]["properties"]["max_parallel"]["type"], "integer");
}

#[test]
fn limits_of_the_configuration_reach_the_manager() {
    let bench = Bench::new();
    let first = bench
        .command(&["run", "-b", "--", "sleep", "30"])
        .env("LONGHAUL_LIMITS_MAX_PARALLEL", "1")
        .output()
        .unwrap();
    assert!(first.status.success());
    let waiting = bench.launch("true");
    assert_eq!(bench.show(&waiting)["pending"]["why"], "queued");
    assert_eq!(bench.run(&["run", "-b", "--no-queue", "--", "true"]).code, 5);
}

#[test]
fn strange_variable_is_warned_of_and_no_error() {
    let bench = Bench::new();
    let run = |words: &[&str]| {
        let said = bench.command(words).env("LONGHAUL_LIMITS_MAX_PARALEL", "4").output().unwrap();
        assert!(said.status.success(), "{words:?} {said:?}");
        (String::from_utf8(said.stdout).unwrap(), String::from_utf8(said.stderr).unwrap())
    };
    for verb in ["check", "show"] {
        let (_, err) = run(&["config", verb]);
        assert!(err.starts_with("warning: "), "{err}");
        assert!(
            err.contains("LONGHAUL_LIMITS_MAX_PARALEL is unknown and has no effect; did you mean LONGHAUL_LIMITS_MAX_PARALLEL?"),
            "{err}"
        );
        let (out, err) = run(&["--json", "config", verb]);
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert!(
            document["warnings"][0].as_str().unwrap().contains("MAX_PARALEL is unknown") && err.is_empty(),
            "{out}"
        );
    }
    assert_eq!(bench.run(&["config", "check"]).err, "");
}
