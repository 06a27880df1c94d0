//! Seals of launches under a key that all nodes of a cluster share.
//!
//! A seal is a text: `1.KEY.UNTIL.CODE.USER`: its version, the id of the key, until when the launch may be started (in
//! milliseconds), an HMAC with SHA-256 over all of it and over what is launched, and the name of the user who accepted
//! it. Half of the code is kept (128 bits, which RFC 2104 allows): it stands in every record.
//!
//! What is covered is what was read and will be executed, written anew in one way, and not the text in the store: nobody
//! has to rely on two readers to agree.

mod file;
mod key;
mod signature;
mod statement;
mod user;

pub use file::{KeyFile, KeyFileError};
pub use key::{ClusterKeys, KeyId};

use file::KeyFileStamp;
use key::ClusterKey;
use longhaul_domain::{LaunchSignature, MAX_NEVER_RAN, Process, Timestamp};
use longhaul_ports::{LaunchSigner, LaunchTarget, SignatureError};
use signature::SignatureText;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Vouches for launches with the first of the cluster's keys, and for what is sealed with any of them.
#[derive(Debug)]
pub struct ClusterSigner {
    file: KeyFile,
    /// Signs for as long as this notary is there, so that a new key is not used before all nodes may have it.
    signing: ClusterKey,
    known: Mutex<CachedKeys>,
    user: String,
    valid_for: Duration,
}

/// What was last read of the file.
#[derive(Debug)]
struct CachedKeys {
    stamp: Option<KeyFileStamp>,
    keys: ClusterKeys,
}

impl ClusterSigner {
    /// Vouches with the keys of a file, as they are now, for what runs as the user of this program. A launch may be
    /// started for so long after it was accepted, or after the moment before which it was not to be started.
    ///
    /// # Errors
    /// [`KeyFileError`] if the file is missing or is not fit for use.
    pub fn open(file: KeyFile, valid_for: Duration) -> Result<Self, KeyFileError> {
        let stamp = file.stamp();
        let keys = file.keys()?;
        let signing = keys.first().clone();
        Ok(Self {
            file,
            signing,
            known: Mutex::new(CachedKeys { stamp, keys }),
            user: user::name(),
            valid_for,
        })
    }

    /// The same where commands run as somebody else than this program.
    #[must_use]
    pub fn as_user(self, name: &str) -> Self {
        Self { user: name.to_owned(), ..self }
    }

    /// Vouches for a process as if it had been accepted at that moment.
    #[must_use]
    pub fn seal_from(&self, process: &Process, moment: Timestamp) -> LaunchSignature {
        let begin = process.spec.not_before.map_or(moment, |not_before| not_before.max(moment));
        let until = begin.plus(self.valid_for);
        let code = self.signing.code(&statement::of(process, self.signing.id(), &self.user, until));
        SignatureText { key: self.signing.id().clone(), until, code, user: self.user.clone() }
            .launch_signature()
    }

    /// The id of the key that a seal was made with; none if it cannot be read.
    #[must_use]
    pub fn key_of(launch_signature: &LaunchSignature) -> Option<KeyId> {
        SignatureText::read(launch_signature).map(|signature| signature.key)
    }

    fn read(&self, process: &Process) -> Result<SignatureText, SignatureError> {
        let launch_signature = process.signature.as_ref().ok_or(SignatureError::Missing)?;
        let signature = SignatureText::read(launch_signature).ok_or(SignatureError::Unreadable)?;
        let key = self
            .key(&signature.key)
            .ok_or_else(|| SignatureError::UnknownKey { key: signature.key.to_string() })?;
        let statement = statement::of(process, &signature.key, &signature.user, signature.until);
        if key.vouches(&statement, &signature.code) { Ok(signature) } else { Err(SignatureError::Altered) }
    }

    /// The key of an id. A file that changed is read again: another node may seal with a new key already.
    fn key(&self, id: &KeyId) -> Option<ClusterKey> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.keys.find(id) {
            return Some(key.clone());
        }
        let stamp = self.file.stamp();
        if stamp == known.stamp {
            return None;
        }
        known.stamp = stamp;
        match self.file.keys() {
            Ok(keys) => known.keys = keys,
            Err(error) => {
                tracing::warn!(%error, "the file of the cluster key has changed and cannot be read")
            }
        }
        known.keys.find(id).cloned()
    }
}

impl LaunchSigner for ClusterSigner {
    fn sign(&self, process: &Process) -> Option<LaunchSignature> {
        Some(self.seal_from(process, process.queued_at))
    }

    fn verify(&self, process: &Process) -> Result<(), SignatureError> {
        self.read(process).map(drop)
    }

    fn admit(&self, process: &Process, here: &LaunchTarget<'_>) -> Result<(), SignatureError> {
        let signature = self.read(process)?;
        if signature.user != self.user {
            return Err(SignatureError::OtherUser { sealed: signature.user, here: self.user.clone() });
        }
        if !here.offer.fits(here.node, &process.spec.placement) {
            return Err(SignatureError::WrongNode { here: here.node.clone() });
        }
        if here.now > signature.until {
            return Err(SignatureError::Expired { until: signature.until });
        }
        let most = process.spec.retry.retries.saturating_add(1).saturating_mul(MAX_NEVER_RAN);
        if process.attempt.0 > most {
            return Err(SignatureError::TooOften { attempt: process.attempt, most });
        }
        Ok(())
    }
}
