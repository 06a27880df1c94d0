//! Tests of runners, which build the command of an agent from a prompt. Requirement Q7.

use crate::agent::Agent;
use crate::fake_agent::FakeAgents;
use crate::socket::{configure, http, json_of};
use longhaul_tests::{GATED, Home, until};
use serde_json::{Value, json};

const CLAUDE: &str = include_str!("../../crates/insight/fixtures/agents/claude.jsonl");
const CODEX: &str = include_str!("../../crates/insight/fixtures/agents/codex.jsonl");
const GEMINI: &str = include_str!("../../crates/insight/fixtures/agents/gemini.jsonl");
const OPENCODE: &str = include_str!("../../crates/insight/fixtures/agents/opencode.jsonl");
const AIDER: &str = include_str!("../../crates/insight/fixtures/agents/aider.txt");
/// A prompt that a shell, or a program with options, would misinterpret.
const HOSTILE: &str = "--help \"x\"; $(touch owned) `touch owned`\n'line 2' {model} \\";

/// Returns the numbers of input, output and cached tokens.
fn tokens(record: &Value) -> [u64; 3] {
    ["input", "output", "cached"].map(|name| record["tokens"][name].as_u64().unwrap_or(0))
}

#[test]
fn q7_each_built_in_agent_gets_the_prompt_as_one_argument_and_its_last_message_is_the_result() {
    let agents = FakeAgents::new();
    let last = |name: &str| match name {
        "gemini" => format!("--prompt={HOSTILE}"),
        "aider" => format!("--message={HOSTILE}"),
        _ => HOSTILE.to_owned(),
    };
    for (name, output, result, counts) in [
        ("claude", CLAUDE, "The login test passes now.", [13_220, 259, 40_122]),
        ("codex", CODEX, "I corrected two links in the README.", [315, 122, 24_448]),
        ("gemini", GEMINI, "There are two files.", [30, 200, 20]),
        ("opencode", OPENCODE, "Done: it printed hello.", [22_443, 121, 21_415]),
        ("aider", AIDER, AIDER.trim(), [0; 3]),
    ] {
        agents.add_agent(name, output);
        for model in [None, Some("opus")] {
            let flags = ["run", "-b", "--agent", name, "--prompt", HOSTILE];
            let model_flags = model.map_or(Vec::new(), |model| vec!["--model", model]);
            let id = agents.ok(&[&flags[..], &model_flags].concat());
            assert_eq!(agents.home.run(&["wait", &id]).code, 0);
            let arguments = agents.arguments_of(name);
            assert_eq!(arguments.last(), Some(&last(name)), "{arguments:?}");
            assert_eq!(arguments.contains(&"--model=opus".to_owned()), model.is_some(), "{arguments:?}");
            assert!(!arguments.iter().any(|word| word.contains("{prompt}") || word == "--model="));
            let record = agents.home.record(&id);
            assert_eq!(record["result"], result, "{record}");
            assert_eq!(tokens(&record), counts, "{name}");
            assert_eq!((&record["runner"], &record["agent"]), (&json!(name), &json!(name)));
            assert_eq!(record["key"], model.unwrap_or("sonnet"), "the key belongs to the model");
            assert_eq!(record["prompt"], HOSTILE);
        }
    }
    assert!(!agents.home.work().join("owned").exists(), "no shell has read the prompt");
}

#[test]
fn q7_task_runs_an_agent_for_a_project_and_restart_keeps_prompt_agent_and_model() {
    let agents = FakeAgents::new();
    agents.add_agent("claude", CLAUDE);
    let foreground = agents.run(&["task", "atlas", "add login", "--agent", "claude", "--model", "opus"]);
    assert_eq!((foreground.code, foreground.out.as_str()), (0, CLAUDE), "{foreground:?}");
    let id = agents.ok(&["task", "atlas", "-b", "--agent=claude", "--model=opus", "--", "-v is ignored"]);
    assert_eq!(agents.home.run(&["wait", &id]).code, 0);
    let restarted = agents.home.ok(&["restart", "-b", &id]);
    assert_eq!(agents.home.run(&["wait", &restarted]).code, 0);
    for id in [&id, &restarted] {
        let record = agents.home.record(id);
        for (field, value) in [
            ("project", "atlas"),
            ("prompt", "-v is ignored"),
            ("agent", "claude"),
            ("model", "opus"),
            ("runner", "claude"),
            ("result", "The login test passes now."),
            ("agent_session_id", "6f0b6a56-3c64-4c1a-9b8f-5a2b8c6f1e0d"),
            ("stage", "done"),
        ] {
            assert_eq!(record[field], value, "{field}");
        }
    }
    assert_eq!(agents.run(&["task", "atlas", " ", "--agent", "claude"]).code, 2);
}

