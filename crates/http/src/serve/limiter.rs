//! Limits the number of network connections and chooses which one is closed when all places are taken.

use crate::guard::Access;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Limits the number of network connections and chooses which one is closed when all places are taken.
///
/// The first request with a valid token authenticates a connection. Unauthenticated connections share a small number of
/// places. When these places are full, the limiter finds the address with the most unauthenticated connections and
/// closes the oldest unauthenticated connection of this address. Unauthenticated clients therefore displace only each
/// other. Clients with read-only tokens have a limited share of the places, so that they cannot displace clients with
/// full access.
#[derive(Clone, Debug)]
pub(super) struct ConnectionLimiter(Arc<Mutex<ConnectionSlots>>);

/// Limits on the number of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionLimits {
    /// Maximum number of connections in total.
    pub(super) limit: usize,
    /// Maximum number of unauthenticated connections.
    pub(super) unauthenticated: usize,
    /// Maximum number of connections whose last request had a read-only token.
    pub(super) readers: usize,
}

#[derive(Debug)]
struct ConnectionSlots {
    room: ConnectionLimits,
    /// Sequence counter that numbers the connections. An older connection has a smaller number.
    turn: u64,
    taken: BTreeMap<u64, SlotEntry>,
}

#[derive(Debug)]
struct SlotEntry {
    peer: IpAddr,
    standing: ConnectionState,
    /// Sender that makes the connection close when it is dropped.
    _leave: oneshot::Sender<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionState {
    Unauthenticated,
    Idle { access: Access, since: u64 },
    AtWork { access: Access, requests: u32 },
}

/// Place of one connection. The place becomes free when this value is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    limiter: ConnectionLimiter,
    slot: u64,
}

/// Marks its connection as working until it is dropped, while a request is being answered.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<ConnectionSlot>);

impl ConnectionLimiter {
    pub(super) fn new(room: ConnectionLimits) -> Self {
        Self(Arc::new(Mutex::new(ConnectionSlots { room, turn: 0, taken: BTreeMap::new() })))
    }

    /// Takes a place for a new connection and closes another connection if necessary. Returns `None` if every
    /// connection is working on a request. The new connection must be closed when the returned receiver completes.
    pub(super) fn acquire(&self, peer: IpAddr) -> Option<(Arc<ConnectionSlot>, oneshot::Receiver<()>)> {
        let mut slots = self.slots();
        let ConnectionLimits { limit, unauthenticated, readers: _ } = slots.room;
        if slots.unauthenticated().count() >= unauthenticated {
            let eldest = slots.oldest_of_busiest_peer();
            slots.free(eldest);
        }
        if slots.taken.len() >= limit {
            let leaves = slots.longest_idle().or_else(|| slots.oldest_of_busiest_peer());
            slots.free(Some(leaves?));
        }
        let (leave, told) = oneshot::channel();
        let slot = slots.next();
        slots
            .taken
            .insert(slot, SlotEntry { peer, standing: ConnectionState::Unauthenticated, _leave: leave });
        Some((Arc::new(ConnectionSlot { limiter: self.clone(), slot }), told))
    }

