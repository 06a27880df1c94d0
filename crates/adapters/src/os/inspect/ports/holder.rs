//! Finds the process that listens on a TCP port.

use super::listeners;
use crate::os::inspect::scan;
use longhaul_domain::PortHolder;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Returns the process that listens on a port in the network namespace of this program.
///
/// If several processes share the socket, returns the process with the lowest id, which is usually their parent.
/// Returns `None` if different processes listen on different addresses, or if a socket belongs to a process whose
/// descriptors this program may not read.
pub(in crate::os) fn port_holder(port: u16) -> Option<PortHolder> {
    let known = listeners(std::process::id(), true);
    let sockets: BTreeSet<u64> =
        known.into_iter().filter(|(_, each)| each.port == port).map(|(inode, _)| inode).collect();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn holder_of_a_port_is_the_process_that_listens_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = port_holder(port).unwrap();
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(
            (holder.port, holder.pid, holder.name.as_str()),
            (port, std::process::id(), comm.trim_end())
        );
        drop(listener);
        assert_eq!(port_holder(port), None);
    }
}
