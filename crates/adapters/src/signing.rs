//! Signatures of launches under a key that all nodes of a cluster share.
//!
//! The text form of a signature is `1.KEY.UNTIL.CODE.USER`: the version, the id of the key, the time until which the
//! launch may be started (in milliseconds), the HMAC-SHA-256 over these fields and the launch, and the name of the user
//! who accepted the launch. The code is truncated to 128 bits, which RFC 2104 allows, because it is part of every
//! record.
//!
//! The HMAC covers a canonical encoding of the decoded launch, not the text in the store. The signature is therefore
//! safe even if two decoders interpret the same text differently.

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

/// Signs launches with the first cluster key, and verifies signatures that were made with any of the cluster keys.
#[derive(Debug)]
pub struct ClusterSigner {
    file: KeyFile,
    /// Key that signs. It stays the same for the lifetime of this signer, so that a new key is used only after all
    /// nodes have received it.
    signing: ClusterKey,
    known: Mutex<CachedKeys>,
    user: String,
    valid_for: Duration,
}

/// The keys that were read from the file most recently.
#[derive(Debug)]
struct CachedKeys {
    stamp: Option<KeyFileStamp>,
    keys: ClusterKeys,
}

impl ClusterSigner {
    /// Creates a signer with the keys of the file. Commands run as the user of this program. A launch may be started
    /// within the time `valid_for` after it was accepted or, if it has a delay, after the end of the delay.
    ///
    /// # Errors
    /// Returns a [`KeyFileError`] if the file is missing or cannot be used.
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

    /// Sets the user as whom commands run, if it differs from the user of this program.
    #[must_use]
    pub fn as_user(self, name: &str) -> Self {
        Self { user: name.to_owned(), ..self }
    }

    /// Signs the launch of a process as if it had been accepted at `moment`.
    #[must_use]
    pub fn seal_from(&self, process: &Process, moment: Timestamp) -> LaunchSignature {
        let begin = process.spec.not_before.map_or(moment, |not_before| not_before.max(moment));
        let until = begin.plus(self.valid_for);
        let code = self.signing.code(&statement::of(process, self.signing.id(), &self.user, until));
        SignatureText { key: self.signing.id().clone(), until, code, user: self.user.clone() }
            .launch_signature()
    }

    /// Returns the id of the key that made the signature. Returns `None` if the signature cannot be parsed.
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
        if key.verifies(&statement, &signature.code) { Ok(signature) } else { Err(SignatureError::Altered) }
    }

    /// Returns the key with this id. Reads the file again if the file has changed, because another node may already
    /// sign with a new key.
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
                tracing::warn!(%error, "the cluster key file has changed and cannot be read")
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
        let limit = process.spec.retry.retries.saturating_add(1).saturating_mul(MAX_NEVER_RAN);
        if process.attempt.0 > limit {
            return Err(SignatureError::TooOften { attempt: process.attempt, limit });
        }
        Ok(())
    }
}
