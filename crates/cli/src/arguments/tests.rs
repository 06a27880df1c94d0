//! Tests of the argument parser.

use super::*;
use crate::value::SlotsArg;

#[test]
fn command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn flags_behind_the_command_belong_to_it() {
    let Verb::Run(run) = parsed("run -b sleep -b 5").command else {
        panic!("another verb");
    };
    assert!(run.background);
    assert_eq!(run.command, ["sleep", "-b", "5"]);
}

#[test]
fn double_dash_ends_the_flags() {
    let Verb::Run(run) = parsed("run -- -x --json").command else {
        panic!("another verb");
    };
    assert_eq!(run.command, ["-x", "--json"]);
}

#[test]
fn run_without_a_command_is_wrong_usage() {
    assert_eq!(refused("run -b").exit_code(), 2);
    assert_eq!(refused("frobnicate").exit_code(), 2);
    assert_eq!(refused("restart --dry-run b7d0").exit_code(), 2);
    assert_eq!(refused("run --timeout -5m -- true").exit_code(), 2);
}

#[test]
fn empty_reference_is_wrong_usage() {
    for verb in ["inspect", "status", "logs", "wait", "cancel", "restart", "retry", "pause", "resume"] {
        let error = read(["longhaul", verb, ""].map(Into::into)).unwrap_err();
        assert!(
            error.exit_code() == 2 && error.to_string().contains("the value is empty"),
            "{verb}: {error}"
        );
    }
    let words = ["longhaul", "run", "--parent", "", "true"];
    assert_eq!(read(words.map(Into::into)).unwrap_err().exit_code(), 2);
}

#[test]
fn empty_word_is_wrong_usage_instead_of_everything() {
    let lines: [&[&str]; 13] = [
        &["status", "--status", ""],
        &["status", "--status", "running,"],
        &["status", "-p", ""],
        &["status", "--session", " "],
        &["status", "--agent-id", ""],
        &["status", "--type", ""],
        &["events", "--session", ""],
        &["events", "--type", ""],
        &["events", "--after", ""],
        &["wait", "--session", ""],
        &["stats", "--session", ""],
        &["mcp", "--session", ""],
        &["run", "-p", "", "--", "true"],
    ];
    for line in lines {
        let words = std::iter::once("longhaul").chain(line.iter().copied()).map(Into::into);
        let error = read(words).unwrap_err();
        assert!(
            error.exit_code() == 2 && error.to_string().contains("the value is empty"),
            "{line:?}: {error}"
        );
    }
}

#[test]
fn help_says_how_many_documents_there_are() {
    for verb in ["events", "logs", "inspect", "wait"] {
        let help = read(["longhaul", verb, "--help"].map(Into::into)).unwrap_err().to_string();
        assert!(help.contains("With --json: ") && help.contains(" line"), "{verb}: {help}");
    }
}

#[test]
fn negative_values_are_refused_in_our_own_words() {
    for (line, why) in [
        ("run --timeout -1 -- true", "the duration is negative"),
        ("run --timeout -5m -- true", "the duration is negative"),
        ("run --delay -5 -- true", "the duration is negative"),
        ("run --grace -1s -- true", "the duration is negative"),
        ("run --retry 1 --backoff -1s..2s -- true", "the duration is negative"),
        ("run --retry -1 -- true", "-1 is not in 0..=100"),
        ("run --timeout 9999999999d -- true", "the duration is longer than 30 days"),
        ("wait x --timeout -1", "the duration is negative"),
        ("status -n -1", "-1 is not in 1.."),
        ("logs x -n -1", "use a number, or all"),
        ("logs x --since -1h", "the duration is negative"),
    ] {
        let error = refused(line);
        assert!(error.exit_code() == 2 && error.to_string().contains(why), "{line}: {error}");
    }
}

#[test]
fn aliases_mean_the_same() {
    assert!(matches!(parsed("ps").command, Verb::Status(_)));
    assert!(matches!(parsed("log x").command, Verb::Logs(_)));
    assert!(matches!(parsed("stop x").command, Verb::Cancel(_)));
}

#[test]
fn global_flags_stand_before_or_behind_the_verb() {
    assert_eq!(parsed("--json status").global.format(), Some(OutputFormat::Json));
    assert_eq!(parsed("status -o ndjson").global.format(), Some(OutputFormat::Ndjson));
    assert_eq!(parsed("status").global.format(), None);
}

#[test]
fn verbs_are_never_abbreviated() {
    assert_eq!(refused("stat").exit_code(), 2);
}

#[test]
fn debug_output_of_a_launch_hides_values() {
    assert!(!format!("{:?}", parsed("run -e TOKEN=hunter2 -- true")).contains("hunter2"));
}

