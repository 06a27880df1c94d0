//! Stores around stores: whatever is not overridden reaches the store inside.

// A method with a default that were missing below would end here instead of in the store inside.
#![warn(clippy::missing_trait_methods)]

use crate::{
    AttemptKey, Author, Calls, Change, Cursor, EventLog, EventPage, Filter, KeptTail, KnownNode, Lease,
    Listing, Membership, NodeFacts, NodeOffer, PageAsk, Parting, PlacementClass, ProcessStore, QueueView,
    Queues, Reconciled, Room, Store, StoreError, Stored, Submission, Submitted, Swept, Tails, Upkeep,
};
use async_trait::async_trait;
use longhaul_domain::{
    AttemptNo, NodeId, OpId, Policy, PolicyVersion, ProcessId, Retention, Revision, SlotKey, Timestamp,
    Vitals, Wish, WishNo,
};
use std::fmt::Debug;

/// One call of a method that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCall {
    /// The method.
    pub method: StoreMethod,
    /// The identity of the write: the op that the caller gave, or the id of the process that is submitted; none for all
    /// else.
    pub op: Option<OpId>,
}

/// Whether the caller relies on a change that the method makes.
macro_rules! is_write {
    (read) => {
        false
    };
    (write) => {
        true
    };
}

/// Makes [`Decorator`], and from it the traits of a store, out of one list of methods: those that neither wait nor fail,
/// those that wait and do not fail, and all others.
macro_rules! methods {
    ($($port:ident {
        tells { $($told:ident($($given:ident: $what:ty),*) -> $says:ty;)* }
        recalls { $($kept:ident($($held:ident: $had:ty),*) -> $gives:ty;)* }
        does {
            $($kind:ident $variant:ident = $method:ident($($arg:ident: $type:ty),*) -> $answer:ty $(, op $op:expr)?;)*
        }
    })*) => {
        /// A method of a store that may fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StoreMethod {
            $($(
                #[doc = concat!("[`", stringify!($port), "::", stringify!($method), "`](crate::", stringify!($port), "::", stringify!($method), ").")]
                $variant,
            )*)*
        }

        impl StoreMethod {
            /// All of them.
            pub const ALL: &[Self] = &[$($(Self::$variant),*),*];

            /// Whether the caller relies on a change that the method makes.
            #[must_use]
            pub const fn is_write(self) -> bool {
                match self {
                    $($(Self::$variant => is_write!($kind),)*)*
                }
            }
        }

        /// A store that does what another one does, except for what it overrides.
        ///
        /// Whoever implements this implements [`Store`]. Every method calls the one of the same name of the store inside,
        /// through [`around`](Self::around) where it may fail. A method that a later version of a port gets is passed on
        /// as well, which a handwritten implementation of the port would not do.
        ///
        /// A file that implements it imports this trait and none of those of the ports, which have methods of the same
        /// names.
        #[async_trait]
        pub trait Decorator: Debug + Send + Sync + 'static {
            /// The store inside; `dyn Store` for any.
            type Inner: Store + ?Sized;

            /// The store inside.
            fn inner(&self) -> &Self::Inner;

            /// Does one call of the store inside. What is overridden here applies to every method that may fail.
            fn around<T: Send>(
                &self,
                call: StoreCall,
                work: impl Future<Output = Result<T, StoreError>> + Send,
            ) -> impl Future<Output = Result<T, StoreError>> + Send {
                let _ = call;
                work
            }

            $(
                $(
                    #[doc = concat!("As [`", stringify!($port), "::", stringify!($kept), "`](crate::", stringify!($port), "::", stringify!($kept), ").")]
                    async fn $kept(&self, $($held: $had),*) -> $gives {
                        $port::$kept(self.inner(), $($held),*).await
                    }
                )*
                $(
                    #[doc = concat!("As [`", stringify!($port), "::", stringify!($told), "`](crate::", stringify!($port), "::", stringify!($told), ").")]
                    fn $told(&self, $($given: $what),*) -> $says {
                        $port::$told(self.inner(), $($given),*)
                    }
                )*
                $(
                    #[doc = concat!("As [`", stringify!($port), "::", stringify!($method), "`](crate::", stringify!($port), "::", stringify!($method), ").")]
                    ///
                    /// # Errors
                    /// Those of the store inside.
                    async fn $method(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                        let op = None $(.or(Some($op)))?;
                        let call = StoreCall { method: StoreMethod::$variant, op };
                        self.around(call, $port::$method(self.inner(), $($arg),*)).await
                    }
                )*
            )*
        }

        $(
            #[async_trait]
            impl<D: Decorator> $port for D {
                $(async fn $kept(&self, $($held: $had),*) -> $gives {
                    Decorator::$kept(self, $($held),*).await
                })*
                $(fn $told(&self, $($given: $what),*) -> $says {
                    Decorator::$told(self, $($given),*)
                })*
                $(async fn $method(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                    Decorator::$method(self, $($arg),*).await
                })*
            }
        )*
    };
}

