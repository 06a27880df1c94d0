//! The ports of longhaul: the traits through which its engine uses stores, spawners, clocks and other outside services.
//!
//! Each file defines one trait with its guarantees and errors. For each guarantee, `longhaul-testkit` contains a test
//! rule of the same name; every adapter runs these rules.

mod artifact_store;
mod clock;
mod decorator;
mod environment_store;
mod events;
mod ids;
mod inspect;
mod maintenance;
mod membership;
mod migrate;
mod node;
mod output;
mod output_tails;
mod peers;
mod prober;
mod queues;
mod reader_cursors;
mod restore;
mod signer;
mod spawner;
mod store;
mod test_files;
mod webhook;

pub use artifact_store::{
    ArtifactChunk, ArtifactError, ArtifactLimits, ArtifactRequest, ArtifactStore, NoopArtifactStore,
};
pub use clock::{Clock, WallTime};
pub use decorator::{StoreCall, StoreDecorator, StoreMethod};
pub use environment_store::{EnvironmentStore, EnvironmentStoreError};
pub use events::{EventCursor, EventLog, EventPage, LoggedEvent};
pub use ids::IdSource;
pub use inspect::{ListeningPort, MAX_MEMBERS, TreeSnapshot};
pub use maintenance::{Maintenance, PrunedBatch};
pub use membership::{Lease, Membership, NodeDescriptor, NodeHome, NodeUpdates};
pub use migrate::{Migrate, RegisteredNode, RetiredLaunchKey, StoreMetadata, Tombstone};
pub use node::{ForgetOutcome, KnownNode, NodeAdvertisement, Presence};
pub use output::{
    Loss, OutputChunk, OutputError, OutputLocation, OutputLog, OutputPage, OutputRead, OutputSize,
    OutputStream as OutputSource, ProgressPage,
};
pub use output_tails::{OutputTail, OutputTails};
pub use peers::{PeerBody, PeerError, PeerHttpRequest, PeerResponse, PeerTransport};
pub use prober::{NoopProber, ProbeCommand, Prober};
pub use queues::{QueueState, Queues};
pub use reader_cursors::{ClosedReader, ReaderCursorError, ReaderCursors};
pub use restore::{HighWaterMarks, History, ReconcileResult, RecordPosition, Restore, RestoreOutcome};
pub use signer::{LaunchSigner, LaunchTarget, NoopSigner, SignatureError};
pub use spawner::{
    Adopted, AttemptKey, LeaseEnd, SpawnError, Spawner, SpawnerEvent, StartRequest, StopRequest,
};
pub use store::{
    BoxedError, Change, ClaimCapacity, ClaimRequest, Listing, PageKey, PageRequest, PlacementClass,
    ProcessFilter, ProcessStore, SortOrder, Store, StoreError, StoreRejection, StoredProcess, Submission,
    SubmitLimits, SubmitOutcome, Writer, max_pending_actions,
};
pub use test_files::{
    FilePart, FoundReport, FoundReports, MAX_REFUSED_REPORTS, MAX_REPORTS, NoopTestFiles, RefusedReport,
    ReportDirectory, ReportIdentity, TestFileError, TestFiles,
};
pub use webhook::{WebhookRequest, WebhookResponse, WebhookTransport, WebhookTransportError};
