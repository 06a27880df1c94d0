//! Tests of a store that is lost or damaged while its state directory stays in place.

use crate::bench::{Bench, Said, until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Exit code of a manager that lost its store.
const DISPLACED: i32 = 8;
/// Configuration that selects a file store.
const FILES: &str = "store = \"fs:{top}/state/store\"\n";

/// Removes the store of a manager with a running command, and returns the output of the manager.
fn loses_its_store(bench: &Bench, take_away: impl FnOnce()) -> Said {
    let mut manager = bench.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
    until("it serves", || bench.run(&["--no-autostart", "status"]).code == 0);
    let id = bench.launch("exec sleep 60");
    until("it runs", || bench.show(&id)["pid"].is_u64());
    let pid = i32::try_from(bench.show(&id)["pid"].as_i64().unwrap()).unwrap();
    let command = Pid::from_raw(pid).unwrap();
    take_away();
    let late = bench.run(&["--no-autostart", "run", "-b", "--", "true"]);
    assert_ne!(late.code, 0, "an unstored launch is not acknowledged: {late:?}");
    until("it leaves", || manager.try_wait().unwrap().is_some());
    let said = Said::of(manager.wait_with_output().unwrap());
    assert!(test_kill_process(command).is_ok(), "the command continues");
    kill_process(command, Signal::KILL).unwrap();
    said
}

#[test]
fn manager_whose_store_is_removed_replaced_or_truncated_acknowledges_nothing_and_exits() {
    type TakeAway = fn(&Bench);
    let removed: TakeAway = |bench| {
        for ending in ["", "-wal", "-shm"] {
            fs::remove_file(bench.state().join(format!("longhaul.db{ending}"))).unwrap();
        }
    };
    let replaced: TakeAway = |bench| {
        let file = bench.state().join("longhaul.db");
        fs::rename(&file, bench.top().join("aside")).unwrap();
        fs::copy(bench.top().join("aside"), file).unwrap();
    };
    let without_its_journal: TakeAway = |bench| {
        fs::remove_file(bench.state().join("longhaul.db-wal")).unwrap();
    };
    let truncated: TakeAway = |bench| fs::write(bench.state().join("longhaul.db"), "").unwrap();
    let without_commits: TakeAway = |bench| fs::write(bench.state().join("longhaul.db-wal"), "").unwrap();
    let files_removed: TakeAway = |bench| fs::remove_dir_all(bench.state().join("store")).unwrap();
    let files_moved: TakeAway = |bench| {
        fs::rename(bench.state().join("store"), bench.top().join("aside")).unwrap();
    };
    for (config, lost, take_away) in [
        ("", "longhaul.db", removed),
        ("", "longhaul.db", replaced),
        ("", "longhaul.db-wal", without_its_journal),
        ("", "longhaul.db", truncated),
        ("", "longhaul.db-wal", without_commits),
        (FILES, "state/store", files_removed),
        (FILES, "state/store", files_moved),
    ] {
        let bench = Bench::new().with_config(config);
        let said = loses_its_store(&bench, || take_away(&bench));
        assert_eq!(said.code, DISPLACED, "{said:?}");
        // When a database is closed, SQLite writes its log into the database even if the log file was removed. In that
        // case nothing is lost.
        let is_gone = !bench.state().join(lost).exists() && !bench.top().join(lost).exists();
        if is_gone && lost != "longhaul.db-wal" {
            let next = bench.run(&["run", "-b", "--", "true"]);
            assert!(next.code != 0 && next.err.contains("store_lost"), "{lost}: {next:?}");
        }
        for part in [lost, "removed, moved, replaced or truncated", "state_dir_lost"] {
            assert!(said.err.contains(part), "{part} in {}", said.err);
        }
    }
}

/// The state after a manager with a running command was killed and its store was damaged.
struct Damaged {
    bench: Bench,
    id: String,
    command: Pid,
    /// Directory that contains an undamaged copy of the store.
    aside: PathBuf,
}

impl Damaged {
    fn new(config: &str, damage: impl FnOnce(&Bench)) -> Self {
        let bench = Bench::new().with_config(config);
        let early = bench.launch("true");
        assert_eq!(bench.run(&["wait", &early]).code, 0);
        bench.end_manager(Signal::TERM);
        copy(&store_of(&bench), &bench.top().join("older"));
        let id = bench.launch("until [ -e go ]; do sleep 0.02; done; exit 5");
        until("it runs", || bench.show(&id)["pid"].is_u64());
        let pid = i32::try_from(bench.show(&id)["pid"].as_i64().unwrap()).unwrap();
        // Wait, because the mark of the store is written shortly after the commits.
        let marked = || fs::read_to_string(bench.state().join("store_mark")).unwrap_or_default();
        let events = bench.run(&["events", "--json"]).out.lines().count();
        until("the store is marked", || {
            let newest = marked().split(['=', '\n']).nth(1).and_then(|newest| newest.parse().ok());
            newest.is_some_and(|newest: usize| newest >= events)
        });
        bench.end_manager(Signal::KILL);
        let aside = bench.top().join("aside");
        copy(&store_of(&bench), &aside);
        damage(&bench);
        Self { bench, id, command: Pid::from_raw(pid).unwrap(), aside }
    }

    /// Restores the store from the undamaged copy.
    fn mend(&self) {
        for path in store_of(&self.bench) {
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        copy(&[self.aside.join("store")], self.bench.state());
        copy(&DATABASE.map(|name| self.aside.join(name)), self.bench.state());
    }
}

impl Drop for Damaged {
    fn drop(&mut self) {
        // Kill the command, because possibly no manager is running that could stop it.
        let _ = kill_process(self.command, Signal::KILL);
    }
}

/// Names of the files that make up a SQLite database.
const DATABASE: [&str; 3] = ["longhaul.db", "longhaul.db-wal", "longhaul.db-shm"];

fn store_of(bench: &Bench) -> [PathBuf; 4] {
    let [one, two, three] = DATABASE.map(|name| bench.state().join(name));
    [one, two, three, bench.state().join("store")]
}

/// Copies those of the given files and directories that exist.
fn copy(from: &[PathBuf], to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in from.iter().filter(|path| path.exists()) {
        let copied = Command::new("cp").arg("-a").arg(path).arg(to).status().unwrap();
        assert!(copied.success());
    }
}

#[test]
fn store_that_lost_records_is_not_served_and_not_treated_as_empty() {
    type Damage = fn(&Bench);
    let without_database: Damage = |bench| fs::remove_file(bench.state().join("longhaul.db")).unwrap();
    let without_all: Damage = |bench| {
        store_of(bench).iter().for_each(|path| drop(fs::remove_file(path)));
    };
    let without_log: Damage = |bench| fs::remove_file(bench.state().join("longhaul.db-wal")).unwrap();
    let with_cut_log: Damage = |bench| {
        let log = fs::OpenOptions::new().write(true).open(bench.state().join("longhaul.db-wal")).unwrap();
        log.set_len(9_000).unwrap();
    };
    let with_changed_log: Damage = |bench| {
        let path = bench.state().join("longhaul.db-wal");
        let mut bytes = fs::read(&path).unwrap();
        let place = bytes.len() / 2;
        bytes[place] ^= 0x10;
        fs::write(path, bytes).unwrap();
    };
    let older: Damage = |bench| {
        store_of(bench)
            .iter()
            .for_each(|path| drop(fs::remove_file(path).or_else(|_| fs::remove_dir_all(path))));
        let names = ["longhaul.db", "store"].map(|name| bench.top().join("older").join(name));
        copy(&names, bench.state());
    };
    let without_directory: Damage = |bench| fs::remove_dir_all(bench.state().join("store")).unwrap();
    let emptied: Damage = |bench| {
        fs::remove_dir_all(bench.state().join("store")).unwrap();
        fs::create_dir(bench.state().join("store")).unwrap();
    };
    let without_newest: Damage = |bench| {
        let commits = fs::read_dir(bench.state().join("store/commits")).unwrap().flatten();
        let newest = commits.map(|entry| entry.path()).max().unwrap();
        // The last two commits are removed, because one of them may contain no event.
        let number: u64 = newest.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        for number in number - 1..=number {
            fs::remove_file(newest.with_file_name(format!("{number:012}.jsonl"))).unwrap();
        }
    };
    for (name, config, damage) in [
        ("without_database", "", without_database),
        ("without_all", "", without_all),
        ("without_log", "", without_log),
        ("with_cut_log", "", with_cut_log),
        ("with_changed_log", "", with_changed_log),
        ("older", "", older),
        ("without_directory", FILES, without_directory),
        ("emptied", FILES, emptied),
        ("without_newest", FILES, without_newest),
        ("older files", FILES, older),
    ] {
        let damaged = Damaged::new(config, damage);
        let Damaged { bench, id, .. } = &damaged;
        for words in [&["status", "-a"][..], &["run", "-b", "--", "true"], &["wait", id]] {
            let said = bench.run(words);
            assert_ne!(said.code, 0, "{name} {words:?} {said:?}");
            for part in ["store_lost", "longhaul store adopt", id] {
                assert!(said.err.contains(part), "{name} {words:?}: {part} in {}", said.err);
            }
            assert!(!said.out.contains("nothing"), "{name} {words:?}: {said:?}");
        }
        let doctor = bench.run(&["doctor"]);
        assert_eq!(doctor.code, 1, "{name} {doctor:?}");
        for part in ["problem  store", "longhaul store adopt", id] {
            assert!(doctor.out.contains(part), "{name}: {part} in {}", doctor.out);
        }
        damaged.mend();
        assert_eq!(bench.show(id)["status"], "running", "{name}");
        fs::write(bench.top().join("go"), "").unwrap();
        assert_eq!(bench.run(&["wait", id]).code, 5, "{name}: the store was not changed");
        assert_eq!(bench.run(&["doctor"]).code, 0, "{name}");
    }
}

#[test]
fn loss_of_a_store_is_accepted_on_confirmation_and_running_processes_are_named() {
    type Damage = fn(&Bench);
    let gone: Damage = |bench| fs::remove_file(bench.state().join("longhaul.db")).unwrap();
    let without_log: Damage = |bench| fs::remove_file(bench.state().join("longhaul.db-wal")).unwrap();
    let files_gone: Damage = |bench| fs::remove_dir_all(bench.state().join("store")).unwrap();
    for (config, damage, kept) in [("", gone, 0), ("", without_log, 1), (FILES, files_gone, 0)] {
        let damaged = Damaged::new(config, damage);
        let Damaged { bench, id, command, .. } = &damaged;
        let unasked = bench.run(&["store", "adopt"]);
        assert!(unasked.code == 2 && unasked.err.contains("adopt --yes"), "{config} {unasked:?}");
        assert_eq!(bench.run(&["status"]).code, 6, "{config}: nothing was changed");
        let adopted = bench.run(&["store", "adopt", "--yes"]);
        assert!(adopted.code == 0 && adopted.out.contains(id), "{config} {adopted:?}");
        let again = bench.run(&["store", "adopt"]);
        assert!(again.code != 0 || again.out.contains("already"), "{config} {again:?}");
        let listed = bench.run(&["status", "-a", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed.out).unwrap();
        assert_eq!(listed["processes"].as_array().unwrap().len(), kept, "{config} {listed:#}");
        assert!(test_kill_process(*command).is_ok(), "{config}: the command continues");
        let fresh = bench.launch("exit 3");
        assert_eq!(bench.run(&["wait", &fresh]).code, 3);
        bench.end_manager(Signal::KILL);
        assert_eq!(bench.show(&fresh)["exit"]["code"], 3, "{config}: the store is served from now on");
    }
}

#[test]
fn pruned_or_moved_store_does_not_count_as_a_store_with_lost_records() {
    for config in ["", "store = \"fs:\"\n"] {
        let bench = Bench::new().with_config(config);
        let done = bench.launch("true");
        assert_eq!(bench.run(&["wait", &done]).code, 0);
        assert_eq!(bench.run(&["prune", "--older-than", "0s", "--yes"]).code, 0);
        for signal in [Signal::TERM, Signal::KILL] {
            bench.end_manager(signal);
            assert_eq!(bench.run(&["status"]).code, 0, "{config}: {}", bench.log());
        }
        bench.end_manager(Signal::KILL);
        // Without the mark, this state directory looks like one that an older version has created.
        fs::remove_file(bench.state().join("store_mark")).unwrap();
        assert_eq!(bench.run(&["status"]).code, 0, "{config}: {}", bench.log());
        bench.end_manager(Signal::KILL);
        fs::rename(bench.state(), bench.top().join("moved")).unwrap();
        let bench = bench.at("moved");
        assert_eq!(bench.run(&["status"]).code, 0, "{config}: {}", bench.log());
    }
}

#[test]
fn socket_that_is_removed_is_bound_again_by_the_same_manager() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 60");
    let manager = bench.manager();
    let sockets = [bench.state().join("longhaul.sock"), bench.state().join("mcp.sock")];
    let mut waiting = bench.command(&["wait", &id]).stdout(Stdio::null()).spawn().unwrap();
    for round in 0..2 {
        for socket in &sockets {
            fs::remove_file(socket).unwrap();
        }
        until("both are there again", || {
            sockets.iter().all(|socket| std::os::unix::net::UnixStream::connect(socket).is_ok())
        });
        let said = bench.run(&["--no-autostart", "run", "--", "echo", "here"]);
        assert_eq!((said.code, said.out.as_str()), (0, "here\n"), "{round}: {said:?}");
    }
    // The manager must replace a socket that is not its own. The test moves this socket into place, because the manager
    // binds a free path immediately.
    let aside = bench.top().join("other.sock");
    let other = std::os::unix::net::UnixListener::bind(&aside).unwrap();
    other.set_nonblocking(true).unwrap();
    fs::rename(aside, &sockets[0]).unwrap();
    until("the store belongs to the manager again", || {
        bench.command(&["--no-autostart", "version"]).output().is_ok_and(|output| output.status.success())
    });
    assert_eq!(bench.manager(), manager);
    assert!(waiting.try_wait().unwrap().is_none(), "existing connections stay open");
    assert_eq!(bench.run(&["cancel", "--force", &id]).code, 0);
    waiting.wait().unwrap();
}
