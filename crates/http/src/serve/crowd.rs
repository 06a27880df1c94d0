//! Who is connected over the network, and who has to leave when there is no more room.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Who is connected over the network, and who has to leave when there is no more room.
///
/// A client has a standing of its own with its first request that carries a token. Those without one compete for a
/// small number of places among themselves: whoever waits longest goes, of the address that holds most of them. So
/// strangers can crowd out strangers, and nobody else.
#[derive(Clone, Debug)]
pub(super) struct Crowd(Arc<Mutex<Seats>>);

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Connections in all.
    pub(super) most: usize,
    /// Connections without a standing.
    pub(super) strangers: usize,
}

#[derive(Debug)]
struct Seats {
    room: Room,
    /// Counts up, so that what is older has the smaller number.
    turn: u64,
    taken: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    peer: IpAddr,
    standing: Standing,
    /// Dropped, it tells the connection to go.
    _leave: oneshot::Sender<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Stranger,
    Idle { since: u64 },
    AtWork { requests: u32 },
}

/// A place in the crowd; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    seat: u64,
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Work(Arc<Place>);

impl Crowd {
    pub(super) fn new(room: Room) -> Self {
        Self(Arc::new(Mutex::new(Seats { room, turn: 0, taken: BTreeMap::new() })))
    }

    /// Takes a place, of someone else if need be; none if all are at work. What is received tells to leave.
    pub(super) fn enter(&self, peer: IpAddr) -> Option<(Arc<Place>, oneshot::Receiver<()>)> {
        let mut seats = self.seats();
        let Room { most, strangers } = seats.room;
        if seats.strangers().count() >= strangers {
            let eldest = seats.eldest_of_the_most();
            seats.free(eldest);
        }
        if seats.taken.len() >= most {
            let leaves = seats.longest_idle().or_else(|| seats.eldest_of_the_most());
            seats.free(Some(leaves?));
        }
        let (leave, told) = oneshot::channel();
        let seat = seats.next();
        seats.taken.insert(seat, Seat { peer, standing: Standing::Stranger, _leave: leave });
        Some((Arc::new(Place { crowd: self.clone(), seat }), told))
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seats {
    fn next(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    fn strangers(&self) -> impl Iterator<Item = (u64, IpAddr)> {
        let strangers = self.taken.iter().filter(|(_, seat)| seat.standing == Standing::Stranger);
        strangers.map(|(number, seat)| (*number, seat.peer))
    }

    fn eldest_of_the_most(&self) -> Option<u64> {
        let mut held: HashMap<IpAddr, (usize, u64)> = HashMap::new();
        for (number, peer) in self.strangers() {
            // The first that is met is the eldest.
            held.entry(peer).or_insert((0, number)).0 += 1;
        }
        held.into_values().max_by_key(|(count, eldest)| (*count, u64::MAX - eldest)).map(|(_, eldest)| eldest)
    }

    fn longest_idle(&self) -> Option<u64> {
        let idle = self.taken.iter().filter_map(|(number, seat)| match seat.standing {
            Standing::Idle { since } => Some((since, *number)),
            Standing::Stranger | Standing::AtWork { .. } => None,
        });
        idle.min().map(|(_, number)| number)
    }

    fn free(&mut self, seat: Option<u64>) {
        if let Some(seat) = seat {
            self.taken.remove(&seat);
        }
    }
}

impl Place {
    /// A known client asks: from now on it has a standing of its own.
    pub(super) fn work(self: &Arc<Self>) -> Work {
        let mut seats = self.crowd.seats();
        if let Some(seat) = seats.taken.get_mut(&self.seat) {
            seat.standing = match seat.standing {
                Standing::Stranger | Standing::Idle { .. } => Standing::AtWork { requests: 1 },
                Standing::AtWork { requests } => Standing::AtWork { requests: requests.saturating_add(1) },
            };
        }
        Work(self.clone())
    }

    /// Whether no known client has asked yet.
    pub(super) fn is_of_stranger(&self) -> bool {
        let seats = self.crowd.seats();
        seats.taken.get(&self.seat).is_some_and(|seat| seat.standing == Standing::Stranger)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.seats().free(Some(self.seat));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut seats = self.0.crowd.seats();
        let since = seats.next();
        if let Some(seat) = seats.taken.get_mut(&self.0.seat) {
            seat.standing = match seat.standing {
                Standing::AtWork { requests } if requests > 1 => Standing::AtWork { requests: requests - 1 },
                Standing::AtWork { .. } => Standing::Idle { since },
                other @ (Standing::Stranger | Standing::Idle { .. }) => other,
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
    fn strangers_crowd_out_the_eldest_stranger_and_nobody_known() {
        let crowd = Crowd::new(Room { most: 10, strangers: 2 });
        let mut known = crowd.enter(HERE).unwrap();
        let work = known.0.work();
        let mut strangers: Vec<_> = (0..5).map(|_| crowd.enter(HERE).unwrap()).collect();
        let gone: Vec<bool> = strangers.iter_mut().map(|(_, told)| is_told(told)).collect();
        assert_eq!(gone, [true, true, true, false, false]);
        assert!(!is_told(&mut known.1));
        drop(work);
        for _ in 0..5 {
            strangers.push(crowd.enter(HERE).unwrap());
        }
        assert!(!is_told(&mut known.1), "an idle one stays while there is room");
    }

    #[test]
    fn address_that_holds_most_places_loses_one_first() {
        let crowd = Crowd::new(Room { most: 10, strangers: 3 });
        let mut lone = crowd.enter(THERE).unwrap();
        let mut many: Vec<_> = (0..20).map(|_| crowd.enter(HERE).unwrap()).collect();
        assert!(!is_told(&mut lone.1), "it is the eldest of all, and the only one from there");
        let stay = many.iter_mut().filter_map(|(_, told)| (!is_told(told)).then_some(()));
        assert_eq!(stay.count(), 2);
    }

    #[test]
    fn longest_idle_leaves_first_and_none_at_work() {
        let crowd = Crowd::new(Room { most: 3, strangers: 2 });
        let mut places: Vec<_> = (0..3)
            .map(|_| {
                let (place, told) = crowd.enter(HERE).unwrap();
                let work = place.work();
                (place, told, Some(work))
            })
            .collect();
        assert!(crowd.enter(HERE).is_none(), "all are at work");
        drop(places[1].2.take());
        drop(places[0].2.take());
        let (newcomer, _told) = crowd.enter(HERE).unwrap();
        let gone: Vec<bool> = places.iter_mut().map(|(_, told, _)| is_told(told)).collect();
        assert_eq!(gone, [false, true, false]);
        let _work = newcomer.work();
        let _next = crowd.enter(HERE).unwrap();
        assert!(is_told(&mut places[0].1));
    }

    #[test]
    fn place_is_free_again_when_it_is_left() {
        let crowd = Crowd::new(Room { most: 1, strangers: 1 });
        let (place, _told) = crowd.enter(HERE).unwrap();
        let first = place.work();
        let second = place.work();
        drop(first);
        assert!(crowd.enter(HERE).is_none(), "a second request is being answered");
        drop((second, place));
        assert!(crowd.seats().taken.is_empty());
    }

    #[test]
    fn standing_comes_with_the_first_known_request() {
        let crowd = Crowd::new(Room { most: 9, strangers: 9 });
        let (place, _told) = crowd.enter(HERE).unwrap();
        assert!(place.is_of_stranger());
        drop(place.work());
        assert!(!place.is_of_stranger());
    }

    fn is_told(told: &mut oneshot::Receiver<()>) -> bool {
        told.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }
}
