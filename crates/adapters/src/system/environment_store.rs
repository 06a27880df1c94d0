//! Environment store: captured environments, each stored once under the hash of its content.

use crate::durable;
use crate::system::plain;
use async_trait::async_trait;
use longhaul_domain::EnvironmentHash;
use longhaul_failpoint::failpoint;
use longhaul_ports::{EnvironmentStore, EnvironmentStoreError};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, VecDeque};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Name of the directory of captured environments, inside a state directory.
const DIRECTORY: &str = "environments";
/// Name of the directory of captured environments in state directories of earlier programs.
const FORMER_DIRECTORY: &str = "vault";
/// Maximum size of an environment in bytes.
const MAX_ENVIRONMENT_BYTES: usize = 1 << 20;

/// Maximum number of environments that are cached in memory.
const MAX_CACHED: usize = 8;

const HASH_LETTERS: usize = 64;

/// Environment store in a private directory, with one file for each environment.
///
/// The name of a file is the SHA-256 of its content. The content is the sorted list of variables: each name and each
/// value ends with a zero byte.
#[derive(Clone, Debug)]
pub struct FileEnvironmentStore {
    inner: Arc<FileStoreInner>,
}

struct FileStoreInner {
    directory: PathBuf,
    known: Mutex<BTreeSet<String>>,
    /// Cache of the environments that were read most recently, newest first. Consecutive launches often share an
    /// environment.
    recent: Mutex<VecDeque<CachedEnvironment>>,
    drafts: AtomicU64,
}

struct CachedEnvironment {
    hash: String,
    variables: Vec<(String, String)>,
}

impl fmt::Debug for FileStoreInner {
    /// Formats the store without its cached environments, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStoreInner").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl FileEnvironmentStore {
    /// Opens the environment store of a state directory. Creates its directory if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the directory can be neither opened nor created.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let directory = state_dir.join(DIRECTORY);
        if !directory.exists() && state_dir.join(FORMER_DIRECTORY).is_dir() {
            std::fs::rename(state_dir.join(FORMER_DIRECTORY), &directory)?;
        }
        durable::make_private_directory(&directory)?;
        let inner = FileStoreInner {
            directory,
            known: Mutex::default(),
            recent: Mutex::default(),
            drafts: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the number of stored environments and the sorted names of the damaged files. Creates or changes no file.
    ///
    /// # Errors
    /// Returns an error if the environments cannot be listed or read.
    pub fn look(state_dir: &Path) -> io::Result<(usize, Vec<String>)> {
        let entries = match std::fs::read_dir(state_dir.join(DIRECTORY)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
            Err(error) => return Err(error),
        };
        let (mut kept, mut damaged) = (0_usize, Vec::new());
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !is_hash(&name) {
                continue;
            }
            match read_bounded(&entry.path()) {
                Ok(bytes) if hash_of(&bytes) == name => {}
                // A manager has removed the environment after the directory was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
                Ok(_) | Err(_) => damaged.push(name),
            }
            kept = kept.saturating_add(1);
        }
        damaged.sort_unstable();
        Ok((kept, damaged))
    }

    async fn on_blocking_thread<T: Send + 'static>(
        &self,
        tried: &'static str,
        work: impl FnOnce(&FileStoreInner) -> Result<T, EnvironmentStoreError> + Send + 'static,
    ) -> Result<T, EnvironmentStoreError> {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(failed(tried)(io::Error::other(error))))
    }
}

#[async_trait]
impl EnvironmentStore for FileEnvironmentStore {
    async fn keep(&self, variables: &[(String, String)]) -> Result<EnvironmentHash, EnvironmentStoreError> {
        let bytes = encode(variables).map_err(failed("written"))?;
        let hash = hash_of(&bytes);
        if !self.inner.knows(&hash) {
            let name = hash.clone();
            self.on_blocking_thread("written", move |inner| {
                inner.keep(name, &bytes).map_err(failed("written"))
            })
            .await?;
        }
        Ok(EnvironmentHash(hash))
    }