methods! {
    ProcessStore {
        tells {
            away_since() -> Option<Timestamp>;
            is_alone(id: &ProcessId) -> bool;
        }
        recalls {
            recall(ids: &[ProcessId]) -> Vec<Option<Stored>>;
            recall_page(filter: &Filter, page: &PageAsk) -> Option<Listing>;
        }
        does {
            write Submit = submit(new: Submission) -> Submitted, op OpId::new(*new.process.id.as_uuid());
            write Claim = claim(by: &Lease, room: &Room) -> Vec<Stored>;
            write Commit = commit(change: Change) -> Revision, op change.op;
            write Wish = wish(id: &ProcessId, op: OpId, wish: Wish) -> WishNo, op op;
            write Touch = touch(by: &Author, vitals: &[(ProcessId, AttemptNo, Vitals)]) -> Vec<Result<(), StoreError>>;
            read Load = load(ids: &[ProcessId]) -> Vec<Option<Stored>>;
            read LoadEach = load_each(ids: &[ProcessId]) -> Vec<Result<Option<Stored>, StoreError>>;
            read List = list(filter: &Filter, page: &PageAsk) -> Listing;
            read IsKept = is_kept(id: &ProcessId, attempt: AttemptNo) -> bool;
        }
    }
    Upkeep {
        tells {}
        recalls {}
        does {
            read Attention = attention(by: &Lease, most: u32) -> Vec<Stored>;
            write Sweep = sweep(rule: &Retention, most: u32) -> Swept;
            write Reconcile = reconcile(by: &Lease) -> Reconciled;
        }
    }
    Queues {
        tells {}
        recalls {}
        does {
            read Policy = policy() -> (PolicyVersion, Policy);
            write SetPolicy = set_policy(expected: PolicyVersion, policy: &Policy) -> PolicyVersion;
            read Queues = queues(only: Option<&SlotKey>) -> Vec<QueueView>;
            read LabelClasses = label_classes() -> Vec<PlacementClass>;
        }
    }
    EventLog {
        tells {}
        recalls {}
        does {
            read Read = read(after: Option<Cursor>, most: u32, wait: bool) -> EventPage;
            read End = end() -> Cursor;
        }
    }
    Tails {
        tells {}
        recalls {}
        does {
            write KeepTail = keep_tail(by: &Lease, key: AttemptKey, tail: &KeptTail) -> bool;
            read KeptTail = kept_tail(id: ProcessId) -> Option<(AttemptNo, KeptTail)>;
        }
    }
    Membership {
        tells {
            leases_end() -> bool;
        }
        recalls {}
        does {
            write Register = register(me: &NodeFacts) -> Lease;
            read Beat = beat(by: &Lease) -> Calls;
            read Called = called(by: &Lease) -> Calls;
            write Leave = leave(by: &Lease) -> ();
            read Nodes = nodes() -> Vec<NodeFacts>;
            write Announce = announce(by: &Lease, offer: &NodeOffer) -> ();
            read KnownNodes = known_nodes() -> Vec<KnownNode>;
            write Drain = drain(node: &NodeId, drain: bool) -> bool;
            write Forget = forget(node: &NodeId) -> Parting;
        }
    }
}
