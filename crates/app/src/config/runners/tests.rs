use super::*;
use crate::config::show::{schema, show};
use crate::config::sources::ConfigSources;

fn layers(user: &str, project: &str) -> Result<Layers, ConfigError> {
    let top = tempfile::tempdir().unwrap();
    let (mine, its) = (top.path().join("config.toml"), top.path().join("longhaul.toml"));
    std::fs::write(&mine, user).unwrap();
    std::fs::write(&its, project).unwrap();
    ConfigSources { user_file: Some(mine), project_files: vec![its], ..ConfigSources::default() }.read()
}

fn of(user: &str) -> Result<RunnerConfig, ConfigError> {
    RunnerConfig::of(&layers(user, "")?, |name| (name == "TOKEN").then(|| "hush".to_owned()))
}

fn names(config: &RunnerConfig) -> Vec<&str> {
    config.runners.iter().map(AgentRunner::name).collect()
}

#[test]
fn built_in_runners_are_valid_and_there_is_no_default() {
    let found = of("").unwrap();
    assert_eq!(names(&found), ["aider", "claude", "codex", "gemini", "jules", "opencode", "shell"]);
    assert_eq!(found.default, None);
}

#[test]
fn user_can_add_runners_and_replace_single_keys_of_built_in_runners() {
    let mine = "runner.default = \"mine\"\n[runner.mine]\ncommand = [\"agent\", \"{prompt}\"]\n\
                on_complete = [[\"git\", \"add\", \".\"], [\"git\", \"diff\"]]\nkey = [\"*=agents\"]\n\
                [runner.claude]\nenvironment = [\"A=b\", \"TOKEN\", \"NONE\"]\nidle_after = \"10m\"\n";
    let found = of(mine).unwrap();
    assert!(names(&found).contains(&"mine") && found.default.as_deref() == Some("mine"));
    let text = format!("{:?}", found.runners);
    assert!(text.contains("(\"A\", \"b\"), (\"TOKEN\", \"hush\")") && !text.contains("NONE"), "{text}");
    let local = of("[runner.jules]\ncommand = [\"jules-wrapper\", \"{prompt}\"]\n").unwrap();
    assert!(format!("{:?}", local.runners).contains("jules-wrapper"));
    let remote = "[runner.shell]\nstart = [\"tool\", \"{prompt}\"]\nsession_id = \"(.*)\"\npoll = [\"tool\"]\n\
                  states = [\"x=completed\"]\n";
    assert!(of(remote).is_ok());
}

#[test]
fn invalid_settings_are_refused_with_the_key_and_the_reason() {
    for (wrong, key, words) in [
        ("[runner.mine]\ncommand = [\"agent\", \"{promt}\"]\n", "runner.mine.command", "{promt}"),
        ("[runner.mine]\ncommand = [\"agent\"]\n", "runner.mine.command", "{prompt}"),
        ("[runner.mine]\noutput = \"plain\"\n", "runner.mine.command", "needs `command`"),
        (
            "[runner.default]\ncommand = [\"agent\", \"{prompt}\"]\n",
            "runner.default.command",
            "is not `default`",
        ),
        (
            "[runner.mine]\ncommand = [\"a\", \"{prompt}\"]\npoll = [\"a\"]\n",
            "runner.mine.poll",
            "remote session",
        ),
        ("[runner.jules]\nsession_id = \"(\"\n", "runner.jules.session_id", "not valid"),
        ("[runner.jules]\npoll = [\"a\", \"{prompt}\"]\n", "runner.jules.poll", "{prompt}"),
        (
            "[runner.mine]\ncommand = [\"a\", \"{prompt}\"]\nenvironment = [\"A B\"]\n",
            "runner.mine.environment",
            "not the name of an environment variable",
        ),
        ("runner.default = \"nosuch\"\n", "runner.default", "no runner with this name"),
    ] {
        match of(wrong) {
            Err(ConfigError::BadValue { key: found, why, .. }) => {
                assert!(found == key && why.contains(words), "{found}: {why}");
            }
            other => panic!("{wrong}: {other:?}"),
        }
    }
    assert!(matches!(of("[runner.mine]\ncolour = \"red\"\n"), Err(ConfigError::UnknownKey { .. })));
}

#[test]
fn project_file_cannot_set_the_keys_of_runners() {
    for line in ["runner.claude.command = [\"evil\", \"{prompt}\"]", "runner.default = \"shell\""] {
        let refused = layers("", line);
        assert!(matches!(refused, Err(ConfigError::NotForProjects { .. })), "{line}: {refused:?}");
    }
}

#[test]
fn shown_configuration_of_runners_can_be_read_again() {
    let mine =
        "[runner.mine]\ncommand = [\"agent\", \"{prompt}\"]\non_complete = [[\"a\", \"b\"], [\"c\"]]\n";
    let shown = show(&layers(mine, "").unwrap(), false);
    assert!(shown.contains("runner.mine.on_complete = [[\"a\",\"b\"],[\"c\"]]"), "{shown}");
    assert_eq!(show(&layers(&shown, "").unwrap(), false), shown);
    assert!(schema().pointer("/properties/runner/properties/default").is_some());
    let fields = "/properties/runner/patternProperties/^[A-Za-z0-9_-]{1,64}$/properties/on_complete";
    assert!(schema().pointer(fields).is_some(), "{}", schema());
}
