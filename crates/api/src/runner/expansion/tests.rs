use super::super::agent_runner::RunnerSettings;
use super::*;
use longhaul_wire::api::{EnvironmentRequest, ReportedRequest};
use proptest::prelude::*;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn settings(name: &str, command: &[&str]) -> RunnerSettings {
    RunnerSettings {
        name: name.to_owned(),
        command: words(command),
        key: words(&["claude-opus*=opus"]),
        environment: vec![("TOKEN".to_owned(), "t".to_owned())],
        output: AgentOutputFormat::Claude,
        idle_after: Some(Duration::from_secs(60)),
        kind: None,
        on_complete: Vec::new(),
        remote: None,
    }
}

fn set() -> RunnerSet {
    let claude = settings("claude", &["claude", "-p", "{prompt}", "--model", "{model}"]);
    let steps = RunnerSettings {
        on_complete: vec![words(&["git", "commit", "-m", "{prompt}"])],
        ..settings("steps", &["x", "{prompt}"])
    };
    let remote = RunnerSettings {
        command: Vec::new(),
        kind: Some("jules_session".to_owned()),
        on_complete: vec![words(&["tool", "pull", "{session}"])],
        remote: Some(RemoteSettings {
            start: words(&["tool", "new", "{prompt}", "--model={model}"]),
            session_id: r"id (\d+)".to_owned(),
            poll: words(&["tool", "status", "{session}"]),
            poll_interval: Duration::from_secs(5),
            states: words(&["DONE=completed"]),
            cancel: Vec::new(),
        }),
        ..settings("remote", &[])
    };
    let host = RunnerHost {
        program: Some("/bin/longhaul".to_owned()),
        state_dir: "/state".to_owned(),
        path: "/bin".to_owned(),
        home: Some("/home/me".to_owned()),
    };
    let runners = [claude, steps, remote].map(|settings| AgentRunner::new(settings).unwrap());
    RunnerSet::new(runners, None, host)
}

fn request(agent: Option<&str>, prompt: &str) -> LaunchRequest {
    LaunchRequest {
        agent: agent.map(str::to_owned),
        prompt: Some(prompt.to_owned()),
        ..LaunchRequest::default()
    }
}

fn expanded(request: LaunchRequest) -> ExpandedLaunch {
    expand(&set(), request).unwrap()
}

#[test]
fn prompt_becomes_a_command_and_the_flag_of_an_absent_model_is_removed() {
    let prompt = "fix \"x\"; $(rm -rf /)\nline 2";
    let launch = LaunchRequest { model: Some("claude-opus-4".to_owned()), ..request(Some("claude"), prompt) };
    let ExpandedLaunch { request, runner } = expanded(launch);
    let command = request.command.unwrap();
    assert_eq!(command.program, "claude");
    assert_eq!(command.args, ["-p", prompt, "--model", "claude-opus-4"]);
    assert_eq!((request.key.as_deref(), request.idle_after_ms), (Some("opus"), Some(60_000)));
    assert_eq!(command.directory, "/home/me");
    let declared: Vec<_> =
        command.environment.declared.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(declared, [("HOME", "/home/me"), ("PATH", "/bin"), ("TOKEN", "t")]);
    let runner = runner.unwrap();
    assert_eq!((runner.program.as_str(), runner.stays_here), ("claude", false));
    assert_eq!((runner.choice.name.as_str(), runner.choice.output), ("claude", AgentOutputFormat::Claude));
    let without = expanded(self::request(Some("claude"), "p")).request;
    assert_eq!(without.command.unwrap().args, ["-p", "p"]);
    assert_eq!(without.key, None, "the engine chooses the default key");
}

#[test]
fn settings_of_the_launch_take_precedence_over_settings_of_the_runner() {
    let environment = EnvironmentRequest {
        captured: Some([("PATH".to_owned(), "/mine".to_owned())].into()),
        declared: [("TOKEN".to_owned(), "other".to_owned())].into(),
        ..EnvironmentRequest::default()
    };
    let launch = LaunchRequest {
        command: Some(CommandRequest {
            directory: "/src".to_owned(),
            environment,
            ..CommandRequest::default()
        }),
        key: Some("mine".to_owned()),
        idle_after_ms: Some(5),
        ..request(Some("claude"), "p")
    };
    let request = expanded(launch).request;
    let command = request.command.unwrap();
    assert_eq!((request.key.as_deref(), request.idle_after_ms), (Some("mine"), Some(5)));
    assert_eq!(command.directory, "/src");
    assert_eq!(command.environment.declared, [("TOKEN".to_owned(), "other".to_owned())].into());
}

#[test]
fn launches_with_a_command_and_reported_work_are_unchanged() {
    let command = CommandRequest { program: "make".to_owned(), ..CommandRequest::default() };
    let with_command = LaunchRequest { command: Some(command), ..request(Some("nosuch"), "p") };
    let reported = ReportedRequest::default();
    let reported = LaunchRequest { reported: Some(reported), ..request(Some("nosuch"), "p") };
    for launch in [with_command, reported, LaunchRequest::default(), request(Some("nosuch"), " ")] {
        let before = format!("{launch:?}");
        let after = expanded(launch);
        assert_eq!((format!("{:?}", after.request), after.runner.is_none()), (before, true));
    }
}

