//! Proves that a request comes from a node of the cluster, without sending the shared secret.

use crate::hmac::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use longhaul_domain::NodeId;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Name of the HTTP header with the proof. A node that receives this header does not forward the request.
pub const PEER_HEADER: &str = "longhaul-peer";
/// Version of the proof format. Every proof starts with it.
const VERSION: &str = "1";
/// Maximum difference between the clocks of two nodes.
const WINDOW: Duration = Duration::from_secs(120);
/// Maximum number of requests that are accepted within [`WINDOW`]. Only requests with a valid proof are counted.
const MAX_REQUESTS: usize = 100_000;

/// Source of the secrets that the nodes share. The secrets are used only for these proofs.
pub trait PeerSecrets: fmt::Debug + Send + Sync + 'static {
    /// Returns the current secrets. The first secret is used to make proofs. Received proofs may be made with any of
    /// the secrets. With an empty list, no proof is made or accepted.
    fn current(&self) -> Vec<[u8; 32]>;
}

/// The parts of a request that a proof covers. If any part is changed, the proof becomes invalid.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'r> {
    /// HTTP method, `GET` or `POST`.
    pub method: &'r str,
    /// Path and query of the URL.
    pub target: &'r str,
    /// SHA-256 digest of the body.
    pub digest: [u8; 32],
}

/// Checks the proofs of other nodes and accepts each proof only once.
pub struct PeerGate {
    here: NodeId,
    secrets: Arc<dyn PeerSecrets>,
    /// Time at which the gate was created, in milliseconds since the Unix epoch. It has no record of proofs that were
    /// accepted before this time.
    since: u64,
    /// Time and nonce of each accepted proof that is still within [`WINDOW`].
    seen: Mutex<BTreeSet<(u64, String)>>,
}

/// Reason why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAuthError {
    /// The proof is malformed, was made with another secret, or was made for another node or another request.
    Wrong,
    /// The clocks of the two nodes differ too much.
    Untimely,
    /// The proof was made before this manager started.
    Early,
    /// The proof was already used.
    Repeated,
    /// Too many requests arrived within the time window.
    Crowded,
}

/// Returns the header value that proves a request of node `from` to node `to`. Returns `None` if the nodes share no
/// secret.
#[must_use]
pub fn prove(
    secrets: &dyn PeerSecrets,
    from: &NodeId,
    to: &NodeId,
    request: SignedRequest<'_>,
) -> Option<String> {
    let secret = secrets.current().into_iter().next()?;
    let (at, nonce) = (millis(SystemTime::now()), nonce(from));
    let mac = sign(&secret, from.as_str(), to.as_str(), at, &nonce, request);
    let from = STANDARD.encode(from.as_str());
    Some(format!("{VERSION} {at} {nonce} {} {} {from}", hex(&request.digest), hex(&mac)))
}

impl PeerGate {
    /// Creates a gate for node `here`. The gate accepts only proofs that are created after this call.
    #[must_use]
    pub fn new(here: NodeId, secrets: Arc<dyn PeerSecrets>) -> Self {
        Self { here, secrets, since: millis(SystemTime::now()), seen: Mutex::default() }
    }

    /// Checks the proof in a header. Returns the digest that the body of the request must have. Checking takes the same
    /// time for every wrong MAC.
    ///
    /// # Errors
    /// Returns a [`PeerAuthError`] if the proof is refused.
    pub fn admit(&self, header: &str, method: &str, target: &str) -> Result<[u8; 32], PeerAuthError> {
        self.admit_at(SystemTime::now(), header, method, target)
    }

    fn admit_at(
        &self,
        now: SystemTime,
        header: &str,
        method: &str,
        target: &str,
    ) -> Result<[u8; 32], PeerAuthError> {
        let said = ProofHeader::read(header).ok_or(PeerAuthError::Wrong)?;
        let request = SignedRequest { method, target, digest: said.digest };
        let is_known = self.secrets.current().iter().fold(false, |known, secret| {
            let mac = sign(secret, &said.from, self.here.as_str(), said.at, said.nonce, request);
            known | is_same(&mac, &said.mac)
        });
        if !is_known {
            return Err(PeerAuthError::Wrong);
        }
        let (now, window) = (millis(now), millis(UNIX_EPOCH + WINDOW));
        if now.abs_diff(said.at) > window {
            return Err(PeerAuthError::Untimely);
        }
        // An earlier manager of this node may already have accepted the proof.
        if said.at < self.since {
            return Err(PeerAuthError::Early);
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = seen.split_off(&(now.saturating_sub(window), String::new()));
        if seen.contains(&(said.at, said.nonce.to_owned())) {
            return Err(PeerAuthError::Repeated);
        }
        if seen.len() >= MAX_REQUESTS {
            return Err(PeerAuthError::Crowded);
        }
        seen.insert((said.at, said.nonce.to_owned()));
        Ok(said.digest)
    }
}

/// The parsed content of a proof header.
struct ProofHeader<'h> {
    at: u64,
    nonce: &'h str,
    digest: [u8; 32],
    mac: [u8; 32],
    from: String,
}

impl<'h> ProofHeader<'h> {
    fn read(header: &'h str) -> Option<Self> {
        let mut parts = header.splitn(6, ' ');
        if parts.next()? != VERSION {
            return None;
        }
        let (at, nonce) = (parts.next()?.parse().ok()?, parts.next()?);
        let (digest, mac) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
        let from = String::from_utf8(STANDARD.decode(parts.next()?).ok()?).ok()?;
        Some(Self { at, nonce, digest, mac, from }).filter(|_| nonce.len() == 32)
    }
}

