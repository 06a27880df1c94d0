//! Tokens that authenticate clients over the network.

use crate::private_file::{PrivateError, PrivateFileStamp, PrivateFiles};
use longhaul_client::StateDir;
use longhaul_http::{Access, TokenDigest, TokenVerifier};
use std::io;
use std::sync::{Mutex, PoisonError};

/// The tokens of a state directory. If a token file is changed, the change takes effect with the next request.
#[derive(Debug)]
pub(crate) struct Tokens {
    state: StateDir,
    control: Mutex<CachedToken>,
    reading: Mutex<CachedToken>,
}

/// Digest of a token file, with the file metadata from the time when the file was read.
#[derive(Clone, Copy, Debug)]
struct CachedToken {
    stamp: Option<PrivateFileStamp>,
    secret: Option<TokenDigest>,
}

/// Number of random bytes in a generated token.
const RANDOM_BYTES: usize = 32;
/// Allowed lengths of a token in bytes. The user may choose the token.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=512;

impl Tokens {
    /// Reads the tokens of a state directory, and creates the tokens that do not exist yet.
    pub(crate) fn prepare(state: StateDir) -> Result<Self, PrivateError> {
        let known = |access: Access| {
            let stamp = state.stamp(file(access));
            token(&state, access)
                .map(|token| Mutex::new(CachedToken { stamp, secret: Some(TokenDigest::of(&token)) }))
        };
        let (control, reading) = (known(Access::Control)?, known(Access::ReadOnly)?);
        Ok(Self { state, control, reading })
    }

    fn current(&self, access: Access) -> Option<TokenDigest> {
        let known = match access {
            Access::Control => &self.control,
            Access::ReadOnly => &self.reading,
        };
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = self.state.stamp(file(access));
        if known.stamp != stamp {
            let found = found(&self.state, access);
            if let Err(error) = &found {
                let why = error.why();
                tracing::warn!(%error, why, "the token file became unusable: clients with this token are \
                    refused");
            }
            *known = CachedToken { stamp, secret: found.ok().flatten().as_deref().map(TokenDigest::of) };
        }
        known.secret
    }
}

impl TokenVerifier for Tokens {
    fn admit(&self, token: &str) -> Option<Access> {
        let shown = TokenDigest::of(token);
        // Both tokens are always compared, so that the response time does not show which token matches.
        let [control, reading] = [Access::Control, Access::ReadOnly]
            .map(|access| self.current(access).is_some_and(|secret| secret.is(&shown)));
        match (control, reading) {
            (true, _) => Some(Access::Control),
            (false, true) => Some(Access::ReadOnly),
            (false, false) => None,
        }
    }
}

/// Returns the name of the file that contains a token.
pub(crate) const fn file(access: Access) -> &'static str {
    match access {
        Access::Control => "token",
        Access::ReadOnly => "token.read",
    }
}

/// Returns the existing token. Creates the token if there is none.
pub(crate) fn token(state: &StateDir, access: Access) -> Result<String, PrivateError> {
    if let Some(found) = found(state, access)? {
        return Ok(found);
    }
    write(state, access, false)?;
    // Another program may have created the token in the meantime, so read the token from the file.
    let path = || state.path().join(file(access));
    found(state, access)?.ok_or_else(|| PrivateError::Useless { path: path() })
}

/// Replaces a token with a new token. The manager no longer accepts the old token.
pub(crate) fn renew(state: &StateDir, access: Access) -> Result<String, PrivateError> {
    write(state, access, true)
}

fn found(state: &StateDir, access: Access) -> Result<Option<String>, PrivateError> {
    let Some(text) = state.read_private(file(access))? else {
        return Ok(None);
    };
    let token = text.trim_end_matches(['\n', '\r']);
    if LENGTHS.contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Some(token.to_owned()));
    }
    Err(PrivateError::Useless { path: state.path().join(file(access)) })
}

fn write(state: &StateDir, access: Access, replace: bool) -> Result<String, PrivateError> {
    let path = || state.path().join(file(access));
    let chance = chance().map_err(|source| PrivateError::Failed { path: path(), tried: "made", source })?;
    let begin = match access {
        Access::Control => "longhaul_",
        Access::ReadOnly => "longhaul_read_",
    };
    let digits: String = chance.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("{begin}{digits}");
    state.write_private(file(access), &format!("{token}\n"), replace)?;
    Ok(token)
}

fn chance() -> io::Result<[u8; RANDOM_BYTES]> {
    let mut bytes = [0; RANDOM_BYTES];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled == RANDOM_BYTES { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn tokens_are_made_once_and_each_opens_its_own_door() {
        let top = tempfile::tempdir().unwrap();
        let state = || StateDir::prepare(top.path()).unwrap();
        let control = token(&state(), Access::Control).unwrap();
        let reading = token(&state(), Access::ReadOnly).unwrap();
        assert_eq!(token(&state(), Access::Control).unwrap(), control);
        assert_ne!(control, reading);
        assert!(control.len() >= 64 && reading.starts_with("longhaul_read_"));
        let tokens = Tokens::prepare(state()).unwrap();
        assert_eq!(tokens.admit(&control), Some(Access::Control));
        assert_eq!(tokens.admit(&reading), Some(Access::ReadOnly));
        for other in ["", "longhaul_", &control[..control.len() - 1], &control.to_uppercase()] {
            assert_eq!(tokens.admit(other), None, "{other}");
        }
    }

    #[test]
    fn renewed_token_is_in_force_at_once_and_the_old_one_no_more() {
        let top = tempfile::tempdir().unwrap();
        let state = || StateDir::prepare(top.path()).unwrap();
        let tokens = Tokens::prepare(state()).unwrap();
        let old = token(&state(), Access::Control).unwrap();
        let new = renew(&state(), Access::Control).unwrap();
        assert_eq!((tokens.admit(&old), tokens.admit(&new)), (None, Some(Access::Control)));
        fs::remove_file(top.path().join("token")).unwrap();
        assert_eq!(tokens.admit(&new), None, "a removed token is rejected");
    }

    #[test]
    fn token_that_other_users_can_read_admits_no_client() {
        use std::os::unix::fs::PermissionsExt;
        let top = tempfile::tempdir().unwrap();
        let state = || StateDir::prepare(top.path()).unwrap();
        let tokens = Tokens::prepare(state()).unwrap();
        let control = token(&state(), Access::Control).unwrap();
        fs::set_permissions(top.path().join("token"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(tokens.admit(&control), None);
        assert!(matches!(Tokens::prepare(state()), Err(PrivateError::Open { .. })));
    }

    #[test]
    fn short_or_broken_token_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let state = || StateDir::prepare(top.path()).unwrap();
        for text in
            ["", "\n", "short\n", &"x".repeat(31), &format!("{} y\n", "x".repeat(40)), &"x".repeat(513)]
        {
            state().write_private("token", text, true).unwrap();
            assert!(
                matches!(token(&state(), Access::Control), Err(PrivateError::Useless { .. })),
                "{text:?}"
            );
        }
        state().write_private("token", &"x".repeat(32), true).unwrap();
        assert_eq!(token(&state(), Access::Control).unwrap(), "x".repeat(32));
    }
}
