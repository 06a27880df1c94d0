//! Stores that wrap another store and change only some of its methods.

// Without this lint, the compiler would accept a decorator that omits a store method: its default implementation would
// then run, and the call would never reach the inner store.
#![warn(clippy::missing_trait_methods)]

use crate::{
    AttemptKey, Change, ClaimCapacity, EventCursor, EventLog, EventPage, ForgetOutcome, KnownNode, Lease,
    Listing, Maintenance, Membership, NodeAdvertisement, NodeDescriptor, NodeUpdates, OutputTail,
    OutputTails, PageRequest, PlacementClass, ProcessFilter, ProcessStore, PrunedBatch, QueueState, Queues,
    ReconcileResult, Store, StoreError, StoredProcess, Submission, SubmitOutcome, Writer,
};
use async_trait::async_trait;
use longhaul_domain::{
    ActionSeq, AttemptNo, LiveStats, NodeId, OpId, PendingAction, Policy, PolicyVersion, ProcessId,
    Retention, Revision, SlotKey, Timestamp,
};
use std::fmt::Debug;

/// One call of a store method that can return an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCall {
    /// Store method that is called.
    pub method: StoreMethod,
    /// Id of the write: the op id that the caller passed, or the id of the submitted process. `None` for calls that
    /// have neither.
    pub op: Option<OpId>,
}

/// Expands to `true` for `write`, the mark of a method whose caller relies on a change to the store.
macro_rules! is_write {
    (read) => {
        false
    };
    (write) => {
        true
    };
}

/// Generates [`StoreDecorator`] and the store traits that it implements from one list of methods. The list has three
/// groups: synchronous methods (`tells`), async methods that cannot fail (`recalls`), and async methods that can fail
/// (`does`).
macro_rules! methods {
    ($($port:ident {
        tells { $($told:ident($($given:ident: $what:ty),*) -> $says:ty;)* }
        recalls { $($kept:ident($($held:ident: $had:ty),*) -> $gives:ty;)* }
        does {
            $($kind:ident $variant:ident = $method:ident($($arg:ident: $type:ty),*) -> $answer:ty $(, op $op:expr)?;)*
        }
    })*) => {
        /// A store method that can return an error.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum StoreMethod {
            $($(
                #[doc = concat!("[`", stringify!($port), "::", stringify!($method), "`](crate::", stringify!($port), "::", stringify!($method), ").")]
                $variant,
            )*)*
        }

        impl StoreMethod {
            /// All store methods that can return an error.
            pub const ALL: &[Self] = &[$($(Self::$variant),*),*];

            /// Returns true if the method changes the store and its caller relies on that change.
            #[must_use]
            pub const fn is_write(self) -> bool {
                match self {
                    $($(Self::$variant => is_write!($kind),)*)*
                }
            }
        }

        /// A store that wraps another store and overrides some of its methods.
        ///
        /// A type that implements this trait implements [`Store`] automatically. By default, every method calls the
        /// method with the same name on the inner store. Methods that can fail make this call through
        /// [`around`](Self::around). Methods that are added to a port later are forwarded too; a handwritten
        /// implementation of the port would miss them.
        ///
        /// A file that implements this trait must import the trait but none of the port traits, because the methods
        /// have the same names.
        #[async_trait]
        pub trait StoreDecorator: Debug + Send + Sync + 'static {
            /// Type of the inner store, such as `dyn Store` for any store.
            type Inner: Store + ?Sized;

            /// Returns the inner store.
            fn inner(&self) -> &Self::Inner;

            /// Executes one call of the inner store. All methods that can fail use this method, so an override affects
            /// all of them.
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
                    /// Returns the errors of the inner store.
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
            impl<D: StoreDecorator> $port for D {
                $(async fn $kept(&self, $($held: $had),*) -> $gives {
                    StoreDecorator::$kept(self, $($held),*).await
                })*
                $(fn $told(&self, $($given: $what),*) -> $says {
                    StoreDecorator::$told(self, $($given),*)
                })*
                $(async fn $method(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                    StoreDecorator::$method(self, $($arg),*).await
                })*
            }
        )*
    };
}

methods! {
    ProcessStore {
        tells {
            away_since() -> Option<Timestamp>;
            is_local_only(id: &ProcessId) -> bool;
        }
        recalls {
            load_cached(ids: &[ProcessId]) -> Vec<Option<StoredProcess>>;
            list_cached(filter: &ProcessFilter, page: &PageRequest) -> Option<Listing>;
        }
        does {
            write Submit = submit(new: Submission) -> SubmitOutcome, op OpId::new(*new.process.id.as_uuid());
            write Claim = claim(by: &Lease, room: &ClaimCapacity) -> Vec<StoredProcess>;
            write Commit = commit(change: Change) -> Revision, op change.op;
            write EnqueueAction = enqueue_action(id: &ProcessId, op: OpId, action: PendingAction) -> ActionSeq, op op;
            write UpdateLiveStats = update_live_stats(by: &Writer, live_stats: &[(ProcessId, AttemptNo, LiveStats)]) -> Vec<Result<(), StoreError>>;
            read Load = load(ids: &[ProcessId]) -> Vec<Option<StoredProcess>>;
            read LoadEach = load_each(ids: &[ProcessId]) -> Vec<Result<Option<StoredProcess>, StoreError>>;
            read List = list(filter: &ProcessFilter, page: &PageRequest) -> Listing;
            read IsDurable = is_durable(id: &ProcessId, attempt: AttemptNo) -> bool;
        }
    }
    Maintenance {
        tells {}
        recalls {}
        does {
            read ClaimDue = claim_due(by: &Lease, limit: u32) -> Vec<StoredProcess>;
            write Prune = prune(rule: &Retention, limit: u32) -> PrunedBatch;
            write Reconcile = reconcile(by: &Lease) -> ReconcileResult;
        }
    }
    Queues {
        tells {}
        recalls {}
        does {
            read Policy = policy() -> (PolicyVersion, Policy);
            write SetPolicy = set_policy(expected: PolicyVersion, policy: &Policy) -> PolicyVersion;
            read Queues = queues(only: Option<&SlotKey>) -> Vec<QueueState>;
            read LabelClasses = label_classes() -> Vec<PlacementClass>;
        }
    }
    EventLog {
        tells {}
        recalls {}
        does {
            read Read = read(after: Option<EventCursor>, limit: u32, wait: bool) -> EventPage;
            read End = end() -> EventCursor;
        }
    }
    OutputTails {
        tells {}
        recalls {}
        does {
            write StoreTail = store_tail(by: &Lease, key: AttemptKey, tail: &OutputTail) -> bool;
            read LoadTail = load_tail(id: ProcessId) -> Option<(AttemptNo, OutputTail)>;
        }
    }
    Membership {
        tells {
            leases_expire() -> bool;
        }
        recalls {}
        does {
            write Register = register(me: &NodeDescriptor) -> Lease;
            read RenewLease = renew_lease(by: &Lease) -> NodeUpdates;
            read WaitForUpdates = wait_for_updates(by: &Lease) -> NodeUpdates;
            write Leave = leave(by: &Lease) -> ();
            read Nodes = nodes() -> Vec<NodeDescriptor>;
            write Advertise = advertise(by: &Lease, offer: &NodeAdvertisement) -> ();
            read ListNodes = list_nodes() -> Vec<KnownNode>;
            write Drain = drain(node: &NodeId, drain: bool) -> bool;
            write Forget = forget(node: &NodeId) -> ForgetOutcome;
        }
    }
}