#[test]
fn q7_an_agent_that_is_unknown_or_not_installed_is_named_and_nothing_is_recorded() {
    let agents = FakeAgents::new();
    let unknown = agents.run(&["task", "atlas", "x", "-b", "--agent", "claud"]);
    assert!(unknown.err.contains("aider, claude, codex, gemini, jules, opencode, shell"), "{unknown:?}");
    let missing = agents.run(&["task", "atlas", "x", "-b", "--agent", "claude"]);
    assert_eq!(missing.code, 5, "{missing:?}");
    assert!(
        missing.err.contains("runner_not_installed") && missing.err.contains("\"claude\" in PATH"),
        "{missing:?}"
    );
    let jules = agents.run(&["task", "atlas", "x", "-b", "--agent", "jules"]);
    assert!(jules.err.contains("runner_not_installed"), "{jules:?}");
    let none = agents.run(&["task", "atlas", "x", "-b"]);
    assert!(none.err.contains("runner.default") && none.err.contains("claude"), "{none:?}");
    let listed = json_of(&agents.home, &["status", "-a", "--json"]);
    assert_eq!(listed["processes"].as_array().map(Vec::len), Some(0), "{listed}");
}

#[test]
fn q7_the_default_runner_and_a_configured_runner_work_over_every_interface() {
    let agents = FakeAgents::new();
    let config = "runner.default = \"mine\"\n[runner.mine]\ncommand = [\"mine\", \"--cwd={cwd}\", \"--in={session}\", \"--\", \"{prompt}\"]\n\
                  key = [\"*opus*=big\"]\nenvironment = [\"MINE=yes\"]\nidle_after = \"90s\"\n";
    configure(&agents.home, config);
    agents.add("mine", "#!/bin/sh\necho \"$MINE\"; printf '%s\\n' \"$@\"\n");
    // This command starts the manager. The `PATH` of the manager is used for launches without an environment.
    let _ = agents.ok(&["status"]);
    let work = agents.home.work();
    let work = work.to_str().unwrap();
    let request = json!({"prompt": "over http", "model": "claude-opus-4", "session_id": "s1", "command": {"directory": work}});
    let (code, launched) = http(&agents.home, "POST", "/v1/processes", &request);
    assert_eq!(code, 201, "{launched}");
    let id = launched["process"]["id"].as_str().unwrap();
    assert_eq!(agents.home.run(&["wait", id]).code, 0);
    let record = agents.home.record(id);
    assert_eq!(record["result"], format!("yes\n--cwd={work}\n--in=s1\n--\nover http"));
    assert_eq!((&record["key"], &record["agent"]), (&json!("big"), &json!("mine")));
    let mut agent = Agent::connect(&agents.home, &[]);
    let start = json!({
        "process_type": "custom", "name": "n", "command": "", "prompt": "over mcp", "agent": "mine", "model": "m", "parent_message_id": "m7",
        "cwd": work, "env": {"PATH": format!("{work}/bin:/usr/bin:/bin")}, "wait_seconds": 20,
    });
    let started = agent.call("start_background_process", &start);
    let record = agents.home.record(started["process_id"].as_str().unwrap());
    assert!(record["result"].as_str().unwrap().ends_with("over mcp"), "{record}");
    for (field, value) in
        [("parent_message_id", "m7"), ("model", "m"), ("runner", "mine"), ("prompt", "over mcp")]
    {
        assert_eq!(record[field], value, "{field}");
    }
    let refused = json!({"process_type": "custom", "name": "n", "command": "", "prompt": "p", "agent": "nosuch", "cwd": work});
    assert!(agent.refused("start_background_process", &refused).to_string().contains("mine"));
}

