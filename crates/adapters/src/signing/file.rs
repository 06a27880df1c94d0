//! The key file: a private file that contains the cluster keys.

use super::key::{ClusterKey, ClusterKeys, InvalidKeys};
use longhaul_failpoint::failpoint;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::fs::{DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Maximum size of a key file in bytes.
const MAX_FILE_LEN: u64 = 4_096;

/// Counter that makes the names of draft files unique within this program.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Path of the file with the cluster keys, and the operations on the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    path: PathBuf,
}

/// Reason why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The key file does not exist.
    #[error("the cluster key file {} does not exist", path.display())]
    Missing {
        /// Expected path of the key file.
        path: PathBuf,
    },
    /// The path is not a regular file.
    #[error("the cluster key file {} is not a regular file", path.display())]
    NoFile {
        /// Path of the key file.
        path: PathBuf,
    },
    /// The key file belongs to a different user.
    #[error("the cluster key file {} belongs to user {owner}", path.display())]
    ForeignOwner {
        /// Path of the key file.
        path: PathBuf,
        /// User id of the owner of the file.
        owner: u32,
    },
    /// The mode of the key file permits more than reading and writing by its owner.
    #[error("other users can access the cluster key file {}: its mode is {mode:04o}", path.display())]
    Open {
        /// Path of the key file.
        path: PathBuf,
        /// Permission bits of the key file.
        mode: u32,
    },
    /// The key file has invalid content or is too long.
    #[error("the cluster key file {} is not valid: {why}", path.display())]
    Unreadable {
        /// Path of the key file.
        path: PathBuf,
        /// Description of the error. Contains no part of a key.
        why: String,
    },
    /// A rotation is already in progress: the file has two keys.
    #[error("the cluster key file {} already contains two keys", path.display())]
    Rotating {
        /// Path of the key file.
        path: PathBuf,
    },
    /// The file contains only one key, so there is no old key to remove.
    #[error("the cluster key file {} contains only one key", path.display())]
    Alone {
        /// Path of the key file.
        path: PathBuf,
    },
    /// The key file cannot be read or written.
    #[error("the cluster key file {} cannot be {tried}", path.display())]
    Failed {
        /// Path of the key file.
        path: PathBuf,
        /// Operation that failed, as a past participle such as "read".
        tried: &'static str,
        /// Error of the operating system.
        #[source]
        source: io::Error,
    },
}

/// Fingerprint of the file's metadata. It changes when the file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyFileStamp([u64; 4]);

impl KeyFile {
    /// Creates a handle for the key file at `path`. The file does not have to exist.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns the path of the key file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true if the path exists, even if it is not a regular file.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.stamp().is_some()
    }

    /// Reads the keys from the file.
    ///
    /// # Errors
    /// Returns a [`KeyFileError`] if the file is missing or cannot be used.
    pub fn keys(&self) -> Result<ClusterKeys, KeyFileError> {
        let Some(text) = self.read()? else {
            return Err(KeyFileError::Missing { path: self.path.clone() });
        };
        ClusterKeys::read(&text)
            .map_err(|InvalidKeys { why }| KeyFileError::Unreadable { path: self.path.clone(), why })
    }

    /// Reads the keys from the file. Creates the file with a new key and mode 0600 if it does not exist.
    ///
    /// # Errors
    /// Returns a [`KeyFileError`] if the file cannot be used or created.
    pub fn keys_or_new(&self) -> Result<ClusterKeys, KeyFileError> {
        match self.keys() {
            Err(KeyFileError::Missing { .. }) => {
                self.write(&ClusterKeys::one(self.new_key()?), false)?;
                // Another program may have created the file first, so read the key from the file.
                self.keys()
            }
            other => other,
        }
    }

    /// Starts a rotation: adds a new key. From now on the new key signs, and the present key is still trusted.
    ///
    /// # Errors
    /// Returns [`KeyFileError::Rotating`] if the file already has two keys, or another [`KeyFileError`] if the file
    /// cannot be read or written.
    pub fn rotate(&self) -> Result<ClusterKeys, KeyFileError> {
        let keys = self.keys()?;
        if keys.trusted().is_some() {
            return Err(KeyFileError::Rotating { path: self.path.clone() });
        }
        let keys = keys.with_signing_key(self.new_key()?);
        self.write(&keys, true)?;
        Ok(keys)
    }

    /// Ends a rotation: removes the old key. From now on the old key is not trusted.
    ///
    /// # Errors
    /// Returns [`KeyFileError::Alone`] if the file has only one key, or another [`KeyFileError`] if the file cannot be
    /// read or written.
    pub fn retire(&self) -> Result<ClusterKeys, KeyFileError> {
        let keys = self.keys()?;
        if keys.trusted().is_none() {
            return Err(KeyFileError::Alone { path: self.path.clone() });
        }
        let keys = keys.without_second_key();
        self.write(&keys, true)?;
        Ok(keys)
    }

    /// Returns the fingerprint of the file's metadata. Returns `None` if the metadata cannot be read, for example
    /// because the file does not exist.
    pub(super) fn stamp(&self) -> Option<KeyFileStamp> {
        let stat = rustix::fs::statat(rustix::fs::CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let seconds = stat.st_ctime.cast_unsigned();
        Some(KeyFileStamp([stat.st_ino, stat.st_size.cast_unsigned(), seconds, stat.st_ctime_nsec]))
    }

    fn new_key(&self) -> Result<ClusterKey, KeyFileError> {
        ClusterKey::random().map_err(|source| self.failed("made", source))
    }

    /// Reads the text of the file. Returns `None` if the file does not exist.
    fn read(&self) -> Result<Option<String>, KeyFileError> {
        let failed = |source: io::Error| self.failed("read", source);
        let path = || self.path.clone();
        // With `NONBLOCK`, opening a named pipe does not block.
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
        let why = "the file is too long, or is not text".to_owned();
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() as u64 <= MAX_FILE_LEN);
        text.map(Some).ok_or_else(|| KeyFileError::Unreadable { path: path(), why })
    }

    /// Writes the file atomically. If `replace` is false, an existing file is not changed.
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
    /// Returns advice for the operator on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Missing { path } => {
                format!(
                    "copy the key file from another node of this cluster to {}, with mode 0600",
                    path.display()
                )
            }
            Self::Open { path, .. } => format!(
                "chmod 600 {}; if other users may have read the file, create a new key: `longhaul store \
                key --rotate`",
                path.display()
            ),
            Self::NoFile { path } | Self::ForeignOwner { path, .. } | Self::Unreadable { path, .. } => {
                format!("replace {} by a copy from a node of this cluster, with mode 0600", path.display())
            }
            Self::Rotating { .. } => {
                "remove the older key first, as soon as no waiting process was signed with it: `longhaul \
                store key --retire`"
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
