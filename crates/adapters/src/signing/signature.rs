//! What a seal says.

use super::key::{CODE, KeyId, digits, undigits};
use longhaul_domain::{LaunchSignature, Timestamp};

/// The version of seals that is written here, and the only one that is read.
const VERSION: &str = "1";

/// What a seal says, without whether it is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignatureText {
    pub(super) key: KeyId,
    /// Until when the launch may be started.
    pub(super) until: Timestamp,
    pub(super) code: [u8; CODE],
    /// Who accepted it, and as whom it runs.
    pub(super) user: String,
}

impl SignatureText {
    pub(super) fn launch_signature(&self) -> LaunchSignature {
        let Self { key, until, code, user } = self;
        LaunchSignature(format!("{VERSION}.{key}.{}.{}.{user}", until.0, digits(code)))
    }

    /// None if it is no seal of this version, or is written in another way than here.
    pub(super) fn read(launch_signature: &LaunchSignature) -> Option<Self> {
        // The name of a user may have dots.
        let mut parts = launch_signature.0.splitn(5, '.');
        let version = parts.next()?;
        let key = KeyId::read(parts.next()?)?;
        let until = Timestamp(parts.next()?.parse().ok()?);
        let code = undigits(parts.next()?)?;
        let user = parts.next()?.to_owned();
        let mark = Self { key, until, code, user };
        (version == VERSION && mark.launch_signature() == *launch_signature).then_some(mark)
    }
}
