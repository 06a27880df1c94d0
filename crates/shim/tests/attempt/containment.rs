//! Tests of the containment mechanisms, and of processes that are not part of the tree.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use longhaul_shim::{
    AllowedContainment, Containment, ShimHello, ShimMessage, ShimRequest, ShimStopRequest, StopReason,
};

use crate::harness::{Attempt, Directory, is_alive, kill, number_in, program, script, until};

/// Returns each containment mechanism that works on this machine. The cgroup mechanism comes with the path for a new
/// cgroup.
pub(crate) fn every_containment() -> Vec<(Containment, Option<PathBuf>)> {
    let mut all = vec![(Containment::Subreaper, None), (Containment::Group, None)];
    match cgroup_root() {
        Some(root) => {
            let number = Directory::new().path().file_name().unwrap().to_owned();
            all.push((Containment::Cgroup, Some(root.join(number))));
        }
        None => eprintln!("SKIPPED for cgroup: no cgroup v2 hierarchy can be written here"),
    }
    all
}

fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let root = PathBuf::from(lines.find(|fields| fields.get(2) == Some(&"cgroup2"))?.get(1)?);
    let probe = root.join(format!("shim-probe-{}", std::process::id()));
    fs::create_dir(&probe).ok()?;
    fs::remove_dir(&probe).unwrap();
    Some(root)
}

#[test]
fn unusable_cgroup_falls_back_to_the_subreaper() {
    let mut launch = script("true");
    launch.containment = AllowedContainment::Auto;
    launch.cgroup = Some("/tmp/no/cgroup/here".into());
    let mut attempt = Attempt::launch(&launch);
    let (identity, _) = attempt.peer.started();
    assert_eq!((identity.mechanism, identity.cgroup), (Containment::Subreaper, None));
    attempt.peer.settled();
    attempt.finish();
}

#[test]
fn ordinary_directory_is_no_cgroup() {
    let directory = Directory::new();
    let mut launch = script("true");
    launch.containment = AllowedContainment::Only(Containment::Cgroup);
    launch.cgroup = Some(directory.path().join("cgroup"));
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Refused { .. }).then_some(()));
    assert_eq!(attempt.files().identity().unwrap(), None);
    attempt.shim.wait().unwrap();
}

#[test]
fn cgroup_with_a_process_in_it_is_not_used() {
    let Some(root) = cgroup_root() else {
        eprintln!("SKIPPED: no cgroup v2 hierarchy can be written here");
        return;
    };
    let path = root.join(format!("shim-taken-{}", std::process::id()));
    fs::create_dir(&path).unwrap();
    let mut other = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
    fs::write(path.join("cgroup.procs"), other.id().to_string()).unwrap();
    let mut launch = script("true");
    launch.containment = AllowedContainment::Auto;
    launch.cgroup = Some(path.clone());
    let mut attempt = Attempt::launch(&launch);
    let (identity, _) = attempt.peer.started();
    assert_eq!(identity.mechanism, Containment::Subreaper);
    attempt.peer.settled();
    attempt.finish();
    assert!(is_alive(other.id()));
    other.kill().unwrap();
    other.wait().unwrap();
    until("the cgroup is empty", || fs::remove_dir(&path).ok());
}

#[test]
fn cgroup_of_a_child_that_cannot_be_identified_is_removed() {
    let Some(root) = cgroup_root() else {
        eprintln!("SKIPPED: no cgroup v2 hierarchy can be written here");
        return;
    };
    let aside = Directory::new();
    let wrapper = aside.path().join("shim");
    let text = format!(
        "#!/bin/sh\nLONGHAUL_FAILPOINTS=shim.identify=eio LONGHAUL_FAILPOINTS_SEEN={}/seen exec {} \"$@\"\n",
        aside.path().display(),
        program().display()
    );
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o700)).unwrap();
    let mut launch = script("true");
    let path = root.join(format!("shim-unidentified-{}", std::process::id()));
    launch.containment = AllowedContainment::Only(Containment::Cgroup);
    launch.cgroup = Some(path.clone());
    let mut attempt = Attempt::launch_by(&wrapper, &launch);
    attempt.peer.hear_until(|notice| matches!(notice, ShimMessage::Refused { .. }).then_some(()));
    attempt.shim.wait().unwrap();
    assert!(fs::read_to_string(aside.path().join("seen")).unwrap().contains("shim.identify"));
    assert!(!path.exists(), "the empty cgroup is left over");
    assert_eq!(attempt.files().identity().unwrap(), None);
}

