//! The command `longhaul token`.

use crate::failure::ProgramError;
use crate::token;
use longhaul_cli::TokenArgs;
use longhaul_client::StateDir;
use longhaul_http::Access;
use serde_json::json;
use std::path::Path;

/// Returns the token to print. Creates the token if there is none.
pub(crate) fn token_verb(state_dir: &Path, args: &TokenArgs, as_json: bool) -> Result<String, ProgramError> {
    let state = StateDir::prepare(state_dir)?;
    let (access, word) = match args.read_only {
        true => (Access::ReadOnly, "read_only"),
        false => (Access::Control, "control"),
    };
    let token = match args.rotate {
        true => token::renew(&state, access),
        false => token::token(&state, access),
    };
    let token = token?;
    if as_json {
        let path = state.path().join(token::file(access));
        let answer = json!({
            "schema": "longhaul/token/v1",
            "access": word,
            "token": token,
            "path": path.to_string_lossy(),
        });
        return Ok(format!("{answer:#}\n"));
    }
    Ok(format!("{token}\n"))
}
