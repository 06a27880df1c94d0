//! The HTTP face of longhaul: JSON over HTTP/1.1 on a Unix socket.
//!
//! [`router`] answers requests out of an [`Api`](longhaul_api::Api), [`serve`] carries it over a socket to its owner alone. Every answer
//! names the protocol in the header `longhaul-protocol` and the version in `longhaul-version`; every error is a
//! `application/problem+json` ([`longhaul_wire::api::Problem`]).
//!
//! | route | answer |
//! | --- | --- |
//! | `POST /v1/processes` | launches |
//! | `GET /v1/processes` | lists; what lives unless asked otherwise |
//! | `GET`, `PATCH /v1/processes/{ref}` | shows, takes in a report |
//! | `POST /v1/processes/{ref}/cancel` | ends it with all its descendants |
//! | `POST /v1/processes/{ref}/pause`, `/resume` | halts it with all its descendants, lets them go on; it alone if asked |
//! | `POST /v1/processes/{ref}/signal` | sends a signal to it |
//! | `POST /v1/processes/{ref}/priority`, `/retry`, `/restart`, `/complete`, `/fail` | asks for it |
//! | `GET /v1/processes/{ref}/why`, `/usage`, `/tree` | why it waits, what it uses, all below it |
//! | `GET /v1/processes/{ref}/output` | frames of output ([`longhaul_wire::output`]) |
//! | `POST /v1/cancel` | ends one level of a tree, or of all |
//! | `GET /v1/queues`, `GET`, `PATCH /v1/queues/{key}` | shows queues, changes their slots, holds them |
//! | `GET /v1/nodes`, `DELETE /v1/nodes/{node}` | shows the nodes of the store, lets go of one |
//! | `POST /v1/nodes/{node}/drain`, `/undrain` | lets it claim nothing, or claim again |
//! | `GET /v1/sessions/{id}`, `POST /v1/sessions/{id}/end` | lists a session, ends it |
//! | `GET /v1/stats` | counts by level and in total |
//! | `POST /v1/prune`, `/v1/reset` | lets ended records go, or everything |
//! | `POST /v1/restart-interrupted` | runs interrupted work again |
//! | `GET /v1/wait` | parks until processes have ended or run |
//! | `GET /v1/events`, `GET /v1/sessions/{id}/completions` | streams what becomes true, and the ends of a session |
//! | `GET /v1/version`, `/v1/health`, `/v1/ready` | who answers, that it does, and that it can work |
//! | `GET /v1/openapi.json`, `GET /metrics` | describes all this; numbers for Prometheus |
//!
//! Each file of `routes` says where its routes are, what they take and what they give: the router and the OpenAPI
//! document are made of the same entries.
//!
//! Commands to one process take `?revision=` or `If-Match`: they are refused if it has moved on from there. What makes
//! something new takes an `Idempotency-Key`, which is the launch key of a launch: there the work itself is compared,
//! elsewhere the path, the query and the body to the byte. Every answer has an `x-request-id`.
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
