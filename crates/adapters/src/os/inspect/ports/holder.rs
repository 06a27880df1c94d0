//! Finds the process that listens on a TCP port.

use super::listeners;
use crate::os::inspect::scan;
use longhaul_domain::PortHolder;
use longhaul_ports::ListeningPort;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

/// Returns the process that listens on a port in the network namespace of this program, on an address that conflicts
/// with one of `addresses`. If `addresses` is empty, each address counts.
///
/// If several processes share the socket, returns the process with the lowest id, which is usually their parent.
/// Returns `None` if different processes listen on different addresses, or if a socket belongs to a process whose
/// descriptors this program may not read.
pub(in crate::os) fn port_holder(port: u16, addresses: &[IpAddr]) -> Option<PortHolder> {
    let known = listeners(std::process::id(), true);
    let is_held = |held: &ListeningPort| {
        let in_conflict = |address: &IpAddr| conflicts(held.address, *address);
        held.port == port && (addresses.is_empty() || addresses.iter().any(in_conflict))
    };
    let sockets: BTreeSet<u64> =
        known.into_iter().filter(|(_, held)| is_held(held)).map(|(inode, _)| inode).collect();
    if sockets.is_empty() {
        return None;
    }
    let mut owners: BTreeMap<u64, u32> = BTreeMap::new();
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        for socket in scan::sockets_of(pid).into_iter().filter(|socket| sockets.contains(socket)) {
            owners.entry(socket).and_modify(|owner| *owner = pid.min(*owner)).or_insert(pid);
        }
    }
    let mut pids: BTreeSet<u32> = owners.values().copied().collect();
    let pid = pids.pop_first()?;
    if !pids.is_empty() || owners.len() < sockets.len() {
        return None;
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(PortHolder { port, pid, name: name.trim_end().to_owned() })
}

/// Returns true if two sockets cannot use the same port of these addresses. A socket of all IPv6 addresses usually
/// includes all IPv4 addresses.
const fn conflicts(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            one.is_unspecified() || other.is_unspecified() || one.to_bits() == other.to_bits()
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            one.is_unspecified() || other.is_unspecified() || one.to_bits() == other.to_bits()
        }
        (IpAddr::V4(_), IpAddr::V6(all)) | (IpAddr::V6(all), IpAddr::V4(_)) => all.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn holder_of_a_port_is_the_process_that_listens_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = port_holder(port, &[]).unwrap();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(
            (holder.port, holder.pid, holder.name.as_str()),
            (port, std::process::id(), comm.trim_end())
        );
        for (address, is_named) in
            [("127.0.0.1", true), ("0.0.0.0", true), ("::", true), ("127.0.0.2", false), ("::1", false)]
        {
            let holder = port_holder(port, &[address.parse().unwrap()]);
            assert_eq!(holder.is_some(), is_named, "{address}");
        }
        drop(listener);
        assert_eq!(port_holder(port, &[]), None);
    }

    #[test]
    fn addresses_conflict_if_they_are_equal_or_if_one_includes_the_other() {
        for (one, other, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.2", true),
            ("::", "127.0.0.2", true),
            ("::", "0.0.0.0", true),
            ("::", "::1", true),
            ("::1", "::1", true),
            ("::1", "127.0.0.1", false),
            ("::1", "0.0.0.0", false),
        ] {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(conflicts(one, other), expected, "{one} {other}");
            assert_eq!(conflicts(other, one), expected, "{other} {one}");
        }
    }
}