    async fn open(&self, hash: &EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError> {
        if let Some(variables) = self.inner.remembered(&hash.0) {
            return Ok(variables);
        }
        let asked = hash.clone();
        let variables = self.on_blocking_thread("read", move |inner| inner.open(asked)).await?;
        self.inner.remember(&hash.0, &variables);
        Ok(variables)
    }
}

impl FileStoreInner {
    fn knows(&self, hash: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    fn remembered(&self, hash: &str) -> Option<Vec<(String, String)>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|opened| opened.hash == hash).map(|opened| opened.variables.clone())
    }

    fn remember(&self, hash: &str, variables: &[(String, String)]) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|opened| opened.hash != hash);
        recent.push_front(CachedEnvironment { hash: hash.to_owned(), variables: variables.to_vec() });
        recent.truncate(MAX_CACHED);
    }

    fn keep(&self, hash: String, bytes: &[u8]) -> io::Result<()> {
        let path = self.directory.join(&hash);
        // A file from an earlier run of the manager may be damaged, or may not be synced to the disk yet.
        if read_bounded(&path).ok().as_deref() == Some(bytes) {
            failpoint!("environment.again")?;
            plain::open(&path)?.sync_all()?;
            File::open(&self.directory)?.sync_all()?;
        } else {
            let draft = self.drafts.fetch_add(1, Ordering::Relaxed);
            let temporary = self.directory.join(format!("{}-{draft}.tmp", std::process::id()));
            durable::replace(&path, &temporary, bytes)?;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
        Ok(())
    }

    fn open(&self, hash: EnvironmentHash) -> Result<Vec<(String, String)>, EnvironmentStoreError> {
        // Check the hash, because it comes from a record: a manipulated hash could be the path of a different file.
        if !is_hash(&hash.0) {
            return Err(EnvironmentStoreError::Missing { hash });
        }
        let read = read_bounded(&self.directory.join(&hash.0))
            .and_then(|bytes| if hash_of(&bytes) == hash.0 { decode(&bytes) } else { Err(damaged()) });
        let error = match read {
            Ok(variables) => return Ok(variables),
            Err(error) if may_pass(&error) => return Err(failed("read")(error)),
            Err(error) => error,
        };
        // The file is written again by the next launch with these variables.
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash.0);
        if error.kind() == io::ErrorKind::NotFound {
            return Err(EnvironmentStoreError::Missing { hash });
        }
        Err(EnvironmentStoreError::Unusable { hash, why: error.to_string() })
    }
}

pub(super) fn encode(variables: &[(String, String)]) -> io::Result<Vec<u8>> {
    let mut sorted: Vec<&(String, String)> = variables.iter().collect();
    sorted.sort_unstable();
    let mut bytes = Vec::new();
    for (name, value) in sorted {
        if name.contains('\0') || value.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the environment contains a NUL byte"));
        }
        for part in [name, value] {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        if bytes.len() > MAX_ENVIRONMENT_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the environment is larger than 1 MiB"));
        }
    }
    Ok(bytes)
}

