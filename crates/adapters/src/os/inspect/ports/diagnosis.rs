//! Requests the listening sockets in the network namespace of this program from the kernel, through `sock_diag`. The
//! kernel skips connections.

use super::ListeningSockets;
use longhaul_ports::ListeningPort;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

/// Receive buffer size in bytes; the kernel sends at most this many bytes at once.
const BUFFER: usize = 32 << 10;
const HEADER: usize = 16;
/// Length of a request in bytes.
const LENGTH: usize = 72;
const BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const TCP: u8 = 6;
const LISTENING: u32 = 1 << 10;
const V4: u8 = 2;
const V6: u8 = 10;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// Returns the listening TCP sockets.
///
/// # Errors
/// Fails if the kernel does not answer requests of this kind.
pub(super) fn listeners() -> io::Result<ListeningSockets> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
    let mut found = ListeningSockets::new();
    for family in [V4, V6] {
        ask(&socket, family, &mut found)?;
    }
    Ok(found)
}

fn ask(socket: &OwnedFd, family: u8, found: &mut ListeningSockets) -> io::Result<()> {
    send(socket, &question(family), SendFlags::NOSIGNAL)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let (got, _) = recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        let mut rest = buffer.get(..got).unwrap_or(&[]);
        if rest.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while let Some((kind, body, behind)) = message(rest) {
            rest = behind;
            match kind {
                DONE => return Ok(()),
                ERROR => return Err(refusal(body)),
                _ => found.extend(parse(body)),
            }
        }
    }
}

/// Encodes a request for all listening sockets of an address family.
fn question(family: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LENGTH);
    bytes.extend(72_u32.to_ne_bytes());
    bytes.extend(BY_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.resize(HEADER, 0);
    bytes.extend([family, TCP, 0, 0]);
    bytes.extend(LISTENING.to_ne_bytes());
    bytes.resize(LENGTH, 0);
    bytes
}

/// Splits off the first message. Returns its type, its body, and the remaining bytes, or `None` if there is no message.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.first_chunk().copied()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.first_chunk().copied()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or(&[])))
}

fn refusal(body: &[u8]) -> io::Error {
    let errno = body.first_chunk().map_or(0, |errno| i32::from_ne_bytes(*errno));
    io::Error::from_raw_os_error(errno.saturating_neg())
}

/// Parses one socket. The message contains the address family, the port and address in network byte order, and the
/// inode.
fn parse(body: &[u8]) -> Option<(u64, ListeningPort)> {
    let port = u16::from_be_bytes(body.get(4..6)?.first_chunk().copied()?);
    let address = body.get(8..24)?;
    let address = match *body.first()? {
        V4 => IpAddr::from(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        V6 => Ipv6Addr::from(*address.first_chunk::<16>()?).to_canonical(),
        _ => return None,
    };
    let inode = u32::from_ne_bytes(body.get(68..72)?.first_chunk().copied()?);
    Some((u64::from(inode), ListeningPort { port, address }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_that_is_cut_off_is_none() {
        assert_eq!(message(&[]), None);
        let mut bytes = vec![20, 0, 0, 0, 3, 0, 0, 0];
        bytes.resize(16, 0);
        assert_eq!(message(&bytes), None);
        bytes.resize(24, 7);
        if cfg!(target_endian = "little") {
            assert_eq!(message(&bytes), Some((DONE, &[7_u8; 4][..], &[7_u8; 4][..])));
        }
        assert_eq!(parse(&[2; 71]), None);
    }

    #[test]
    fn length_that_leads_nowhere_ends_the_messages() {
        for length in [0_u32, 3, 15, u32::MAX] {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.resize(64, 0);
            assert_eq!(message(&bytes), None, "{length}");
        }
    }
}
