//! Lists the TCP ports on which processes listen.

mod diagnosis;
mod holder;
mod table;

pub(in crate::os) use holder::port_holder;
use longhaul_ports::ListeningPort;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// The listening sockets of a network namespace. The key is the inode of the socket.
type ListeningSockets = BTreeMap<u64, ListeningPort>;

/// Returns the addresses on which these sockets of processes listen, without duplicates and ordered by port.
pub(super) fn listening(sockets: &[(u32, Vec<u64>)]) -> Vec<ListeningPort> {
    let own = network_of("self");
    let mut networks: BTreeMap<Option<PathBuf>, ListeningSockets> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for (pid, sockets) in sockets {
        let network = network_of(&pid.to_string());
        let is_own = network.is_some() && network == own;
        let known = networks.entry(network).or_insert_with(|| listeners(*pid, is_own));
        found.extend(sockets.iter().filter_map(|socket| known.get(socket)).copied());
    }
    found.into_iter().collect()
}

fn network_of(pid: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// Returns the listening sockets in the network namespace of a process.
fn listeners(pid: u32, is_own: bool) -> ListeningSockets {
    // Prefer `sock_diag`: the tables in /proc take milliseconds, because the kernel searches its whole hash table of
    // connections.
    let reported = if is_own { diagnosis::listeners().ok() } else { None };
    reported.unwrap_or_else(|| table::listeners(pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::inspect::scan::TreeScan;
    use longhaul_shim::ProcessStat;
    use std::net::{TcpListener, TcpStream};

    fn here() -> Vec<ListeningPort> {
        let this: Vec<_> = ProcessStat::read(std::process::id()).into_iter().collect();
        listening(&TreeScan::of(&this, &[]).sockets)
    }

    #[test]
    fn listener_of_this_process_is_found_and_a_connection_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let found = here();
        assert!(found.contains(&ListeningPort { port: address.port(), address: address.ip() }), "{found:?}");
        let other = client.local_addr().unwrap().port();
        assert!(found.iter().all(|each| each.port != other));
        drop((listener, client));
        assert!(here().iter().all(|each| each.port != address.port()));
    }

    #[test]
    fn both_ways_tell_the_same() {
        let v4 = TcpListener::bind("127.0.0.1:0").unwrap();
        let v6 = TcpListener::bind("[::1]:0");
        let expected = [Some(v4.local_addr().unwrap()), v6.as_ref().ok().map(|v6| v6.local_addr().unwrap())];
        let table = table::listeners(std::process::id());
        let reported = diagnosis::listeners();
        for address in expected.into_iter().flatten() {
            let port = ListeningPort { port: address.port(), address: address.ip() };
            assert!(table.values().any(|each| *each == port), "{port:?} is not in {table:?}");
            match &reported {
                Ok(reported) => {
                    assert!(reported.values().any(|each| *each == port), "{port:?} is not in {reported:?}")
                }
                Err(error) => eprintln!("SKIPPED: this kernel is not asked: {error}"),
            }
        }
    }
}