#[test]
fn command_that_creates_a_remote_session_is_followed_by_its_runner() {
    let launch = |kind: &str, words: &[&str]| {
        let (program, args) = words.split_first().unwrap();
        let args = args.iter().map(|word| (*word).to_owned()).collect();
        let command = CommandRequest { program: (*program).to_owned(), args, ..CommandRequest::default() };
        LaunchRequest { command: Some(command), kind: Some(kind.to_owned()), ..LaunchRequest::default() }
    };
    let created: [&[&str]; 3] = [
        &["tool", "new", "--title", "x y"],
        &["/opt/bin/tool", "new", "x"],
        &["/bin/sh", "-c", "tool new --title 'x y'"],
    ];
    for words in created {
        let ExpandedLaunch { request, runner } = expanded(launch("jules_session", words));
        let (command, runner) = (request.command.unwrap(), runner.unwrap());
        let Some(RunnerPlan::Remote(plan)) = RunnerPlan::parse(&command.args[4]) else { panic!("{words:?}") };
        assert_eq!((plan.start, plan.runner.as_str()), (self::words(words), "remote"));
        assert_eq!((command.grace_ms, command.stop_signal), (Some(30_000), Some(23)));
        assert_eq!(request.agent.as_deref(), Some("remote"));
        assert!(runner.program.ends_with("tool") && runner.program_key == "start", "{runner:?}");
    }
    for (kind, words) in [
        ("custom", created[0]),
        ("jules_session", &["tool", "list"]),
        ("jules_session", &["/bin/sh", "-c", "cd x && tool new y"]),
        ("jules_session", &["sleep", "5"]),
    ] {
        assert!(expanded(launch(kind, words)).runner.is_none(), "{kind} {words:?}");
    }
    let mut embedded = set();
    embedded.host.program = None;
    assert!(expand(&embedded, launch("jules_session", created[0])).unwrap().runner.is_none());
}

#[test]
fn empty_model_counts_as_absent() {
    let launch = LaunchRequest { model: Some(" ".to_owned()), ..request(Some("claude"), "p") };
    let request = expanded(launch).request;
    assert_eq!((request.command.unwrap().args, request.model), (words(&["-p", "p"]), None));
}

#[test]
fn missing_and_unknown_agents_are_refused_with_the_names_of_the_runners() {
    let unknown = expand(&set(), request(Some("claud"), "p")).unwrap_err().into_problem();
    assert_eq!(unknown.slug, "runner_not_found");
    assert_eq!(unknown.detail.as_deref(), Some("the runners are: claude, remote, steps"));
    let missing = expand(&set(), request(None, "p")).unwrap_err().into_problem();
    assert!(missing.help.unwrap().contains("claude, remote, steps"));
    let default = RunnerSet::new(
        [AgentRunner::new(settings("only", &["only", "{prompt}"])).unwrap()],
        Some("only".to_owned()),
        set().host,
    );
    assert_eq!(expand(&default, request(None, "p")).unwrap().request.agent.as_deref(), Some("only"));
    let long = expand(&set(), request(Some("claude"), &"x".repeat(MAX_PROMPT_LEN + 1))).unwrap_err();
    assert!(long.problem().help.as_ref().unwrap().contains("file"));
    let arguments = CommandRequest { args: words(&["x"]), ..CommandRequest::default() };
    assert!(
        expand(&set(), LaunchRequest { command: Some(arguments), ..request(Some("claude"), "p") }).is_err()
    );
}

#[test]
fn remote_session_and_steps_are_executed_by_the_longhaul_program() {
    let ExpandedLaunch { request, runner } = expanded(self::request(Some("remote"), "-v"));
    let command = request.command.unwrap();
    assert_eq!(command.program, "/bin/longhaul");
    assert_eq!(command.args[..4], ["--state-dir", "/state", "--no-autostart", "runner"]);
    assert_eq!((command.grace_ms, request.kind.as_deref()), (Some(30_000), Some("jules_session")));
    assert_eq!(command.stop_signal, Some(23), "the stop signal must not kill a tool that creates a session");
    let Some(RunnerPlan::Remote(plan)) = RunnerPlan::parse(&command.args[4]) else { panic!() };
    assert_eq!(plan.start, ["tool", "new", "-v"]);
    assert_eq!(
        (plan.poll_interval_ms, plan.on_complete),
        (5_000, vec![words(&["tool", "pull", "{session}"])])
    );
    let runner = runner.unwrap();
    assert_eq!((runner.program.as_str(), runner.stays_here), ("tool", true));
    assert_eq!(runner.choice.output, AgentOutputFormat::Unread);
    let ExpandedLaunch { request, .. } = expanded(self::request(Some("steps"), "a b"));
    let Some(RunnerPlan::Steps(plan)) = RunnerPlan::parse(&request.command.unwrap().args[4]) else {
        panic!()
    };
    assert_eq!(
        plan,
        StepsPlan {
            command: words(&["x", "a b"]),
            on_complete: vec![words(&["git", "commit", "-m", "a b"])]
        }
    );
    let mut embedded = set();
    embedded.host.program = None;
    let refused = expand(&embedded, self::request(Some("remote"), "p")).unwrap_err();
    assert_eq!(refused.problem().slug, "unsupported");
}

proptest! {
    #[test]
    fn prompt_never_reaches_a_shell_and_is_never_split(prompt in "[^\0]*\\S[^\0]*") {
        let command = expanded(request(Some("claude"), &prompt)).request.command.unwrap();
        prop_assert_eq!(command.program, "claude");
        prop_assert_eq!(command.args, vec!["-p".to_owned(), prompt.clone()]);
        let remote = expanded(request(Some("remote"), &prompt)).request.command.unwrap();
        let Some(RunnerPlan::Remote(plan)) = RunnerPlan::parse(&remote.args[4]) else {
            return Err(TestCaseError::fail("no plan"));
        };
        prop_assert_eq!(plan.start, vec!["tool".to_owned(), "new".to_owned(), prompt]);
    }
}
