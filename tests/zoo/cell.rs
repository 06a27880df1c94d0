//! A manager that uses one kind of containment and runs as one user.

use crate::census::{Census, VARIABLE};
use crate::creature::Creature;
use crate::keeper::Keeper;
use longhaul_tests::{Owner, USER, is_alive, kill, program, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

const UNIFIED: &str = "cgroup2";
/// Maximum memory of a manager after all visits, in kilobytes.
const MAX_MEMORY: u64 = 192 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Containment {
    Cgroup,
    Subreaper,
    Group,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Root,
    User,
}

/// A harmless process and facts about the manager. They must be the same before and after a visit.
#[derive(Debug)]
pub(crate) struct Bystander {
    creature: Creature,
    pid: u32,
    descriptors: usize,
}

/// A manager with its state directory, and all test programs that it was requested to launch.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) containment: Containment,
    pub(crate) keeper: Keeper,
    directory: tempfile::TempDir,
    programs: PathBuf,
    manager: Child,
    owner: Owner,
    cgroup: Option<PathBuf>,
    shown: Mutex<Vec<Census>>,
}

impl Containment {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }
}

impl Cell {
    /// Starts a manager. If this kind of containment or user is not possible on this machine, prints a message and
    /// returns `None`.
    pub(crate) fn open(containment: Containment, who: Who) -> Option<Self> {
        let skip = |why: &str| {
            eprintln!("SKIPPED: the zoo in {containment:?} as {who:?}: {why}");
            None
        };
        let is_root = rustix::process::geteuid().is_root();
        let owner = match who {
            Who::Root if !is_root => return skip("the tests do not run as root"),
            Who::User if is_root && !has_setpriv() => return skip("setpriv is missing"),
            Who::User if is_root => Owner::Ordinary,
            Who::Root | Who::User => Owner::Same,
        };
        let directory = tempfile::Builder::new().prefix("zoo-").tempdir().unwrap();
        let cgroup = match (containment, own_group()) {
            (Containment::Subreaper | Containment::Group, _) => None,
            (Containment::Cgroup, None) => return skip("no cgroup v2 can be created here"),
            (Containment::Cgroup, Some(parent)) => Some(delegate(&parent, &directory, owner)),
        };
        let programs = copy_programs(directory.path());
        for each in ["state", "config", "work"] {
            let path = directory.path().join(each);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            owner.give(&path);
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let manager = serve(directory.path(), &programs, containment, owner, cgroup.as_deref());
        let keeper = Keeper::new(directory.path().join("state/longhaul.sock"));
        let cell = Self {
            containment,
            keeper,
            directory,
            programs,
            manager,
            owner,
            cgroup,
            shown: Mutex::default(),
        };
        cell.until_managed();
        Some(cell)
    }

    /// Kills the manager.
    pub(crate) fn end_manager(&mut self) {
        self.manager.kill().unwrap();
        self.manager.wait().unwrap();
    }

    /// Starts another manager after the previous manager was killed.
    pub(crate) fn begin_again(&mut self) {
        let (directory, programs) = (self.directory.path(), &self.programs);
        self.manager = serve(directory, programs, self.containment, self.owner, self.cgroup.as_deref());
        self.until_managed();
    }

    fn until_managed(&self) {
        until("the manager answers", || {
            assert!(is_alive(self.manager.id()), "no manager: {}", self.manager_log());
            self.keeper.ask("GET", "/v1/health", &Value::Null).filter(|(status, _)| *status == 200)
        });
    }

    /// Launches a test program. The fields of `more` are added to the command in the launch request.
    pub(crate) fn show(&self, words: &[&str], more: &Value) -> Creature {
        let census = self.census(words);
        let mut command = json!({
            "program": self.program("zoo"),
            "args": words,
            "directory": self.work(),
            "environment": {"declared": {VARIABLE: census.path(), "PATH": "/usr/bin:/bin"}},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            command[key] = value.clone();
        }
        let launched = self.keeper.must("POST", "/v1/processes", &json!({"command": command}));
        let id = launched["process"]["id"].as_str().unwrap().to_owned();
        Creature::new(id, census, self.keeper.clone(), self.containment)
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Creates a directory that belongs to the user of this manager.
    pub(crate) fn own_directory(&self, name: &str) -> PathBuf {
        let path = self.work().join(name);
        fs::create_dir(&path).unwrap();
        self.owner.give(&path);
        path
    }

    pub(crate) fn is_of_root(&self) -> bool {
        self.owner == Owner::Same && rustix::process::geteuid().is_root()
    }

    pub(crate) fn manager_log(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("manager.out")).unwrap_or_default();
        format!("the manager printed:\n{text}")
    }

    /// Launches a harmless process, to check later that the other processes did not affect it.
    pub(crate) fn bystander(&self) -> Bystander {
        let creature = self.show(&["obeys"], &Value::Null);
        creature.until_ready();
        let pid = creature.pid();
        Bystander { creature, pid, descriptors: self.descriptors() }
    }

    /// Checks that the test programs did not harm the manager or other processes.
    pub(crate) fn is_unharmed(&self, bystander: &Bystander) {
        let view = bystander.creature.view();
        assert_eq!(
            (&view["status"], view["pid"].as_u64()),
            (&json!("running"), Some(bystander.pid.into())),
            "{view}"
        );
        assert!(is_alive(self.manager.id()), "the manager has exited");
        let manager = self.keeper.must("GET", "/v1/version", &Value::Null)["pid"].clone();
        assert_eq!(manager, json!(self.manager.id()), "another manager");
        let held = self.descriptors();
        until(&format!("the manager closed its descriptors: {held}, once {}", bystander.descriptors), || {
            (self.descriptors() <= bystander.descriptors + 4).then_some(())
        });
        let peak = self.peak_memory();
        assert!(peak < MAX_MEMORY, "the manager grew to {peak} kB");
        until("at most one shim is left", || (self.supervisors() <= 1).then_some(()));
        if let Some(cgroup) = &self.cgroup {
            let left = groups_below(cgroup);
            until(&format!("one cgroup is left of {left:?}"), || {
                (groups_below(cgroup).len() <= 2).then_some(())
            });
        }
    }

    fn census(&self, words: &[&str]) -> Census {
        let mut shown = self.shown.lock().unwrap();
        let census = Census::new(self.work().join(format!("{}-{}", words[0], shown.len())));
        shown.push(census.clone());
        census
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.manager.id())).map_or(0, Iterator::count)
    }

    fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.manager.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Returns the number of live shims of this manager.
    fn supervisors(&self) -> usize {
        let state = self.state().display().to_string();
        let pids =
            fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let serves = |pid: &String| {
            let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).into_owned();
            words.contains("\0attempt\0") && words.contains(&state)
        };
        pids.filter(serves).count()
    }
}

impl Drop for Cell {
    /// Kills all live processes of the test programs by their pids, and ends the manager.
    fn drop(&mut self) {
        for census in self.shown.get_mut().unwrap().iter() {
            for pid in census.alive() {
                kill("-KILL", pid);
            }
        }
        kill("-TERM", self.manager.id());
        let begin = std::time::Instant::now();
        while begin.elapsed().as_secs() < 5 && self.manager.try_wait().is_ok_and(|ended| ended.is_none()) {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let _it_may_have_left = self.manager.kill();
        let _nothing_to_do_about_it = self.manager.wait();
        if let Some(cgroup) = &self.cgroup {
            remove_groups(cgroup);
        }
    }
}

fn serve(
    directory: &Path,
    programs: &Path,
    containment: Containment,
    owner: Owner,
    cgroup: Option<&Path>,
) -> Child {
    // Move the shell to the delegated cgroup first: a process can use such a cgroup only if it is inside the cgroup
    // from the start.
    let mut line =
        cgroup.map_or_else(String::new, |group| format!("echo $$ > {}/cgroup.procs; ", group.display()));
    line.push_str("exec ");
    if owner == Owner::Ordinary {
        line.push_str(&format!("setpriv --reuid {USER} --regid {USER} --clear-groups "));
    }
    line.push_str(&format!("{} serve", programs.join("longhaul").display()));
    let log = fs::File::create(directory.join("manager.out")).unwrap();
    Command::new("sh")
        .args(["-c", &line])
        .current_dir(directory.join("work"))
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", directory.join("work"))
        .env("XDG_CONFIG_HOME", directory.join("config"))
        .env("LONGHAUL_STATE_DIR", directory.join("state"))
        .env("LONGHAUL_SHIM_CONTAINMENT", containment.word())
        .env("LONGHAUL_LIMITS_MAX_PARALLEL", "0")
        .env("LONGHAUL_LIMITS_MAX_PER_LEVEL", "0")
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn has_setpriv() -> bool {
    Command::new("setpriv")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Copies the programs to a directory that every user can read.
fn copy_programs(directory: &Path) -> PathBuf {
    let programs = directory.join("bin");
    fs::create_dir(&programs).unwrap();
    for name in ["longhaul", "longhauld", "longhaul-shim", "zoo"] {
        let (from, to) = (program(name), programs.join(name));
        // Make the programs available outside the build directory, because another user may not be able to enter that
        // directory.
        if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).unwrap();
        }
    }
    let unreadable = programs.join("zoo-unreadable");
    fs::copy(program("zoo"), &unreadable).unwrap();
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o711)).unwrap();
    programs
}

/// Returns the cgroup v2 of this program, or `None` if no cgroups can be created in it.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let root = PathBuf::from(lines.find(|fields| fields.get(2) == Some(&UNIFIED))?.get(1)?);
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?.to_owned();
    // If the tests themselves run as a managed process, use a cgroup above that of the process. The manager removes the
    // cgroup of a process when the process ends, but the tests must survive that.
    let own: PathBuf =
        Path::new(&own).iter().take_while(|part| !part.to_string_lossy().starts_with("longhaul-")).collect();
    let group = root.join(own);
    let probe = group.join(format!("zoo-probe-{}", std::process::id()));
    fs::create_dir(&probe).ok()?;
    fs::remove_dir(&probe).unwrap();
    group.join("cgroup.procs").exists().then_some(group)
}

/// Creates a cgroup and gives a user control over it.
fn delegate(parent: &Path, directory: &tempfile::TempDir, owner: Owner) -> PathBuf {
    let group = parent.join(directory.path().file_name().unwrap());
    fs::create_dir(&group).unwrap();
    for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
        owner.give(&group.join(file));
    }
    group
}

fn groups_below(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    let below: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    below.iter().flat_map(|path| groups_below(path)).chain(below.clone()).collect()
}

fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove_groups(&entry.path());
    }
    let begin = std::time::Instant::now();
    // Retry, because killed processes leave the cgroup only after a moment.
    while fs::remove_dir(group).is_err() && group.exists() && begin.elapsed().as_secs() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