#[test]
fn q7_a_later_change_of_the_configuration_does_not_change_a_launched_process() {
    let agents = FakeAgents::new();
    agents.add("agent", &format!("#!/bin/sh\n{GATED}\necho \"$1\"\n"));
    agents.add("other", "#!/bin/sh\necho other\n");
    configure(&agents.home, "[runner.mine]\ncommand = [\"agent\", \"{prompt}\"]\n");
    let id = agents.ok(&["task", "atlas", "first", "-b", "--agent", "mine"]);
    agents.home.until_status(&id, "running");
    configure(&agents.home, "[runner.mine]\ncommand = [\"other\", \"{prompt}\"]\noutput = \"none\"\n");
    agents.home.end_manager("-KILL");
    agents.home.open_gate();
    assert_eq!(agents.home.run(&["wait", &id]).code, 0);
    assert_eq!(
        agents.home.record(&id)["result"],
        "first",
        "the result is read although the manager was killed"
    );
    let restarted = agents.home.ok(&["restart", "-b", &id]);
    assert_eq!(agents.home.run(&["wait", &restarted]).code, 0);
    assert_eq!(agents.home.record(&restarted)["result"], "first");
}

#[test]
fn q7_the_current_step_of_an_agent_is_its_stage_and_a_reported_failure_is_its_error() {
    let agents = FakeAgents::new();
    let step = r#"{"type":"assistant","session_id":"s","message":{"content":[{"type":"tool_use","name":"Bash","input":{}}]}}"#;
    let end =
        r#"{"type":"result","subtype":"success","is_error":true,"result":"API Error: 529","session_id":"s"}"#;
    agents
        .add("claude", &format!("#!/bin/sh\necho 'no json'\necho '{step}'\n{GATED}\necho '{end}'\nexit 1\n"));
    let id = agents.ok(&["task", "atlas", "x", "-b", "--agent", "claude"]);
    until("the stage is known", || (agents.home.record(&id)["stage"] == "Bash").then_some(()));
    agents.home.open_gate();
    assert_eq!(agents.home.run(&["wait", &id]).code, 1);
    let record = agents.home.record(&id);
    assert_eq!(
        (&record["status"], &record["error"]),
        (&json!("failed"), &json!("API Error: 529")),
        "{record}"
    );
}

#[test]
fn q7_commands_after_the_agent_run_only_if_it_succeeds_and_do_not_change_the_status() {
    let agents = FakeAgents::new();
    let config = "[runner.mine]\ncommand = [\"agent\", \"{prompt}\"]\n\
                  on_complete = [[\"touch\", \"{prompt}.done\"], [\"false\"], [\"touch\", \"never\"]]\n";
    configure(&agents.home, config);
    agents.add("agent", "#!/bin/sh\necho \"did $1\"; [ \"$1\" = good ]\n");
    let good = agents.ok(&["task", "atlas", "good", "-b", "--agent", "mine"]);
    assert_eq!(agents.home.run(&["wait", &good]).code, 0);
    assert_eq!(agents.home.record(&good)["result"], "did good");
    let bad = agents.ok(&["task", "atlas", "bad", "-b", "--agent", "mine"]);
    assert_eq!(agents.home.run(&["wait", &bad]).code, 1);
    let exists = |name: &str| agents.home.work().join(name).exists();
    assert!(exists("good.done") && !exists("bad.done") && !exists("never"));
    let said = agents.home.run(&["logs", "--stream", "stderr", &good]);
    assert!(said.out.contains("the command after the agent failed: false"), "{said:?}");
}

#[test]
fn q7_the_shell_runner_executes_the_prompt_as_a_command_line() {
    let home = Home::new();
    let id = home.ok(&["task", "atlas", "echo one | tr a-z A-Z; exit 3", "--agent", "shell", "-b"]);
    assert_eq!(home.run(&["wait", &id]).code, 3);
    assert_eq!(home.record(&id)["result"], "ONE");
    let (code, launched) = http(&home, "POST", "/v1/processes", &json!({"prompt": "pwd", "agent": "shell"}));
    assert_eq!(code, 201, "{launched}");
    let id = launched["process"]["id"].as_str().unwrap();
    assert_eq!(home.run(&["wait", id]).code, 0);
    assert_eq!(home.record(id)["result"], home.record(id)["directory"], "the home directory of the user");
}

#[test]
fn q7_a_launch_of_reported_work_with_a_prompt_runs_no_agent() {
    let home = Home::new();
    let _ = home.ok(&["status"]);
    let reported = json!({"reported": {}, "prompt": "p", "agent": "claude", "model": "opus"});
    let (code, launched) = http(&home, "POST", "/v1/processes", &reported);
    assert_eq!(code, 201, "{launched}");
    assert_eq!(
        (&launched["process"]["work"], &launched["process"]["runner"]),
        (&json!("reported"), &Value::Null)
    );
}