pub(super) fn decode(bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
    let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
    let mut parts = text.split_terminator('\0');
    let mut variables = Vec::new();
    while let Some(name) = parts.next() {
        let value = parts.next().ok_or_else(damaged)?;
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

fn is_hash(name: &str) -> bool {
    name.len() == HASH_LETTERS && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn hash_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(HASH_LETTERS);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    plain::open(path)?.take(MAX_ENVIRONMENT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_ENVIRONMENT_BYTES { Err(damaged()) } else { Ok(bytes) }
}

/// Returns true if the error is a temporary lack of a system resource.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOMEM | Errno::NFILE | Errno::MFILE | Errno::AGAIN | Errno::INTR)
    )
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the content of the file does not match its name")
}

fn failed(tried: &'static str) -> impl FnOnce(io::Error) -> EnvironmentStoreError {
    move |error| EnvironmentStoreError::Failed { tried, source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::plain::tests::{SpecialFile, at_once};
    use std::os::unix::fs::PermissionsExt as _;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn new_store() -> (tempfile::TempDir, FileEnvironmentStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = FileEnvironmentStore::open(dir.path()).unwrap();
        (dir, store)
    }

    #[tokio::test]
    async fn the_same_variables_in_any_order_are_stored_once() {
        let (dir, store) = new_store();
        let (a, b) = (pair("A", "1=\n"), pair("B", "ü"));
        let hash = store.keep(&[b.clone(), a.clone()]).await.unwrap();
        assert_eq!(store.keep(&[a.clone(), b.clone()]).await.unwrap(), hash);
        assert_eq!(EnvironmentStore::open(&store, &hash).await.unwrap(), [a, b]);
        assert_eq!(std::fs::read_dir(dir.path().join(DIRECTORY)).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_is_not_a_regular_file_is_never_read_and_is_replaced_immediately() {
        for stands in SpecialFile::ALL {
            let (dir, store) = new_store();
            let bytes = encode(&[pair("A", "1")]).unwrap();
            let hash = hash_of(&bytes);
            store.inner.keep(hash.clone(), &bytes).unwrap();
            let file = dir.path().join(DIRECTORY).join(&hash);
            stands.put(&file);
            let (inner, name) = (Arc::clone(&store.inner), EnvironmentHash(hash.clone()));
            let error = at_once(move || inner.open(name)).unwrap_err();
            assert!(matches!(error, EnvironmentStoreError::Unusable { .. }), "{stands:?}: {error}");
            let inner = Arc::clone(&store.inner);
            at_once(move || inner.keep(hash, &bytes)).unwrap();
            assert!(std::fs::symlink_metadata(&file).unwrap().is_file(), "{stands:?}");
        }
    }

    #[tokio::test]
    async fn only_the_owner_may_read_the_environment_store() {
        let (dir, store) = new_store();
        let hash = store.keep(&[pair("TOKEN", "hunter2")]).await.unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join(DIRECTORY)), 0o700);
        assert_eq!(mode(&dir.path().join(DIRECTORY).join(hash.0)), 0o600);
    }

    #[tokio::test]
    async fn the_next_manager_finds_the_stored_environments() {
        let (dir, store) = new_store();
        let hash = store.keep(&[]).await.unwrap();
        drop(store);
        let again = FileEnvironmentStore::open(dir.path()).unwrap();
        assert_eq!(EnvironmentStore::open(&again, &hash).await.unwrap(), []);
    }

    #[tokio::test]
    async fn directory_of_an_earlier_program_is_renamed() {
        let (dir, store) = new_store();
        let hash = store.keep(&[pair("A", "1")]).await.unwrap();
        std::fs::rename(dir.path().join(DIRECTORY), dir.path().join(FORMER_DIRECTORY)).unwrap();
        let again = FileEnvironmentStore::open(dir.path()).unwrap();
        assert_eq!(EnvironmentStore::open(&again, &hash).await.unwrap(), [pair("A", "1")]);
        assert!(!dir.path().join(FORMER_DIRECTORY).exists());
    }

    #[tokio::test]
    async fn a_damaged_file_is_reported_and_stored_again() {
        let (dir, store) = new_store();
        let hash = store.keep(&[pair("A", "1")]).await.unwrap();
        std::fs::write(dir.path().join(DIRECTORY).join(&hash.0), "A\x002\0").unwrap();
        let damaged = EnvironmentStore::open(&store, &hash).await.unwrap_err();
        assert!(matches!(damaged, EnvironmentStoreError::Unusable { .. }), "{damaged:?}");
        // The first store has already written this environment. The second store has not.
        for store in [&store, &FileEnvironmentStore::open(dir.path()).unwrap()] {
            assert_eq!(store.keep(&[pair("A", "1")]).await.unwrap(), hash);
            assert!(EnvironmentStore::open(store, &hash).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_hash_that_is_a_path_leads_nowhere() {
        let (dir, store) = new_store();
        std::fs::write(dir.path().join("secret"), "A\x001\0").unwrap();
        for bad in ["../secret", "", &"é".repeat(32)] {
            let opened = EnvironmentStore::open(&store, &EnvironmentHash(bad.to_owned())).await;
            assert!(matches!(opened, Err(EnvironmentStoreError::Missing { .. })));
        }
    }

    #[tokio::test]
    async fn invalid_environments_are_refused() {
        let (_dir, store) = new_store();
        for bad in [pair("A\0B", "x"), pair("A", "\0"), pair("A", &"x".repeat(MAX_ENVIRONMENT_BYTES))] {
            assert!(store.keep(&[bad]).await.is_err());
        }
    }
}
