//! Connections between this node and the other nodes of its cluster.

use super::ComposeError;
use crate::config::{ManagerConfig, PeerSettings, StoreChoice};
use longhaul_adapters::peers::HttpPeerTransport;
use longhaul_adapters::signing::KeyFile;
use longhaul_api::{PeerClient, PeerConfig, PeerGate, PeerSecrets};
use longhaul_client::{SOCKET, StateDir};
use std::net::SocketAddr;
use std::sync::Arc;

/// Purpose name with which the secrets for node connections are derived from the cluster key.
const PURPOSE: &str = "peers";

/// The secrets with which nodes authenticate to each other. They are derived from the current content of the cluster
/// key file.
#[derive(Debug)]
struct PeerKeys(KeyFile);

impl PeerSecrets for PeerKeys {
    fn current(&self) -> Vec<[u8; 32]> {
        let keys = self.0.keys();
        keys.inspect_err(|error| {
            tracing::warn!(%error, "other nodes cannot be authenticated, because the cluster key cannot be \
             read")
        })
        .map_or_else(|_| Vec::new(), |keys| keys.derived(PURPOSE))
    }
}

fn secrets(settings: &ManagerConfig) -> Option<Arc<dyn PeerSecrets>> {
    match settings.store {
        StoreChoice::Other(_) => Some(Arc::new(PeerKeys(KeyFile::at(settings.cluster_key.as_ref()?)))),
        StoreChoice::Memory | StoreChoice::Sqlite(_) | StoreChoice::Fs(_) => None,
    }
}

/// Returns the client for requests to other nodes.
pub(crate) fn peers(settings: &ManagerConfig, boot: &str) -> Result<PeerClient, ComposeError> {
    let PeerSettings { authorities, in_the_clear, .. } = &settings.neighbourhood;
    let carrier = match authorities {
        Some(path) => {
            HttpPeerTransport::trusting(path).map_err(|source| ComposeError::PeerAuthorities { source })?
        }
        // Missing system certificates are not an error, because this node may never connect to a TLS address. But a
        // configured certificate file that cannot be used is an error.
        None => HttpPeerTransport::default(),
    };
    Ok(PeerClient::new(PeerConfig {
        carrier: Arc::new(carrier),
        secrets: secrets(settings),
        boot: boot.to_owned(),
        in_the_clear: *in_the_clear,
    }))
}

/// Returns the component that authenticates requests from other nodes. Returns `None` if the store is local.
pub(crate) fn peer_gate(settings: &ManagerConfig) -> Option<Arc<PeerGate>> {
    Some(Arc::new(PeerGate::new(settings.node.clone(), secrets(settings)?)))
}

/// Returns the URL at which other nodes reach this node. This is the first of these addresses that exists:
///
/// 1. The configured address.
/// 2. A listening address that other machines can reach.
/// 3. The Unix socket, which only nodes on the same machine can use.
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

/// Returns true if other machines can connect to a URL without a change to the URL.
fn is_for_others(url: &str) -> bool {
    let address = url.split_once("://").and_then(|(_, address)| address.parse::<SocketAddr>().ok());
    address.is_some_and(|address| {
        let ip = address.ip().to_canonical();
        !ip.is_loopback() && !ip.is_unspecified()
    })
}
