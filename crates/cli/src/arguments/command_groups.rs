//! Groups of subcommands, as the help of the program lists them.

use super::Cli;
use clap::{Command, CommandFactory};

/// Groups of subcommands, in the order in which the help shows them.
const GROUPS: &[(&str, &[&str])] = &[
    ("Start", &["run", "task", "track", "restart", "rerun-failed", "retry"]),
    (
        "Look",
        &[
            "status",
            "logs",
            "wait",
            "why",
            "report",
            "tests",
            "tree",
            "inspect",
            "artifacts",
            "events",
            "stats",
        ],
    ),
    ("Control", &["cancel", "pause", "resume", "signal", "send", "progress", "result", "error"]),
    ("Queue", &["queue", "session"]),
    ("Agents", &["mcp"]),
    (
        "Admin",
        &[
            "serve",
            "doctor",
            "version",
            "config",
            "init",
            "store",
            "node",
            "token",
            "prune",
            "reset",
            "completions",
            "explain",
        ],
    ),
];

/// Examples at the top of the help.
const EXAMPLES: &str = "\
Examples:
  longhaul run -b --name tests -- cargo test   start in the background
  longhaul status                              list live processes
  longhaul logs -f tests                       follow the output
  longhaul wait tests                          wait, then exit with the exit code of the process";

/// Returns the command-line definition of the program. Its help lists the subcommands in groups.
pub(crate) fn grouped() -> Command {
    let command = Cli::command();
    let mut groups = String::new();
    for (title, names) in GROUPS {
        groups.push_str(&format!("{title}:\n"));
        for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let aliases: Vec<&str> = verb.get_visible_aliases().collect();
            let aliases =
                if aliases.is_empty() { String::new() } else { format!(" [alias: {}]", aliases.join(", ")) };
            groups.push_str(&format!("  {:<12} {about}{aliases}\n", verb.get_name()));
        }
        groups.push('\n');
    }
    command.override_usage("longhaul [OPTIONS] <COMMAND>").mut_subcommands(|verb| verb.hide(true)).help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{EXAMPLES}\n\n{groups}{{all-args}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_command_is_in_one_group() {
        let command = Cli::command();
        let all: BTreeSet<&str> =
            command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(Command::get_name).collect();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(grouped.iter().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(grouped.len(), all.len());
    }
}