#[test]
fn reference_of_the_command_line_is_the_help() {
    let mut command = Cli::command();
    command.build();
    let mut text = String::from(
        "# Command line\n\nThis page is the output of `longhaul --help` and of the help of each command. A test of \
         `crates/cli` compares this page with the program; with UPDATE_GOLDEN=1, the test writes the page.\n\n\
         ```text\n",
    );
    text.push_str(&super::command_groups::grouped().render_long_help().to_string());
    text.push_str("```\n");
    append(&mut command, &mut text);
    let text: String = text.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(page, &text).unwrap();
    }
    let written = std::fs::read_to_string(page).unwrap();
    let line = text.lines().zip(written.lines()).position(|(new, old)| new != old);
    assert!(
        text == written,
        "the help differs in line {line:?}: read it, then write it with UPDATE_GOLDEN=1"
    );
}

/// Appends the help texts of all subcommands to `text`. Options that every subcommand accepts appear only once.
fn append(command: &mut clap::Command, text: &mut String) {
    for each in command.get_subcommands_mut().filter(|each| !each.is_hide_set()) {
        let mut alone = each.clone().disable_help_flag(true);
        let globals: Vec<_> = alone
            .get_arguments()
            .filter(|argument| argument.is_global_set() || argument.get_id() == "help")
            .map(|argument| argument.get_id().clone())
            .collect();
        for global in globals {
            alone = alone.mut_arg(global, |argument| argument.hide(true));
        }
        text.push_str(&format!("\n## {}\n\n```text\n", each.get_bin_name().unwrap_or(each.get_name())));
        text.push_str(&alone.render_help().to_string());
        text.push_str("```\n");
        append(each, text);
    }
}

#[test]
fn queue_takes_a_key_or_a_verb() {
    let Verb::Queue(args) = parsed("queue cargo --limit 0").command else {
        panic!("another verb");
    };
    assert_eq!((args.key.as_deref(), args.limit), (Some("cargo"), Some(SlotsArg::Count(0))));
    let Verb::Queue(args) = parsed("queue -- move").command else {
        panic!("another verb");
    };
    assert!(args.key.as_deref() == Some("move") && args.verb.is_none());
    let Verb::Queue(QueueArgs { verb: Some(QueueVerb::Move(args)), .. }) =
        parsed("queue move x --priority -3").command
    else {
        panic!("another verb");
    };
    assert_eq!((args.id.as_str(), args.priority, args.first), ("x", Some(-3), false));
}

#[test]
fn contradictory_options_are_refused_as_usage_errors() {
    for line in [
        "queue --limit 1",
        "queue --hold",
        "queue k --hold --release",
        "queue k --limit -1",
        "queue move x",
        "queue move x --first --priority 1",
        "queue move x --priority 101",
        "cancel x --level 1",
        "cancel --tree x",
        "cancel --all --level 1",
        "cancel --level 1 --expect-revision 3",
        "cancel --level -1",
        "pause x --tree --expect-revision 3",
        "restart",
        "restart --interrupted --expect-revision 3",
        "wait",
        "session end",
        "session end s --grace 1s",
        "session end s --policy never",
        "prune",
        "prune --dry-run",
        "prune --older-than -1d",
        "track",
        "track progress",
        "track fail x",
        "track complete x --result 1 --result-file f",
        "run --children perhaps -- true",
        "run --session-grace 1s -- true",
        "run --at soon -- true",
        "run --max-memory -1 -- true",
        "run --key= -- true",
        "run --stdin f --stdin-pipe -- true",
        "run --ready-port 0 -- true",
        "run --ready-port 80 --ready-log up -- true",
        "run --watch error -- true",
        "send",
        "send x --no-newline",
        "store copy a",
    ] {
        assert_eq!(refused(line).exit_code(), 2, "{line}");
    }
}

#[test]
fn interrupted_work_may_be_named() {
    let Verb::Restart(args) = parsed("restart --interrupted a b").command else {
        panic!("another verb");
    };
    assert!(args.interrupted && args.ids == ["a", "b"]);
    let Verb::Wait(args) = parsed("wait --session s").command else {
        panic!("another verb");
    };
    assert!(args.ids.is_empty() && args.session.as_deref() == Some("s"));
}

fn parsed(line: &str) -> Cli {
    read(words(line)).unwrap()
}

fn refused(line: &str) -> clap::Error {
    read(words(line)).unwrap_err()
}

fn words(line: &str) -> Vec<std::ffi::OsString> {
    ["longhaul"].into_iter().chain(line.split(' ')).map(Into::into).collect()
}
