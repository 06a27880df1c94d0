//! Cluster keys: the secrets that sign launches.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt::{self, Write as _};

/// Length of a secret in bytes.
const SECRET: usize = 32;
/// Length of a MAC in bytes, after truncation.
pub(super) const CODE: usize = 16;
/// Length of a key id in bytes.
const ID: usize = 6;

/// First word of a line that contains a key.
const TITLE: &str = "longhaul-cluster-key-1";

/// Id of a key: a fingerprint of the secret. The id itself is not secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(String);

/// A secret that all nodes of a cluster share, with its id.
#[derive(Clone)]
pub(super) struct ClusterKey {
    secret: [u8; SECRET],
    id: KeyId,
}

/// The keys of a cluster: one key, or two during a rotation. The first key signs; all keys are trusted.
#[derive(Clone, Debug)]
pub struct ClusterKeys {
    first: ClusterKey,
    other: Option<ClusterKey>,
}

/// Error for a text that does not contain valid keys. The message contains no part of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvalidKeys {
    pub(super) why: String,
}

impl KeyId {
    /// Returns the id as hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        undigits::<ID>(text).filter(|id| digits(id) == text).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ClusterKey {
    pub(super) fn of(secret: [u8; SECRET]) -> Self {
        let whole = mac(&secret, &[b"longhaul key id 1"]).finalize().into_bytes();
        let id = KeyId(whole.iter().take(ID).fold(String::new(), with_digits));
        Self { secret, id }
    }

    /// Creates a new random key.
    pub(super) fn random() -> std::io::Result<Self> {
        let mut secret = [0; SECRET];
        let filled = rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())?;
        if filled == SECRET { Ok(Self::of(secret)) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }

    pub(super) const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Returns the MAC of a statement under this key.
    pub(super) fn code(&self, statement: &[u8]) -> [u8; CODE] {
        let whole = mac(&self.secret, &[statement]).finalize().into_bytes();
        let mut code = [0; CODE];
        code.iter_mut().zip(whole).for_each(|(kept, byte)| *kept = byte);
        code
    }

    /// Returns true if `code` is the MAC of the statement. Compares in constant time, so that the time of the
    /// comparison reveals nothing about the correct MAC.
    pub(super) fn verifies(&self, statement: &[u8], code: &[u8; CODE]) -> bool {
        mac(&self.secret, &[statement]).verify_truncated_left(code).is_ok()
    }

    fn derived(&self, purpose: &str) -> [u8; SECRET] {
        mac(&self.secret, &[b"longhaul derived key 1 ", purpose.as_bytes()]).finalize().into_bytes().into()
    }

    fn line(&self) -> String {
        format!("{TITLE} {} {}\n", self.id, digits(&self.secret))
    }

    fn read(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some(TITLE) {
            return Err("the line does not contain a cluster key that this program can read");
        }
        let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
            return Err("a key consists of an id and 64 digits");
        };
        let key = Self::of(undigits(secret).ok_or("a key consists of an id and 64 digits")?);
        if key.id.0 == id {
            Ok(key)
        } else {
            Err("the key id does not match the key: the line was truncated or changed")
        }
    }
}

impl fmt::Debug for ClusterKey {
    /// Formats the key without its secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ClusterKeys {
    pub(super) const fn one(first: ClusterKey) -> Self {
        Self { first, other: None }
    }

    /// Adds `first` as the signing key. The former signing key is still trusted.
    pub(super) fn with_signing_key(self, first: ClusterKey) -> Self {
        Self { first, other: Some(self.first) }
    }

    /// Removes the second key, which no longer signs.
    pub(super) fn without_second_key(self) -> Self {
        Self::one(self.first)
    }

    pub(super) const fn first(&self) -> &ClusterKey {
        &self.first
    }

    pub(super) fn find(&self, id: &KeyId) -> Option<&ClusterKey> {
        std::iter::once(&self.first).chain(&self.other).find(|key| key.id == *id)
    }

    /// Returns the id of the key that signs.
    #[must_use]
    pub const fn signing(&self) -> &KeyId {
        &self.first.id
    }

    /// Returns the id of the second key, which is trusted but does not sign. Returns `None` if the file contains only
    /// one key.
    #[must_use]
    pub fn trusted(&self) -> Option<&KeyId> {
        self.other.as_ref().map(ClusterKey::id)
    }

    /// Derives one secret for another purpose from each key. The keys cannot be computed from the derived secrets. The
    /// first derived secret is for signing; all derived secrets are trusted.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> Vec<[u8; 32]> {
        std::iter::once(&self.first).chain(&self.other).map(|key| key.derived(purpose)).collect()
    }

    pub(super) fn text(&self) -> String {
        let other = self.other.as_ref().map_or_else(String::new, ClusterKey::line);
        format!("{}{other}", self.first.line())
    }

    /// Parses the lines of a key file. Skips empty lines and lines that start with `#`.
    pub(super) fn read(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = |why| InvalidKeys { why: format!("line {}: {why}", at + 1) };
            keys.push(ClusterKey::read(line).map_err(bad)?);
        }
        let mut keys = keys.into_iter();
        let no = |why: &str| InvalidKeys { why: why.to_owned() };
        match (keys.next(), keys.next(), keys.next()) {
            (Some(first), other, None) => Ok(Self { first, other }),
            (None, ..) => Err(no("the file contains no key")),
            (Some(_), _, Some(_)) => Err(no("the file contains more than two keys")),
        }
    }
}

fn mac(secret: &[u8; SECRET], parts: &[&[u8]]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key of any length is taken");
    for part in parts {
        mac.update(part);
    }
    mac
}

/// Encodes bytes as lower-case hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), with_digits)
}

fn with_digits(mut text: String, byte: &u8) -> String {
    let _ = write!(text, "{byte:02x}");
    text
}

/// Decodes exactly `N` bytes from hexadecimal digits. Returns `None` if the length or a character is wrong.
pub(super) fn undigits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != N * 2 || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
