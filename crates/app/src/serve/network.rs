//! Network listeners of a manager.

use crate::config::{ListenSettings, ListenTlsFiles};
use crate::failure::ProgramError;
use crate::private_file::PrivateFiles as _;
use crate::token::Tokens;
use longhaul_client::{LISTEN, StateDir};
use longhaul_http::{Guard, ServerTls};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpSocket};

/// Reason why a manager cannot listen on the configured network addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The manager cannot listen on an address.
    #[error("the manager cannot listen on {address}")]
    Bind {
        /// Address on which the manager cannot listen.
        address: SocketAddr,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// The file of the certificate or of the private key cannot be read.
    #[error("the file {} cannot be read", path.display())]
    Unreadable {
        /// Path of the file that cannot be read.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: io::Error,
    },
    /// Other users of the machine can access the private key.
    #[error("other users can read the private key {}", path.display())]
    OpenKey {
        /// Path of the key file.
        path: PathBuf,
        /// Permission bits of the key file.
        mode: u32,
    },
    /// The certificate or the private key is invalid.
    #[error("the certificate {} cannot be used", path.display())]
    Certificate {
        /// Path of the certificate file.
        path: PathBuf,
        /// Underlying error that caused this error.
        #[source]
        source: longhaul_http::TlsError,
    },
}

/// The network listeners of a manager, with their access control.
#[derive(Debug)]
pub(super) struct NetworkListeners {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) guard: Guard,
    pub(super) tls: Option<ServerTls>,
    /// URLs at which clients can reach the listeners.
    pub(super) urls: Vec<String>,
}

/// Maximum number of connections that wait until a listener accepts them.
const BACKLOG: u32 = 1_024;

impl NetworkListeners {
    /// Listens on all configured addresses. Returns `None` if no address is configured.
    ///
    /// If an address cannot be used, a manager that the user started returns an error. A manager that a client started
    /// logs a warning instead and still accepts connections on its socket.
    pub(super) fn open(
        state: &StateDir,
        listening: &ListenSettings,
        autostarted: bool,
    ) -> Result<Option<Self>, ProgramError> {
        if listening.addresses.is_empty() {
            return Ok(None);
        }
        let tls = listening.tls.as_ref().map(tls).transpose()?;
        let guard = Guard {
            hosts: listening.hosts.clone(),
            origins: listening.origins.clone(),
            gate: Arc::new(Tokens::prepare(StateDir::find(state.path())?)?),
            peers: None,
        };
        let mut doors = Self { listeners: Vec::new(), guard, tls, urls: Vec::new() };
        for address in &listening.addresses {
            match doors.listen(*address) {
                Ok(()) => {}
                Err(source) if autostarted => {
                    tracing::warn!(%address, %source, "the manager cannot listen on this address")
                }
                Err(source) => return Err(ListenError::Bind { address: *address, source }.into()),
            }
        }
        Ok(Some(doors))
    }

    fn listen(&mut self, address: SocketAddr) -> io::Result<()> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.urls.push(format!("{scheme}://{}", listener.local_addr()?));
        self.listeners.push(listener);
        Ok(())
    }
}

/// Returns the access rules of the MCP service on the network. The HTTP guard checks each request first; the MCP
/// service then checks host and origin again.
pub(super) fn mcp_door(guard: &Guard, urls: &[String], read_only: bool) -> longhaul_mcp::McpAuth {
    let (mut hosts, mut origins) = (guard.hosts.clone(), guard.origins.clone());
    let mut is_any = false;
    for (scheme, address) in urls.iter().filter_map(|url| url.split_once("://")) {
        let Ok(address) = address.parse::<SocketAddr>() else { continue };
        is_any |= address.ip().is_unspecified();
        for name in [address.to_string(), format!("localhost:{}", address.port())] {
            origins.push(format!("{scheme}://{name}"));
            hosts.push(name);
        }
    }
    // A wildcard address can be reached under host names that the manager does not know. The MCP service then accepts
    // all hosts, because the HTTP guard has already checked the host.
    if is_any {
        hosts.clear();
    }
    let caller = move |_: &_| longhaul_mcp::Caller { read_only, ..longhaul_mcp::Caller::default() };
    longhaul_mcp::McpAuth { hosts, origins, caller: Arc::new(caller) }
}

/// Writes the network addresses of the manager to a file in the state directory, from which clients read them. If there
/// are no addresses, removes the file.
pub(super) fn write_addresses(state: &StateDir, urls: &[String]) -> Result<(), ProgramError> {
    if urls.is_empty() {
        return state
            .remove_private(LISTEN)
            .map_err(super::system("remove the file with the network addresses"));
    }
    let text: String = urls.iter().map(|url| format!("{url}\n")).collect();
    Ok(state.write_private(LISTEN, &text, true)?)
}

fn tls(files: &ListenTlsFiles) -> Result<ServerTls, ListenError> {
    let ListenTlsFiles { certificate, key } = files;
    let mode = key.metadata().map_err(unreadable(key))?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        return Err(ListenError::OpenKey { path: key.clone(), mode });
    }
    let read = |path: &Path| std::fs::read(path).map_err(unreadable(path));
    ServerTls::of_pem(&read(certificate)?, &read(key)?)
        .map_err(|source| ListenError::Certificate { path: certificate.clone(), source })
}

fn unreadable(path: &Path) -> impl Fn(io::Error) -> ListenError {
    move |source| ListenError::Unreadable { path: path.to_owned(), source }
}

impl ListenError {
    /// Returns advice for the user on how to resolve the error.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => Some(
                "another program listens on this address; choose another port, or port 0 for any free port"
                    .to_owned(),
            ),
            Self::Bind { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 are reserved for the system; choose a larger port".to_owned())
            }
            Self::Bind { .. } => {
                Some("choose an address of this machine: --listen 127.0.0.1:PORT".to_owned())
            }
            Self::OpenKey { path, .. } => Some(format!("chmod o= {}", path.display())),
            Self::Unreadable { .. } => Some("name existing files: --tls-cert, --tls-key".to_owned()),
            Self::Certificate { .. } => {
                Some("give the certificate with its chain, and the matching private key, in PEM".to_owned())
            }
        }
    }
}