    fn slots(&self) -> MutexGuard<'_, ConnectionSlots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionSlots {
    fn next(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn unauthenticated(&self) -> impl Iterator<Item = (u64, IpAddr)> {
        let unauthenticated =
            self.taken.iter().filter(|(_, slot)| slot.standing == ConnectionState::Unauthenticated);
        unauthenticated.map(|(number, slot)| (*number, slot.peer))
    }

    fn oldest_of_busiest_peer(&self) -> Option<u64> {
        let mut held: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (number, peer) in self.unauthenticated() {
            // The connections are ordered by age, so the first connection of each address is the oldest connection of
            // this address.
            held.entry(peer).or_insert((0, number)).0 += 1;
        }
        held.into_values().max_by_key(|(count, eldest)| (*count, u64::MAX - eldest)).map(|(_, eldest)| eldest)
    }

    fn longest_idle(&self) -> Option<u64> {
        let idle = self.taken.iter().filter_map(|(number, slot)| match slot.standing {
            ConnectionState::Idle { since, .. } => Some((since, *number)),
            ConnectionState::Unauthenticated | ConnectionState::AtWork { .. } => None,
        });
        idle.min().map(|(_, number)| number)
    }

    /// Returns true if the connection `newcomer` may be used with a read-only token. If the limit for read-only
    /// connections is reached, closes the read-only connection that has been idle for the longest time.
    fn admit_reader(&mut self, newcomer: u64) -> bool {
        let others = self.taken.iter().filter(|(number, _)| **number != newcomer);
        let (mut readers, mut longest_idle) = (0, None);
        for (number, slot) in others {
            match slot.standing {
                ConnectionState::Idle { access: Access::ReadOnly, since } => {
                    readers += 1;
                    longest_idle = longest_idle.into_iter().chain([(since, *number)]).min();
                }
                ConnectionState::AtWork { access: Access::ReadOnly, .. } => readers += 1,
                ConnectionState::Unauthenticated
                | ConnectionState::Idle { access: Access::Control, .. }
                | ConnectionState::AtWork { access: Access::Control, .. } => {}
            }
        }
        if readers < self.room.readers {
            return true;
        }
        self.free(longest_idle.map(|(_, number)| number));
        longest_idle.is_some()
    }

    fn free(&mut self, slot: Option<u64>) {
        if let Some(slot) = slot {
            self.taken.remove(&slot);
        }
    }
}

impl ConnectionState {
    fn is_of_reader(self) -> bool {
        match self {
            Self::Idle { access, .. } | Self::AtWork { access, .. } => access == Access::ReadOnly,
            Self::Unauthenticated => false,
        }
    }
}

impl ConnectionSlot {
    /// Marks the connection as authenticated and working. Returns `None` if the limit for read-only tokens is reached.
    pub(super) fn work(self: &Arc<Self>, access: Access) -> Option<ActiveRequest> {
        let mut slots = self.limiter.slots();
        let is_reader = slots.taken.get(&self.slot).is_some_and(|slot| slot.standing.is_of_reader());
        match access {
            // Counting visits every connection, so it is done only when a connection starts to use a read-only token.
            Access::ReadOnly if !is_reader && !slots.admit_reader(self.slot) => return None,
            Access::ReadOnly | Access::Control => {}
        }
        if let Some(slot) = slots.taken.get_mut(&self.slot) {
            let requests = match slot.standing {
                ConnectionState::Unauthenticated | ConnectionState::Idle { .. } => 1,
                ConnectionState::AtWork { requests, .. } => requests.saturating_add(1),
            };
            slot.standing = ConnectionState::AtWork { access, requests };
        }
        Some(ActiveRequest(self.clone()))
    }