/// Returns the SHA-256 digest of a body.
#[must_use]
pub fn digest(body: &[u8]) -> [u8; 32] {
    Sha256::digest(body).into()
}

/// Returns the MAC of a request. Line feeds separate the parts, so no part may contain a line feed. Node names and
/// targets cannot contain line feeds, and all other parts consist of letters and digits.
fn sign(key: &[u8], from: &str, to: &str, at: u64, nonce: &str, request: SignedRequest<'_>) -> [u8; 32] {
    let SignedRequest { method, target, digest } = request;
    let at = at.to_string();
    let digest = hex(&digest);
    let lines = ["longhaul-peer", VERSION, from, to, &at, nonce, method, target, &digest];
    hmac(key, &[lines.join("\n").as_bytes()])
}

/// Returns a nonce: a text that this node has not used in an earlier proof.
fn nonce(from: &NodeId) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let said = format!("{from}\n{}\n{now}\n{count}", std::process::id());
    let mut text = hex(&digest(said.as_bytes()));
    text.truncate(32);
    text
}

/// Compares two MACs in constant time.
fn is_same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    black_box(one.iter().zip(other).fold(0, |differs, (one, other)| differs | (one ^ other))) == 0
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(place..place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

impl fmt::Display for PeerAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "the signature was made with another key, or for another request",
            Self::Untimely => "the clocks of the two nodes differ by more than two minutes",
            Self::Early => "the signature is older than this manager; try again",
            Self::Repeated => "the signature was used before",
            Self::Crowded => "too many requests came within two minutes",
        })
    }
}

impl fmt::Debug for PeerGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerGate").field("here", &self.here).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/v1/processes/x/input?revision=3";

    fn node(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    #[derive(Debug)]
    struct Fixed(Vec<[u8; 32]>);

    impl PeerSecrets for Fixed {
        fn current(&self) -> Vec<[u8; 32]> {
            self.0.clone()
        }
    }

    fn secrets(seeds: &[u8]) -> Fixed {
        Fixed(seeds.iter().map(|seed| [*seed; 32]).collect())
    }

    fn gate(seeds: &[u8]) -> PeerGate {
        let mut gate = PeerGate::new(node("beta"), Arc::new(secrets(seeds)));
        gate.since = 0;
        gate
    }

    fn proof(seeds: &[u8], to: &str) -> String {
        let request = SignedRequest { method: "POST", target: TARGET, digest: digest(b"{}") };
        prove(&secrets(seeds), &node("alpha one"), &node(to), request).unwrap()
    }

    #[test]
    fn proof_counts_once_and_for_nothing_else() {
        let gate = gate(&[1, 2]);
        for secret in [1, 2] {
            let said = proof(&[secret], "beta");
            assert_eq!(gate.admit(&said, "GET", TARGET), Err(PeerAuthError::Wrong), "another method");
            assert_eq!(gate.admit(&said, "POST", "/v1/reset"), Err(PeerAuthError::Wrong), "another target");
            assert_eq!(gate.admit(&said, "POST", TARGET), Ok(digest(b"{}")));
            assert_eq!(gate.admit(&said, "POST", TARGET), Err(PeerAuthError::Repeated));
        }
        assert_eq!(gate.admit(&proof(&[3, 1], "beta"), "POST", TARGET), Err(PeerAuthError::Wrong));
        assert_eq!(gate.admit(&proof(&[1], "gamma"), "POST", TARGET), Err(PeerAuthError::Wrong));
    }

    #[test]
    fn every_changed_byte_spoils_a_proof() {
        let gate = gate(&[1]);
        let said = proof(&[1], "beta");
        for place in 0..said.len() {
            let mut changed = said.clone().into_bytes();
            changed[place] ^= 1;
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(gate.admit(&changed, "POST", TARGET), Err(PeerAuthError::Wrong), "{place}: {changed}");
        }
        for cut in 0..said.len() {
            assert_eq!(gate.admit(&said[..cut], "POST", TARGET), Err(PeerAuthError::Wrong));
        }
        assert!(gate.admit(&said, "POST", TARGET).is_ok());
    }

    #[test]
    fn proof_is_taken_within_two_minutes_of_its_making() {
        let gate = gate(&[1]);
        let now = SystemTime::now();
        for (away, is_taken) in [(0, true), (115, true), (125, false)] {
            let away = Duration::from_secs(away);
            for at in [now + away, now - away] {
                let found = gate.admit_at(at, &proof(&[1], "beta"), "POST", TARGET);
                assert_eq!(found.is_ok(), is_taken, "{away:?}: {found:?}");
            }
        }
    }

    #[test]
    fn proof_from_before_the_start_of_the_manager_is_refused() {
        let said = proof(&[1], "beta");
        let mut gate = gate(&[1]);
        gate.since = millis(SystemTime::now() + Duration::from_secs(1));
        assert_eq!(gate.admit(&said, "POST", TARGET), Err(PeerAuthError::Early));
        gate.since = 0;
        assert!(gate.admit(&said, "POST", TARGET).is_ok());
    }

    #[test]
    fn without_a_secret_nothing_is_proven() {
        let request = SignedRequest { method: "POST", target: TARGET, digest: digest(b"{}") };
        assert_eq!(prove(&secrets(&[]), &node("a"), &node("beta"), request), None);
        assert_eq!(gate(&[]).admit(&proof(&[1], "beta"), "POST", TARGET), Err(PeerAuthError::Wrong));
    }
}
