//! What errors mean, by the word that every face uses for them.

/// Every word with its explanation.
pub(crate) const EXPLANATIONS: &[(&str, &str)] = &[
    (
        "process_not_found",
        "No process has this id, this prefix or this name.\nA prefix needs 4 characters or more. Ended processes are forgotten after the retention time.\nSee: longhaul status -a",
    ),
    (
        "ambiguous_id",
        "More than one process fits. The error lists each with its session, directory and command: give the id of one of\nthem, or more characters of it.\nSee: longhaul status -a -o wide",
    ),
    (
        "invalid_status_transition",
        "Where the process stands, this cannot be done: what has ended stays ended, only what runs can be paused,\nonly what is paused can be resumed, only what waits for its next attempt can be retried.\nTo run a command again: longhaul restart ID\nTo report that work has begun again: longhaul track start",
    ),
    (
        "unsupported",
        "This sort of work cannot do it. Reported work is done by somebody else, so that it can be neither paused nor\nstreamed; command work is not completed by hand, and is written to only if it was launched with --stdin-pipe.",
    ),
    (
        "input_closed",
        "The standard input of the process was closed, or nobody reads it any more. It cannot be opened again.\nTo run it anew: longhaul restart ID",
    ),
    (
        "wrong_node",
        "The process runs on another node, and only the manager there reaches it. The error names the node.",
    ),
    (
        "environment_not_portable",
        "What may run on another node needs an environment that can travel. Captured variables stay on the node that\ntook them in: hand over none of them, and declare what is needed: --clear-env -e NAME=VALUE\nWhat is declared is part of the record: whoever reads the store reads it. A secret belongs into a file on the node\nthat runs the command, which reads it there.",
    ),
    (
        "node_not_found",
        "No node of this name ever joined the store, or it was forgotten. What is launched for it would wait for ever.\nSee: longhaul node list",
    ),
    (
        "node_alive",
        "The node is there, or its lease and its grace are not over yet: it may come back with everything that it runs.\nOnly a node that left or is lost can be forgotten. See: longhaul node list",
    ),
    (
        "launch_not_trusted",
        "The record of the process is not what a node of this cluster sealed when it was launched, or has no seal: whoever\ncan write to the store shall not thereby run commands. The reason says what is wrong with it.\nLaunch it anew if it is wanted. See docs/security.md",
    ),
    (
        "cluster_key_unusable",
        "All nodes of a store of many machines share a key, which vouches for launches. It is not there, others may reach\nit, or it is another one than that of the other nodes. Copy the file from a node that has it, with mode 0600.\nSee: longhaul store key",
    ),
    (
        "node_unreachable",
        "What was asked for is on another node, and its manager cannot be asked: the reason says what stands in the way.\nIf that node is not there, ask again when it is back. If it is there, look at node.address and at its certificate\n(node.peer_ca_file). Of an attempt that has ended, the end of the output may be kept beside its record.\nSee: longhaul node list, docs/clustering.md",
    ),
    ("input_unavailable", "The input of the process could not be reached just now. Try again."),
    ("invalid_request", "Something that was asked for makes no sense. The reason names what."),
    (
        "limit_reached",
        "A limit stands in the way. Wait for something to end, or raise the limit in the configuration.\nSee: longhaul config show",
    ),
    ("rejected", "The launch was refused by a rule of admission; the reason names which."),
    (
        "no_slot",
        "No slot is free, and --no-queue says not to wait for one.\nWithout --no-queue the launch waits for its turn.",
    ),
    (
        "level_limit_reached",
        "As many processes of this tree live on this level as may (limits.max_per_level).\nSee: longhaul tree ID",
    ),
    ("too_deep", "The process would lie deeper in its tree than is allowed (limits.max_levels)."),
    (
        "ancestor_stopping",
        "An ancestor is being ended with all its descendants, so that no new ones are taken.",
    ),
    (
        "parent_not_found",
        "The parent that was named is not known, or has ended.\nA launch from inside of a process is its child unless --no-parent says otherwise.",
    ),
    (
        "deadlock_with_ancestors",
        "All slots of the key are held by ancestors of this process, which wait for it: it would never start.\nGive it another key, or raise the limit of this one.",
    ),
    (
        "key_conflict",
        "The launch key was used in this session for another launch.\nA launch key compares command, arguments, directory, type, key, limits and declared variables;\nthe error names what differs.",
    ),
    (
        "launch_pruned",
        "The launch key started a process before. That process has ended, and its record was pruned.\nNothing was started. Use another launch key to run the command once more.",
    ),
    ("policy_conflict", "The limits were changed while the launch was under way. Ask again."),
    (
        "too_many_pending_actions",
        "Too much was asked of this process that its owner has not answered yet. Ask again later.",
    ),
    ("revision_conflict", "Something else changed the process at the same time. Look at it, and ask again."),
    (
        "shutting_down",
        "The manager is ending. What runs goes on, or is stopped if it was told to; ask the next one.",
    ),
    (
        "resetting",
        "Everything is being stopped and let go, because somebody said: longhaul reset\nLaunch again when that is over.",
    ),
    (
        "already_running",
        "Another manager serves this state directory; one is enough.\nIt is ended by its process id, which the error names.",
    ),
    ("invalid_configuration", "The configuration cannot be used. See: longhaul config check"),
    (
        "state_dir_unusable",
        "The state directory must be yours, writable, and closed to others; the error names what is wrong.",
    ),
    (
        "state_dir_lost",
        "The manager lost its state directory, or the store in it, and acknowledges nothing more. What runs goes on.\nWhere the directory was moved to, a manager finds it again: longhaul --state-dir DIR serve",
    ),
    (
        "method_not_allowed",
        "The manager does not know this request: it is of another version.\nEnd it and run the new one: longhaul serve",
    ),
    (
        "outcome_unknown",
        "The store gave no answer to a change: it was made, or it was not. Look before you ask again: longhaul status.\nA launch with --launch-key can be sent again as it is, and never starts a second copy.",
    ),
    (
        "store_unavailable",
        "The store does not answer, or not to this user. What runs goes on, and its end is recorded when the store is back.\nWork of this node can be looked at and cancelled meanwhile; launches and most else are refused.\nWhat is wrong with it, and what to do: longhaul doctor",
    ),
    (
        "store_lost",
        "The store of this state directory is gone, or an older state of it is there: files of it were removed, cut short\nor replaced. What was started runs on, and the records of it may be among those that are lost. Put the files back;\na SQLite database and its -wal file belong together. If they are lost for good: longhaul store adopt",
    ),
    (
        "state_dir_copied",
        "The state directory is a copy of another one, or was moved to another file system. Served beside its original, it\nwould run again what waits or is to be tried again. Use the original; or, to go on with this one and never again\nwith the original: longhaul store adopt",
    ),
    (
        "store_owned_elsewhere",
        "Processes that live in this store were started from another state directory. From here they would not be\nfound. Use that directory, or, if it is gone for good: longhaul store adopt",
    ),
    (
        "store_mismatch",
        "Processes live in this state directory whose records are in another store: the one that it was served with\nlast. Go back to that one until they have ended; or take them along, while no manager runs and the new store is not\nthere yet: longhaul store copy FROM TO\nIf the old store is gone for good: longhaul store adopt. What lives goes on then, unseen.",
    ),
    (
        "node_id_mismatch",
        "This state directory was served under another name of its node, and work under that name has not ended. It\nwould be stranded under a new one. Without node.id a directory keeps its name, whatever the machine is called. To\ngive it another one, let that work end, or cancel it under the old name: longhaul cancel --all",
    ),
    (
        "node_name_taken",
        "Another manager is in the cluster under the name of this node: two state directories on one host have the\nsame name if none was given. Give this one its own: node.id in the configuration, or --node-id",
    ),
    (
        "store_read_only",
        "The store can be read and not written. Of one on this machine, look at permissions and mounts of the state\ndirectory; of a server, at its disk, its replicas, and whether it is a replica itself.\nSee: longhaul doctor",
    ),
    (
        "output_removed",
        "The process wrote output, which was let go of since: all output together is bounded by output.total, and the\noldest goes first. The record stays, with exit code and times: longhaul status ID",
    ),
    (
        "store_full",
        "The disk of the store is full or, of a server, its memory (maxmemory). What runs goes on, a stop goes ahead, and\nthe records follow. Make room: on that disk, by a larger maxmemory, or by letting old records go.\nSee: longhaul doctor, longhaul prune",
    ),
    (
        "not_found",
        "The manager does not know this request: it is older than this program.\nEnd it and run the new one: longhaul serve",
    ),
    ("payload_too_large", "What was sent is larger than 1 MiB."),
    ("internal", "The manager failed in a way that it should not. Its log says more."),
    (
        "manager_unreachable",
        "No manager answers at the socket. One is started when needed, unless --no-autostart or\nLONGHAUL_NO_AUTOSTART says not to. To run one in the foreground: longhaul serve",
    ),
    (
        "not_authorised",
        "The socket belongs to another user. A manager serves the user that started it, and nobody else.",
    ),
    ("not_a_manager", "Something else answers at the socket."),
    (
        "protocol_mismatch",
        "Program and manager are of versions that do not understand each other.\nEnd the old manager, and start the new one with: longhaul serve. What runs goes on meanwhile.",
    ),
    ("connection_broken", "The manager went away in the middle of an answer. What runs goes on; ask again."),
    (
        "manager_timeout",
        "The manager took the request and did not answer, or is still starting, or is halted. Its log says more.",
    ),
    (
        "input_needed",
        "Somebody would have to choose, and there is no terminal, or --no-input was given. Name what is meant.",
    ),
    (
        "key_in_use",
        "The store of many machines names this key as that of its nodes, and no manager would start there without it.\nThe first manager that is started with the new key makes that the one: longhaul store key --rotate, copy the file to\nevery node, start the managers anew, and then --retire.",
    ),
    ("file_unusable", "A file that was named cannot be read or written."),
    ("not_finished", "The request was accepted, but what it asked for has not happened yet."),
    ("output_unwritable", "Standard output cannot be written."),
];

/// Gives the explanation of a word.
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