#[test]
fn shim_started_by_the_work_is_no_part_of_it() {
    for (containment, cgroup) in every_containment() {
        let inner = Directory::new();
        let order = inner.path().join("order");
        fs::write(&order, ShimRequest::Launch(Box::new(script("sleep 60"))).encode()).unwrap();
        let text = format!(
            "exec python3 -c 'import socket,subprocess,time\n\
             a,b=socket.socketpair()\n\
             p=subprocess.Popen([\"{}\",\"attempt\",\"{}\"],stdin=b)\n\
             a.sendall(open(\"{}\",\"rb\").read())\n\
             while True: time.sleep(1)'",
            program().display(),
            inner.path().display(),
            order.display()
        );
        let mut launch = script(&text);
        launch.containment = AllowedContainment::Only(containment);
        launch.cgroup.clone_from(&cgroup);
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.started();
        let files = longhaul_shim::AttemptDirectory::open(inner.path()).unwrap();
        let identity = until("the inner attempt runs", || files.identity().unwrap());
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest {
            force: true,
            ..ShimStopRequest::new(StopReason::User)
        }));
        let record = attempt.peer.settled();
        assert!(is_alive(identity.shim_pid) && is_alive(identity.pid), "{containment}: {record:?}");
        kill(identity.pid);
        until("the inner attempt is recorded", || files.exit_record().unwrap());
        attempt.finish();
        if let Some(path) = cgroup {
            until("the cgroup can be removed", || {
                (fs::remove_dir(&path).is_ok() || !path.exists()).then_some(())
            });
        }
    }
}

#[test]
fn manager_started_by_the_work_is_no_part_of_it() {
    for (containment, cgroup) in every_containment() {
        let directory = Directory::new();
        let pid_file = directory.path().join("manager");
        let text = format!(
            "setsid python3 -c 'import socket,sys,time,os\n\
             s=socket.socket(socket.AF_UNIX)\n\
             open(\"{0}\",\"w\").write(str(os.getpid())+\"\\n\")\n\
             p=\"{1}/path\"\n\
             while not os.path.exists(p): time.sleep(0.01)\n\
             s.connect(open(p).read())\n\
             s.sendall(bytes([7,0,0,0, 1, 3, 1,0,0,0, 1]))\n\
             print(\"hello\", flush=True)\n\
             os.system(\"exec sleep 60\")' & while :; do sleep 1; done",
            pid_file.display(),
            directory.path().display()
        );
        let mut launch = script(&text);
        launch.containment = AllowedContainment::Only(containment);
        launch.cgroup.clone_from(&cgroup);
        let mut attempt = Attempt::launch(&launch);
        attempt.peer.started();
        let manager = number_in(&pid_file);
        let path = directory.path().join("path.tmp");
        let socket = attempt.path().join("ctl");
        until("the socket is there", || socket.exists().then_some(()));
        fs::write(&path, socket.to_str().unwrap()).unwrap();
        fs::rename(&path, directory.path().join("path")).unwrap();
        attempt.await_output("hello");
        let child = until("the manager has a child", || children(manager).first().copied());
        // The shim may handle the messages of two connections in any order. Wait for one more answer, to be sure that
        // the shim has handled the hello of the manager.
        let mut last = attempt.connect(ShimHello::default());
        last.status();
        attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest {
            force: true,
            ..ShimStopRequest::new(StopReason::User)
        }));
        let record = attempt.peer.settled();
        assert!(is_alive(manager) && is_alive(child), "{containment}: {record:?}");
        kill(child);
        until("the manager ends", || (!is_alive(manager)).then_some(()));
        attempt.finish();
        if let Some(path) = cgroup {
            until("the cgroup can be removed", || {
                (fs::remove_dir(&path).is_ok() || !path.exists()).then_some(())
            });
        }
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_ascii_whitespace().map(|word| word.parse().unwrap()).collect()
}