    /// Returns true if the connection has not been authenticated yet.
    pub(super) fn is_unauthenticated(&self) -> bool {
        let slots = self.limiter.slots();
        slots.taken.get(&self.slot).is_some_and(|slot| slot.standing == ConnectionState::Unauthenticated)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.limiter.slots().free(Some(self.slot));
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut slots = self.0.limiter.slots();
        let since = slots.next();
        if let Some(slot) = slots.taken.get_mut(&self.0.slot) {
            slot.standing = match slot.standing {
                ConnectionState::AtWork { access, requests } if requests > 1 => {
                    ConnectionState::AtWork { access, requests: requests - 1 }
                }
                ConnectionState::AtWork { access, .. } => ConnectionState::Idle { access, since },
                other @ (ConnectionState::Unauthenticated | ConnectionState::Idle { .. }) => other,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn unauthenticated_clients_displace_only_the_oldest_unauthenticated_client() {
        let limiter = ConnectionLimiter::new(room(10, 2));
        let mut known = limiter.acquire(HERE).unwrap();
        let work = known.0.work(Access::Control).unwrap();
        let mut unauthenticated: Vec<_> = (0..5).map(|_| limiter.acquire(HERE).unwrap()).collect();
        let gone: Vec<bool> = unauthenticated.iter_mut().map(|(_, told)| is_told(told)).collect();
        assert_eq!(gone, [true, true, true, false, false]);
        assert!(!is_told(&mut known.1));
        drop(work);
        for _ in 0..5 {
            unauthenticated.push(limiter.acquire(HERE).unwrap());
        }
        assert!(!is_told(&mut known.1), "an idle one stays while there is room");
    }

    #[test]
    fn address_that_holds_most_places_loses_one_first() {
        let limiter = ConnectionLimiter::new(room(10, 3));
        let mut lone = limiter.acquire(THERE).unwrap();
        let mut many: Vec<_> = (0..20).map(|_| limiter.acquire(HERE).unwrap()).collect();
        assert!(!is_told(&mut lone.1), "it is the eldest of all, and the only one from there");
        let stay = many.iter_mut().filter_map(|(_, told)| (!is_told(told)).then_some(()));
        assert_eq!(stay.count(), 2);
    }

    #[test]
    fn longest_idle_leaves_first_and_none_at_work() {
        let limiter = ConnectionLimiter::new(room(3, 2));
        let mut places: Vec<_> = (0..3)
            .map(|_| {
                let (place, told) = limiter.acquire(HERE).unwrap();
                let work = place.work(Access::Control).unwrap();
                (place, told, Some(work))
            })
            .collect();
        assert!(limiter.acquire(HERE).is_none(), "all are at work");
        drop(places[1].2.take());
        drop(places[0].2.take());
        let (newcomer, _told) = limiter.acquire(HERE).unwrap();
        let gone: Vec<bool> = places.iter_mut().map(|(_, told, _)| is_told(told)).collect();
        assert_eq!(gone, [false, true, false]);
        let _work = newcomer.work(Access::Control).unwrap();
        let _next = limiter.acquire(HERE).unwrap();
        assert!(is_told(&mut places[0].1));
    }

    #[test]
    fn place_is_free_again_when_it_is_left() {
        let limiter = ConnectionLimiter::new(room(1, 1));
        let (place, _told) = limiter.acquire(HERE).unwrap();
        let first = place.work(Access::Control).unwrap();
        let second = place.work(Access::Control).unwrap();
        drop(first);
        assert!(limiter.acquire(HERE).is_none(), "a second request is being answered");
        drop((second, place));
        assert!(limiter.slots().taken.is_empty());
    }

    #[test]
    fn standing_comes_with_the_first_known_request() {
        let limiter = ConnectionLimiter::new(room(9, 9));
        let (place, _told) = limiter.acquire(HERE).unwrap();
        assert!(place.is_unauthenticated());
        drop(place.work(Access::Control).unwrap());
        assert!(!place.is_unauthenticated());
    }

    #[test]
    fn readers_have_a_share_and_leave_the_rest_to_control() {
        let limiter = ConnectionLimiter::new(ConnectionLimits { limit: 4, unauthenticated: 4, readers: 2 });
        let mut readers: Vec<_> = (0..2).map(|_| limiter.acquire(HERE).unwrap()).collect();
        let mut works: Vec<_> = readers.iter().map(|(place, _)| place.work(Access::ReadOnly)).collect();
        assert!(works.iter().all(Option::is_some));
        let (third, mut third_told) = limiter.acquire(HERE).unwrap();
        assert!(third.work(Access::ReadOnly).is_none(), "all readers are at work");
        assert!(
            readers[0].0.work(Access::ReadOnly).is_some(),
            "an admitted reader can send further requests"
        );
        let control: Vec<_> = (0..2).map(|_| limiter.acquire(HERE).unwrap()).collect();
        assert!(control.iter().all(|(place, _)| place.work(Access::Control).is_some()));
        assert!(is_told(&mut third_told), "it has no standing");
        drop(third);
        drop(control);
        works.swap_remove(1);
        let (fourth, _told) = limiter.acquire(HERE).unwrap();
        let work = fourth.work(Access::ReadOnly);
        assert!(work.is_some() && is_told(&mut readers[1].1) && !is_told(&mut readers[0].1));
    }

    #[test]
    fn a_connection_counts_as_the_access_of_its_last_request() {
        let limiter = ConnectionLimiter::new(ConnectionLimits { limit: 4, unauthenticated: 4, readers: 1 });
        let (one, mut told) = limiter.acquire(HERE).unwrap();
        drop(one.work(Access::ReadOnly));
        drop(one.work(Access::Control));
        let (other, _told) = limiter.acquire(HERE).unwrap();
        let work = other.work(Access::ReadOnly);
        assert!(work.is_some() && !is_told(&mut told));
        assert!(one.work(Access::ReadOnly).is_none());
    }

    fn room(limit: usize, unauthenticated: usize) -> ConnectionLimits {
        ConnectionLimits { limit, unauthenticated, readers: limit }
    }

    fn is_told(told: &mut oneshot::Receiver<()>) -> bool {
        told.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }
}
