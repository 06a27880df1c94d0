//! The way to other nodes.

use super::ComposeError;
use crate::config::{ManagerConfig, PeerSettings, StoreChoice};
use crate::state_dir::{SOCKET, StateDir};
use longhaul_adapters::peers::HttpPeerTransport;
use longhaul_adapters::signing::KeyFile;
use longhaul_api::{PeerClient, PeerConfig, PeerGate, PeerSecrets};
use std::net::SocketAddr;
use std::sync::Arc;

/// What the secrets of nodes are derived from the cluster key for.
const PURPOSE: &str = "peers";

/// What nodes prove to each other, derived from the cluster key as its file is now.
#[derive(Debug)]
struct PeerKeys(KeyFile);

impl PeerSecrets for PeerKeys {
    fn current(&self) -> Vec<[u8; 32]> {
        let keys = self.0.keys();
        keys.inspect_err(
            |error| tracing::warn!(%error, "other nodes are not known while the cluster key is not"),
        )
        .map_or_else(|_| Vec::new(), |keys| keys.derived(PURPOSE))
    }
}

fn secrets(settings: &ManagerConfig) -> Option<Arc<dyn PeerSecrets>> {
    match settings.store {
        StoreChoice::Other(_) => Some(Arc::new(PeerKeys(KeyFile::at(settings.cluster_key.as_ref()?)))),
        StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => None,
    }
}

/// How this node asks others.
pub(crate) fn peers(settings: &ManagerConfig, boot: &str) -> Result<PeerClient, ComposeError> {
    let PeerSettings { authorities, in_the_clear, .. } = &settings.neighbourhood;
    let carrier = match authorities {
        Some(path) => {
            HttpPeerTransport::trusting(path).map_err(|source| ComposeError::PeerAuthorities { source })?
        }
        // Nobody may ever have to be asked who needs a certificate.
        None => HttpPeerTransport::default(),
    };
    Ok(PeerClient::new(PeerConfig {
        carrier: Arc::new(carrier),
        secrets: secrets(settings),
        boot: boot.to_owned(),
        in_the_clear: *in_the_clear,
    }))
}

/// What lets other nodes in over the network; none where nobody shares the store.
pub(crate) fn peer_gate(settings: &ManagerConfig) -> Option<Arc<PeerGate>> {
    Some(Arc::new(PeerGate::new(settings.node.clone(), secrets(settings)?)))
}

/// Where other nodes reach this one: as was said, else where it listens for other machines, else at its socket, which
/// only nodes of the same machine can take.
pub(crate) fn address(state: &StateDir, settings: &ManagerConfig, urls: &[String]) -> String {
    if let Some(said) = &settings.neighbourhood.address {
        return said.clone();
    }
    let remote = urls.iter().find(|url| is_for_others(url));
    remote.cloned().unwrap_or_else(|| {
        let path = std::path::absolute(state.path()).unwrap_or_else(|_| state.path().to_owned());
        format!("http+unix://{}", path.join(SOCKET).display())
    })
}

/// Whether other machines can take a URL as it is.
fn is_for_others(url: &str) -> bool {
    let address = url.split_once("://").and_then(|(_, address)| address.parse::<SocketAddr>().ok());
    address.is_some_and(|address| {
        let ip = address.ip().to_canonical();
        !ip.is_loopback() && !ip.is_unspecified()
    })
}
