//! The HTTP interface of longhaul: JSON over HTTP/1.1 on a Unix socket and, if configured, over the network.
//!
//! [`router`] answers requests by calling an [`Api`](longhaul_api::Api). [`serve`] offers the router on a Unix socket
//! to the owner of that socket only; [`serve_network`] offers it over TCP to clients that send a token. Every response
//! carries the protocol version in the header `longhaul-protocol` and the program version in `longhaul-version`. Every
//! error is an `application/problem+json` document ([`longhaul_wire::api::Problem`]).
//!
//! | route | action |
//! | --- | --- |
//! | `POST /v1/processes` | launches a process |
//! | `GET /v1/processes` | lists processes; by default only live processes |
//! | `GET`, `PATCH /v1/processes/{ref}` | shows a process, applies a report to it |
//! | `POST /v1/processes/{ref}/cancel` | cancels a process and all its descendants |
//! | `POST /v1/processes/{ref}/pause`, `/resume` | pauses or resumes a process, by default with all its descendants |
//! | `POST /v1/processes/{ref}/signal` | sends a signal to a process |
//! | `POST /v1/processes/{ref}/priority`, `/retry`, `/restart`, `/complete`, `/fail` | performs the named action |
//! | `GET /v1/processes/{ref}/why`, `/usage`, `/tree` | explains why a process waits, shows its resource usage, lists its descendants |
//! | `GET /v1/processes/{ref}/output` | streams the output as frames ([`longhaul_wire::output`]) |
//! | `POST /v1/cancel` | cancels one level of one tree or of all trees |
//! | `GET /v1/queues`, `GET`, `PATCH /v1/queues/{key}` | shows queues, changes the slots of a queue or holds it |
//! | `GET /v1/nodes`, `DELETE /v1/nodes/{node}` | shows the nodes of the store, removes a node |
//! | `POST /v1/nodes/{node}/drain`, `/undrain` | stops a node from claiming processes, allows it again |
//! | `GET /v1/sessions/{id}`, `POST /v1/sessions/{id}/end` | lists the processes of a session, ends the session |
//! | `GET /v1/stats` | counts processes by level and in total |
//! | `POST /v1/prune`, `/v1/reset` | deletes ended records, deletes all records |
//! | `POST /v1/restart-interrupted` | restarts interrupted processes |
//! | `GET /v1/wait` | waits until processes have ended or are running |
//! | `GET /v1/events`, `GET /v1/sessions/{id}/completions` | streams events, streams the completions of a session |
//! | `GET /v1/version`, `/v1/health`, `/v1/ready` | shows the version, reports that the manager answers, reports that its store answers |
//! | `GET /v1/openapi.json`, `GET /metrics` | describes this API, exports metrics for Prometheus |
//!
//! Each file of `routes` declares its paths together with their requests and responses. The router and the OpenAPI
//! document are built from the same declarations.
//!
//! Requests that act on one process accept `?revision=` or `If-Match`. Such a request is refused if the process has
//! another revision. Requests that create a process accept an `Idempotency-Key`. If the key was used before, the
//! manager compares the repeated request with the first one. For a launch, the key is the launch key and the work is
//! compared. For other requests, the path, the query and every byte of the body are compared. Every response has an
//! `x-request-id`.
//!
//! `{ref}` is an id, `bg-<id>`, a unique prefix of 4 or more characters, a name, or `@last`.

mod api_handle;
mod body;
#[cfg(feature = "decoders")]
pub mod decoders;
mod error_response;
mod guard;
mod idempotency;
mod json_rpc;
mod openapi;
mod precondition;
mod query;
mod reference;
mod reply;
mod request_id;
mod route;
mod router;
mod routes;
mod serve;
mod stream;

pub use guard::{Access, Guard, TokenDigest, TokenVerifier};
pub use router::router;
pub use serve::{Network, OpenConnections, ServerTls, SocketLimits, TlsError, serve, serve_network};
