//! The HTTP face of longhaul: JSON over HTTP/1.1 on a Unix socket.
//!
//! [`router`] answers requests out of an engine, [`serve`] carries it over a socket to its owner alone. Every answer
//! names the protocol in the header `longhaul-protocol` and the version in `longhaul-version`; every error is a
//! `application/problem+json` ([`longhaul_wire::api::Problem`]).
//!
//! | route | answer |
//! | --- | --- |
//! | `POST /v1/processes` | launches |
//! | `GET /v1/processes` | lists; what lives unless asked otherwise |
//! | `GET`, `PATCH /v1/processes/{ref}` | shows, takes in a report |
//! | `POST /v1/processes/{ref}/cancel`, `/pause`, `/resume`, `/retry`, `/restart`, `/complete`, `/fail` | asks for it |
//! | `GET /v1/processes/{ref}/output` | frames of output ([`longhaul_wire::output`]) |
//! | `GET /v1/wait` | parks until processes have ended or run |
//! | `GET /v1/version`, `GET /v1/health` | who answers, and that it does |
//!
//! `{ref}` is an id, `bg-<id>`, a unique prefix of 4 or more characters, a name, or `@last`.

mod body;
mod convert;
mod face;
mod fault;
mod query;
mod reference;
mod reply;
mod router;
mod routes;
mod serve;

pub use convert::LaunchDefaults;
pub use face::Face;
pub use router::router;
pub use serve::{Bounds, OpenConnections, serve};
