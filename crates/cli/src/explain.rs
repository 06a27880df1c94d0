//! Explanations of the error codes that all interfaces use.

/// All error codes with their explanations.
pub(crate) const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "process_not_found",
        "No process has this id, prefix or name.\nA prefix needs at least 4 characters. Ended processes are deleted after the retention time.\nSee: longhaul status -a",
    ),
    (
        "ambiguous_id",
        "More than one process matches. The error lists each with its session, directory and command: use the id of one\nof them, or more characters of it.\nSee: longhaul status -a -o wide",
    ),
    (
        "invalid_status_transition",
        "The action is not possible in the current status: an ended process stays ended, only a running one can be\npaused, only a paused one can be resumed, only one that waits for its next attempt can be retried.\nTo run a command again: longhaul restart ID\nTo report new work: longhaul track start",
    ),
    (
        "unsupported",
        "This kind of work does not support the action. Reported work is not run by longhaul, so it cannot be paused and\nhas no output. A command cannot be completed by hand, and reads input only if it was launched with --stdin-pipe.",
    ),
    (
        "input_closed",
        "The standard input of the process was closed, or no program reads it any more. It cannot be opened again.\nTo run the command again: longhaul restart ID",
    ),
    (
        "wrong_node",
        "The process runs on another node, and only the manager of that node can execute this request. The \
        error names the node.",
    ),
    (
        "environment_not_portable",
        "A process that may run on another node needs an environment that can be moved. Captured variables stay on the\nnode that captured them. Capture none, and declare what the command needs: --clear-env -e NAME=VALUE\nDeclared variables are part of the record, and every reader of the store can read them. Put secrets in a file on the\nnode that runs the command.",
    ),
    (
        "node_not_found",
        "No node of this name has joined the store, or it was forgotten. A launch for it would wait forever.\nSee: longhaul node list",
    ),
    (
        "node_alive",
        "The node is present, or its lease and grace period have not expired, so it may return with its work.\nOnly a node that left or is lost can be forgotten. See: longhaul node list",
    ),
    (
        "launch_not_trusted",
        "The record of the process has no valid signature of a node of this cluster. Write access to the store must not be\nenough to run commands. The reason names the fault. Launch the command again if you want it to run.\nSee: docs/security.md",
    ),
    (
        "cluster_key_unusable",
        "All nodes of a cluster share a key that signs launches. The key file is missing, readable by others, or differs\nfrom the key of the other nodes. Copy the file from a node that has it, with mode 0600.\nSee: longhaul store key",
    ),
    (
        "node_unreachable",
        "The data is on another node whose manager cannot be reached; the reason says why.\nIf that node is down, try again when it is back. If it is up, check node.address and its certificate\n(node.peer_ca_file). The end of the output of an ended attempt may be stored with its record.\nSee: longhaul node list, docs/clustering.md",
    ),
    ("input_unavailable", "The input of the process could not be reached. Try again."),
    ("invalid_request", "The request is invalid. The reason names the invalid part."),
    (
        "limit_reached",
        "A limit is reached. Wait until a process ends, or raise the limit in the configuration.\nSee: longhaul config show",
    ),
    ("rejected", "A rule of admission rejected the launch; the reason names the rule."),
    (
        "no_slot",
        "No slot is free, and --no-queue forbids waiting.\nWithout --no-queue the launch waits for a slot.",
    ),
    (
        "level_limit_reached",
        "This level of the tree has the maximum number of live processes (limits.max_per_level).\nSee: longhaul tree ID",
    ),
    ("too_deep", "The process would be deeper in its tree than limits.max_levels allows."),
    (
        "ancestor_stopping",
        "An ancestor is being stopped with all its descendants, so it accepts no new descendants.",
    ),
    (
        "parent_not_found",
        "The parent is unknown or has ended.\nA launch from inside a process is its child, unless --no-parent is given.",
    ),
    (
        "deadlock_with_ancestors",
        "Ancestors of this process hold all slots of the key and wait for this process, so it would never start.\nUse another key, or raise the limit of this one.",
    ),
    (
        "key_conflict",
        "The launch key was used in this session for another launch.\nA launch key compares command, arguments, directory, type, key, limits and declared variables;\nthe error names the differences.",
    ),
    (
        "launch_pruned",
        "The launch key started a process before. That process has ended, and its record was pruned.\nNothing was started. Use another launch key to run the command again.",
    ),
    (
        "runner_not_found",
        "The launch has a prompt, but no runner has the name of its agent. The error lists the runners.\nTo add a runner, add a table [runner.NAME] to the configuration, then restart the manager.\nSee: docs/runners.md",
    ),
    (
        "runner_not_installed",
        "The program of the agent was not found, so nothing was launched. longhaul searches for it in the PATH of the\nlaunch, or in the PATH of the manager if the launch has no environment. Install the agent, or set the path of the\nprogram in runner.NAME.command.\nSee: docs/runners.md",
    ),
    ("policy_conflict", "The limits were changed during the launch. Try again."),
    (
        "too_many_pending_actions",
        "The process has too many actions that its node has not executed yet. Try again later.",
    ),
    (
        "revision_conflict",
        "Another client changed the process at the same time. Check the process, and try again.",
    ),
    (
        "shutting_down",
        "The manager is shutting down. Running work continues, unless the manager was asked to stop it. Try again: the next\ncommand starts a manager.",
    ),
    (
        "resetting",
        "All processes are being stopped and deleted (longhaul reset).\nLaunch again when the reset has finished.",
    ),
    (
        "already_running",
        "Another manager serves this state directory; one is enough.\nThe error names its process id.",
    ),
    ("invalid_configuration", "The configuration is not valid. See: longhaul config check"),
    (
        "state_dir_unusable",
        "The state directory must be yours, writable, and not accessible to others; the error names the fault.",
    ),
    (
        "state_dir_lost",
        "The manager lost its state directory or its store, and acknowledges no further writes. Running work continues.\nIf the directory was moved: longhaul --state-dir DIR serve",
    ),
    (
        "method_not_allowed",
        "The manager does not know this request: it has another version.\nStop it and run the new one: longhaul serve",
    ),
    (
        "outcome_unknown",
        "The store did not answer a change, so the change may have been made. Check before you try again: longhaul status.\nA launch with --launch-key can be repeated and never starts a second process.",
    ),
    (
        "store_unavailable",
        "The store does not answer, or denies access. Running work continues, and its end is recorded when the store is back.\nWork of this node can be shown and cancelled meanwhile; launches and most other requests are refused.\nTo find the fault: longhaul doctor",
    ),
    (
        "store_lost",
        "The store of this state directory is missing, or is older than before: files were removed, truncated or replaced.\nRunning work continues, but its records may be lost. Restore the files; a SQLite database and its -wal file belong\ntogether. If they are lost for good: longhaul store adopt",
    ),
    (
        "state_dir_copied",
        "The state directory is a copy of another one, or was moved to another file system. A manager on it would run work\nthat is waiting a second time. Use the original. To use this one from now on, and the original never again:\nlonghaul store adopt",
    ),
    (
        "store_owned_elsewhere",
        "Live processes of this store were started from another state directory, and cannot be found from here. Use that\ndirectory or, if it is gone for good: longhaul store adopt",
    ),
    (
        "store_mismatch",
        "Live processes of this state directory have their records in another store: the one that was used last. Use that\nstore until they have ended, or copy it while no manager runs and the new store does not exist yet:\nlonghaul store copy FROM TO\nIf the old store is gone for good: longhaul store adopt. Its live processes then continue without a record.",
    ),
    (
        "node_id_mismatch",
        "This state directory was used with another node name, and work of that node has not ended. Under a new name no node\nwould own that work. Without node.id a directory keeps its name, also if the host is renamed. To change the name, let\nthe work end, or cancel it under the old name: longhaul cancel --all",
    ),
    (
        "node_name_taken",
        "Another manager of the cluster has the name of this node. Two state directories on one host have the same default\nname. Set another one: node.id in the configuration, or --node-id",
    ),
    (
        "store_read_only",
        "The store can be read but not written. For a local store, check permissions and mounts of the state directory. For\na server, check its disk, its replicas, and whether it is itself a replica.\nSee: longhaul doctor",
    ),
    (
        "output_removed",
        "The output of the process was deleted: output.total limits all output, and the oldest is deleted first. The record\nwith exit code and times remains: longhaul status ID",
    ),
    (
        "artifact_not_found",
        "The attempt has no artifact with this path. Artifacts are files that matched a pattern of run --artifact and were\ncopied at the end of the attempt. The list shows their paths: longhaul artifacts ID",
    ),
    (
        "no_test_results",
        "The attempt has no test results: its command ran no test framework that longhaul knows, or no test has a result yet.\nIf the command writes a JUnit report, launch the command with --report junit:PATH. Otherwise, use --report auto.",
    ),
    (
        "no_failed_tests",
        "No test of the process failed, so there is nothing to run again.\nTo run all tests: longhaul restart ID",
    ),
    (
        "not_ended",
        "The process has not ended, and further tests may fail until it ends.\nWait first: longhaul wait ID",
    ),
    (
        "rerun_not_possible",
        "The failed tests cannot be run alone: the framework is unknown, a script starts it, or the results do not name\nevery failed test. To run all tests: longhaul restart ID",
    ),
    (
        "store_full",
        "The disk of the store is full, or the memory of the server (maxmemory). Running work continues, stops still work,\nand records are written later. Free space on that disk, raise maxmemory, or delete old records.\nSee: longhaul doctor, longhaul prune",
    ),
    (
        "not_found",
        "The manager does not know this request: it is older than this program.\nStop it and run the new one: longhaul serve",
    ),
    ("payload_too_large", "The request is larger than 1 MiB."),
    ("internal", "The manager failed unexpectedly. Its log has the details."),
    (
        "manager_unreachable",
        "No manager answers at the socket. Commands start one, unless --no-autostart or\nLONGHAUL_NO_AUTOSTART is set. To run one in the foreground: longhaul serve",
    ),
    ("not_authorised", "The socket belongs to another user. A manager serves only the user that started it."),
    ("not_a_manager", "Another program answers at the socket."),
    (
        "protocol_mismatch",
        "The program and the manager have incompatible versions.\nStop the old manager, and start the new one: longhaul serve. Running work continues.",
    ),
    (
        "connection_broken",
        "The manager closed the connection during an answer. Running work continues; try again.",
    ),
    (
        "manager_timeout",
        "The manager accepted the request and did not answer: it is starting, overloaded or stopped. See its log.",
    ),
    (
        "input_needed",
        "The command has a question, but there is no terminal, or --no-input was given. Name the process, or use --yes.",
    ),
    (
        "key_in_use",
        "The cluster uses this key, and no manager could start there without it. Start one manager with the new key first:\nlonghaul store key --rotate, copy the file to every node, restart the managers, and then --retire.",
    ),
    ("file_unusable", "A file that the command needs cannot be read or written."),
    ("not_finished", "The request was accepted but is not finished."),
    ("output_unwritable", "Standard output cannot be written."),
];

/// Returns the explanation of an error code. Returns `None` if the code is unknown.
pub(crate) fn explanation(slug: &str) -> Option<&'static str> {
    EXPLANATIONS.iter().find(|(each, _)| *each == slug).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_explained_once() {
        for (slug, text) in EXPLANATIONS {
            assert_eq!(EXPLANATIONS.iter().filter(|(each, _)| each == slug).count(), 1, "{slug}");
            assert!(
                !text.is_empty() && slug.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')),
                "{slug}"
            );
        }
        assert_eq!(explanation("nonsense"), None);
    }
}
