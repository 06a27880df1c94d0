//! The file of the keys, which nobody but its user may reach.

use super::key::{ClusterKey, ClusterKeys, InvalidKeys};
use longhaul_failpoint::failpoint;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// No file of keys is longer, in bytes.
const MAX_FILE_LEN: u64 = 4_096;

/// Tells the drafts of this program from each other.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// The file of the keys of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
}

/// Why a file of keys is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// There is none.
    #[error("there is no cluster key {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// Something else has its name.
    #[error("the cluster key {} is not a regular file", path.display())]
    NoFile {
        /// Its path.
        path: PathBuf,
    },
    /// It belongs to another user.
    #[error("the cluster key {} belongs to user {owner}", path.display())]
    ForeignOwner {
        /// Its path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Others may read or write it.
    #[error("other users can access the cluster key {}: its mode is {mode:04o}", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds something else, or too much.
    #[error("the cluster key {} is not valid: {why}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// Why, without anything of a key.
        why: String,
    },
    /// A key takes the place of another one already.
    #[error("the cluster key {} already has two keys", path.display())]
    Rotating {
        /// Its path.
        path: PathBuf,
    },
    /// There is only one key.
    #[error("the cluster key {} has only one key", path.display())]
    Alone {
        /// Its path.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("the cluster key {} cannot be {tried}", path.display())]
    Failed {
        /// Its path.
        path: PathBuf,
        /// What was tried.
        tried: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What tells one state of the file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyFileStamp([u64; 4]);

impl KeyFile {
    /// The file at this path, which need not be there.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether anything has its name.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.stamp().is_some()
    }

    /// The keys in it.
    ///
    /// # Errors
    /// [`KeyFileError`] says why it is not used.
    pub fn keys(&self) -> Result<ClusterKeys, KeyFileError> {
        let Some(text) = self.read()? else {
            return Err(KeyFileError::Missing { path: self.path.clone() });
        };
        ClusterKeys::read(&text)
            .map_err(|InvalidKeys { why }| KeyFileError::Unreadable { path: self.path.clone(), why })
    }

    /// The keys in it; if there is no such file it is made, with a new key and mode 0600.
    ///
    /// # Errors
    /// [`KeyFileError`] says why it is not used.
    pub fn keys_or_new(&self) -> Result<ClusterKeys, KeyFileError> {
        match self.keys() {
            Err(KeyFileError::Missing { .. }) => {
                self.write(&ClusterKeys::one(self.new_key()?), false)?;
                // Another program may have been first.
                self.keys()
            }
            other => other,
        }
    }

    /// Puts a new key before the one that is there, which is trusted on.
    ///
    /// # Errors
    /// [`KeyFileError`]; [`Rotating`](KeyFileError::Rotating) if there are two.
    pub fn rotate(&self) -> Result<ClusterKeys, KeyFileError> {
        let keys = self.keys()?;
        if keys.trusted().is_some() {
            return Err(KeyFileError::Rotating { path: self.path.clone() });
        }
        let keys = keys.behind(self.new_key()?);
        self.write(&keys, true)?;
        Ok(keys)
    }

    /// Lets go of the second key, which is not trusted any more.
    ///
    /// # Errors
    /// [`KeyFileError`]; [`Alone`](KeyFileError::Alone) if there is one only.
    pub fn retire(&self) -> Result<ClusterKeys, KeyFileError> {
        let keys = self.keys()?;
        if keys.trusted().is_none() {
            return Err(KeyFileError::Alone { path: self.path.clone() });
        }
        let keys = keys.alone();
        self.write(&keys, true)?;
        Ok(keys)
    }

    /// What the file looks like from outside; none if there is none.
    pub(super) fn stamp(&self) -> Option<KeyFileStamp> {
        let stat = rustix::fs::statat(rustix::fs::CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let seconds = stat.st_ctime.cast_unsigned();
        Some(KeyFileStamp([stat.st_ino, stat.st_size.cast_unsigned(), seconds, stat.st_ctime_nsec]))
    }

    fn new_key(&self) -> Result<ClusterKey, KeyFileError> {
        ClusterKey::made().map_err(|source| self.failed("made", source))
    }

    /// None if there is none.
    fn read(&self) -> Result<Option<String>, KeyFileError> {
        let failed = |source: io::Error| self.failed("read", source);
        let path = || self.path.clone();
        // A pipe in its place must not hold anyone up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(KeyFileError::NoFile { path: path() }),
            Err(errno) => return Err(failed(errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(KeyFileError::NoFile { path: path() });
        }
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(KeyFileError::ForeignOwner { path: path(), owner: stat.st_uid });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & !0o600 != 0 {
            return Err(KeyFileError::Open { path: path(), mode });
        }
        let mut bytes = Vec::new();
        file.take(MAX_FILE_LEN + 1).read_to_end(&mut bytes).map_err(failed)?;
        let why = "the file is too long, or not text".to_owned();
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= MAX_FILE_LEN);
        text.map(Some).ok_or_else(|| KeyFileError::Unreadable { path: path(), why })
    }

    /// Writes it so that it is there as a whole or not at all. Without `replace` one that is there stays.
    fn write(&self, keys: &ClusterKeys, replace: bool) -> Result<(), KeyFileError> {
        self.written(keys, replace).map_err(|source| self.failed("written", source))
    }

    fn written(&self, keys: &ClusterKeys, replace: bool) -> io::Result<()> {
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or_else(|| Path::new("."));
        let name = self.path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let directory = File::open(directory)?;
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let draft = format!(".{}.{}.{number}", name.to_string_lossy(), std::process::id());
        remove(&directory, &draft)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&directory, &draft, flags, Mode::RUSR | Mode::WUSR)?);
        failpoint!("seal.key.write")?;
        file.write_all(keys.text().as_bytes())?;
        failpoint!("seal.key.sync")?;
        file.sync_all()?;
        failpoint!("seal.key.rename")?;
        if replace {
            rustix::fs::renameat(&directory, &draft, &directory, name)?;
        } else {
            let linked = rustix::fs::linkat(&directory, &draft, &directory, name, AtFlags::empty());
            remove(&directory, &draft)?;
            match linked {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        failpoint!("seal.key.directory")?;
        directory.sync_all()
    }

    fn failed(&self, tried: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Failed { path: self.path.clone(), tried, source }
    }
}

impl KeyFileError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Missing { path } => {
                format!("copy it from a node of this cluster to {}, with mode 0600", path.display())
            }
            Self::Open { path, .. } => format!(
                "chmod 600 {}; if others may have read it, change the key: `longhaul store key --rotate`",
                path.display()
            ),
            Self::NoFile { path } | Self::ForeignOwner { path, .. } | Self::Unreadable { path, .. } => {
                format!("replace {} by a copy from a node of this cluster, with mode 0600", path.display())
            }
            Self::Rotating { .. } => {
                "first remove the older key, when no waiting process was signed with it: `longhaul store key \
                 --retire`"
                    .to_owned()
            }
            Self::Alone { .. } => "there is no older key to remove; `--rotate` adds a new key".to_owned(),
            Self::Failed { .. } => "make the file readable and writable for your user".to_owned(),
        }
    }
}

fn remove(directory: &File, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
