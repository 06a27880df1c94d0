//! Reads listening sockets from `/proc/<pid>/net`, for other network namespaces and for kernels without `sock_diag`.

use super::ListeningSockets;
use longhaul_ports::ListeningPort;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const LISTENING: &str = "0A";

/// Returns the listening sockets in the network namespace of a process.
pub(super) fn listeners(pid: u32) -> ListeningSockets {
    let mut found = ListeningSockets::new();
    for table in ["tcp", "tcp6"] {
        // A missing table means that the protocol is not available on this machine.
        let Ok(file) = File::open(format!("/proc/{pid}/net/{table}")) else {
            continue;
        };
        let lines = BufReader::new(file).lines().map_while(Result::ok).skip(1);
        // Stop at the first socket that does not listen: listening sockets come first, and there may be very many
        // connections.
        found.extend(lines.map_while(|line| parse(&line)));
    }
    found
}

/// Parses a line of the table. Returns `None` if the socket does not listen.
fn parse(line: &str) -> Option<(u64, ListeningPort)> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    if fields.nth(1)? != LISTENING {
        return None;
    }
    let inode = fields.nth(5)?.parse().ok()?;
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((inode, ListeningPort { port, address: parse_address(address)? }))
}

/// Parses an address. The kernel prints it as 32-bit words in the byte order of this machine.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |from: usize| {
        let digits = text.get(from..from.checked_add(8)?)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    if text.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let mut bytes = [0; 16];
    let (places, _) = bytes.as_chunks_mut::<4>();
    for (number, place) in places.iter_mut().enumerate() {
        *place = word(number.checked_mul(8)?)?;
    }
    Some(Ipv6Addr::from(bytes).to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_of_the_kernel_is_understood() {
        let line = "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A \
                    00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0";
        if cfg!(target_endian = "little") {
            let expected = ListeningPort { port: 8080, address: Ipv6Addr::LOCALHOST.into() };
            assert_eq!(parse(line), Some((4242, expected)));
            assert_eq!(parse_address("0100007F"), Some(Ipv4Addr::LOCALHOST.into()));
        }
        assert_eq!(parse(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(parse("nonsense"), None);
        assert_eq!(parse_address("0100"), None);
    }
}
