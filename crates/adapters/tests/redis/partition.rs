//! A simulated network that can be partitioned.
//!
//! Each machine has three loopback addresses: its servers listen at the first address, connect from the second, and are
//! known to all other machines by the third. A connection to the third address reaches the server only while both
//! machines are in the same part of the network.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Number of a machine. The client has the number 0: every connection that does not come from the address of a machine
/// belongs to the client.
pub(crate) type Machine = u8;

/// Lowest second octet of the addresses from which machines connect.
const SOURCES: u8 = 192;

/// A network. It has no partition at first.
#[derive(Clone, Default)]
pub(crate) struct Network(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    /// The machines of one part of the network. They can reach each other, but no other machine.
    apart: Vec<Machine>,
    /// Open connections by number. Each has the two machines and the two sockets.
    open: BTreeMap<u64, (Machine, Machine, [TcpStream; 2])>,
    next: u64,
}

impl Network {
    /// Returns the address under which a machine is known to the other machines.
    pub(crate) fn known(machine: Machine) -> String {
        address(64, machine)
    }

    /// Returns the address at which the servers of a machine listen.
    pub(crate) fn own(machine: Machine) -> String {
        address(128, machine)
    }

    /// Returns the address from which the servers of a machine connect.
    pub(crate) fn source(machine: Machine) -> String {
        address(SOURCES, machine)
    }

    /// Forwards connections to a port of a machine until the end of the test program.
    pub(crate) fn publish(&self, machine: Machine, port: &str) {
        let listener = TcpListener::bind(format!("{}:{port}", Self::known(machine))).unwrap();
        let server: SocketAddr = format!("{}:{port}", Self::own(machine)).parse().unwrap();
        let network = self.clone();
        thread::spawn(move || {
            for arrived in listener.incoming() {
                let Ok(arrived) = arrived else { return };
                // A connection across the partition is closed without an answer.
                let _ = network.join(arrived, machine, server);
            }
        });
    }

    /// Separates these machines from all others and closes the connections between both parts.
    pub(crate) fn cut_off(&self, machines: &[Machine]) {
        let mut lines = self.lines();
        lines.apart = machines.to_vec();
        let crossing: Vec<u64> = lines
            .open
            .iter()
            .filter(|(_, (a, b, _))| lines.is_cut(*a, *b))
            .map(|(number, _)| *number)
            .collect();
        for number in crossing {
            if let Some((_, _, ends)) = lines.open.remove(&number) {
                ends.iter().for_each(close);
            }
        }
    }

    pub(crate) fn mend(&self) {
        self.lines().apart.clear();
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, arrived: TcpStream, to: Machine, server: SocketAddr) -> io::Result<()> {
        let from = machine_at(arrived.peer_addr()?.ip());
        let mut lines = self.lines();
        if lines.is_cut(from, to) {
            return Ok(());
        }
        let reached = TcpStream::connect(server)?;
        arrived.set_nodelay(true)?;
        reached.set_nodelay(true)?;
        let number = lines.next;
        lines.next += 1;
        lines.open.insert(number, (from, to, [arrived.try_clone()?, reached.try_clone()?]));
        for (mut a, mut b) in [(arrived.try_clone()?, reached.try_clone()?), (reached, arrived)] {
            let network = self.clone();
            thread::spawn(move || {
                let _ = io::copy(&mut a, &mut b);
                close(&a);
                close(&b);
                network.lines().open.remove(&number);
            });
        }
        Ok(())
    }
}

impl Lines {
    fn is_cut(&self, a: Machine, b: Machine) -> bool {
        self.apart.contains(&a) != self.apart.contains(&b)
    }
}

fn close(end: &TcpStream) {
    let _ = end.shutdown(Shutdown::Both);
}

fn machine_at(address: IpAddr) -> Machine {
    match address {
        IpAddr::V4(address) if address.octets()[1] >= SOURCES => address.octets()[3],
        IpAddr::V4(_) | IpAddr::V6(_) => 0,
    }
}

/// Returns a loopback address in one of three groups. The address contains the process id, because several tests run at
/// the same time and their servers may use the same port.
fn address(group: u8, machine: Machine) -> String {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, group + high % 64, low, machine).to_string()
}
