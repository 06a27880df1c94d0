//! An ext4 file system for one run. It is stored in a file, has a journal, and is visible only to this thread and its
//! child processes.

#![expect(unsafe_code, reason = "neither private mounts nor a lost disk have a safe interface")]

use longhaul_tests::within;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Name of the mount point in the directory of the run.
pub(crate) const NAME: &str = "disk";

const BYTES: u64 = 48 << 20;
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Value of `EXT4_IOC_SHUTDOWN`, which is `_IOR('X', 125, u32)`.
const SHUTDOWN: libc::Ioctl = 0x8004_587d;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Data that is left on the disk after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Only file contents and names that were synced.
    Unforced,
    /// All names, but only the file contents that were synced.
    Bytes,
}

/// A disk image that is mounted. It is unmounted when the value is dropped.
pub(crate) struct Disk {
    image: PathBuf,
    place: PathBuf,
    boot: PathBuf,
    boots: u32,
}

impl Loss {
    const fn flag(self) -> u32 {
        match self {
            Self::Unforced => 2,
            Self::Bytes => 1,
        }
    }
}

impl Disk {
    /// Creates a disk that can contain `files` files, and starts a simulated boot that only this thread sees.
    pub(crate) fn make(ground: &Path, files: u32) -> Self {
        // SAFETY: no part of this program relies on the mounts of other threads.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.unwrap();
        run("mount", &["--make-rprivate", "/"]);
        let disk = Self {
            image: ground.join("image"),
            place: ground.join(NAME),
            boot: ground.join("boot"),
            boots: 0,
        };
        fs::create_dir(&disk.place).unwrap();
        File::create_new(&disk.image).unwrap().set_len(BYTES).unwrap();
        let (image, files) = (disk.image.display().to_string(), files.to_string());
        run("mkfs.ext4", &["-q", "-F", "-b", "4096", "-m", "0", "-N", &files, &image]);
        disk.begin_boot();
        run("mount", &["--bind", &disk.boot.display().to_string(), BOOT]);
        disk.mount();
        disk
    }

    /// Returns the mount point.
    pub(crate) fn path(&self) -> &Path {
        &self.place
    }

    /// Returns the number of free bytes on the disk.
    pub(crate) fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.place).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    /// Simulates a power cut: from now on, no data reaches the disk.
    pub(crate) fn cut(&self, loss: Loss) {
        let root = File::open(&self.place).unwrap();
        let flag = loss.flag();
        // SAFETY: the kernel only reads one number.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw const flag) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Simulates a disk error. The kernel then makes the file system read-only.
    pub(crate) fn protect(&self) {
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let place = format!(" {} ", self.place.display());
        let mount = mounts.lines().find(|line| line.contains(&place)).unwrap();
        let device = mount.split("/dev/").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(device.starts_with("loop"), "{device} is not a disk of a test");
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "requested by a test").unwrap();
    }

    /// Waits until no process uses the disk, and mounts it again with a new simulated boot.
    pub(crate) fn plug_in(&mut self) {
        within(TIMEOUT, "no process uses the disk", || self.unmount().then_some(()));
        self.boots += 1;
        self.begin_boot();
        self.mount();
    }

    fn begin_boot(&self) {
        fs::write(&self.boot, format!("00000000-0000-4000-8000-{:012}\n", self.boots)).unwrap();
    }

    /// Mounts the disk with a long commit interval. The kernel then does not write unsynced data during a run, so that
    /// a power cut reliably loses it.
    fn mount(&self) {
        let [image, place] = [&self.image, &self.place].map(|path| path.display().to_string());
        run("mount", &["-t", "ext4", "-o", "loop,commit=300,noatime,errors=remount-ro", &image, &place]);
    }

    fn unmount(&self) -> bool {
        Command::new("umount").arg(&self.place).output().is_ok_and(|done| done.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // After a failed test, a process may still use the disk. The kernel then unmounts the disk when that process
        // ends.
        if !self.unmount() {
            let _ = Command::new("umount").arg("-l").arg(&self.place).output();
        }
        let _ = Command::new("umount").arg(BOOT).output();
    }
}

fn run(program: &str, args: &[&str]) {
    let done = Command::new(program).args(args).output().unwrap();
    assert!(done.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}
