//! The ports of longhaul: what its engine asks of the outside.
//!
//! One trait a file, each with its promise and its errors. A promise made here has a rule of the same name in
//! `longhaul-testkit`, which every adapter runs.

mod bookmarks;
mod clock;
mod decorator;
mod events;
mod ids;
mod known_node;
mod look;
mod membership;
mod migrate;
mod notary;
mod output;
mod peers;
mod post;
mod prober;
mod queues;
mod restore;
mod spawner;
mod store;
mod tails;
mod upkeep;
mod vault;

pub use bookmarks::{BookmarkError, Bookmarks, Closed};
pub use clock::{Clock, WallTime};
pub use decorator::{Decorator, StoreCall, StoreMethod};
pub use events::{Cursor, EventLog, EventPage, Logged};
pub use ids::IdSource;
pub use known_node::{KnownNode, NodeOffer, Parting, Presence};
pub use look::{ListeningPort, MOST_MEMBERS, TreeLook};
pub use membership::{Calls, Home, Lease, Membership, NodeFacts};
pub use migrate::{Books, Member, Migrate, OldKey, Tombstone};
pub use notary::{Here, NoNotary, Notary, SealFault};
pub use output::{
    Chunk, Loss, OutputError, OutputLog, OutputPage, OutputPlace, OutputSize, Source as OutputSource, Wanted,
};
pub use peers::{PeerAnswer, PeerBody, PeerCall, PeerError, Peers};
pub use post::{Letter, Post, PostError, Receipt};
pub use prober::{NoProber, ProbeOrder, Prober};
pub use queues::{QueueView, Queues};
pub use restore::{Footing, History, Marks, Reconciled, Restore, Restored};
pub use spawner::{AttemptKey, Found, LeaseEnd, Seen, SpawnError, Spawner, StartOrder, StopOrder};
pub use store::{
    Author, Change, Claimant, Filter, Limits, Listing, Order, PageAsk, PageKey, PlacementClass, ProcessStore,
    Refusal, Room, Source, Store, StoreError, Stored, Submission, Submitted, most_wishes,
};
pub use tails::{KeptTail, Tails};
pub use upkeep::{Swept, Upkeep};
pub use vault::{Vault, VaultError};
