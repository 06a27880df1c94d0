//! Text form of a launch signature.

use super::key::{CODE, KeyId, digits, undigits};
use longhaul_domain::{LaunchSignature, Timestamp};

/// Version of the launch signatures that this program writes. It accepts no other version.
const VERSION: &str = "1";

/// Fields of a launch signature that is not yet verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignatureText {
    pub(super) key: KeyId,
    /// Time until which the launch may be started.
    pub(super) until: Timestamp,
    pub(super) code: [u8; CODE],
    /// Name of the user who accepted the launch. The command runs as this user.
    pub(super) user: String,
}

impl SignatureText {
    pub(super) fn launch_signature(&self) -> LaunchSignature {
        let Self { key, until, code, user } = self;
        LaunchSignature(format!("{VERSION}.{key}.{}.{}.{user}", until.0, digits(code)))
    }

    /// Parses a launch signature. Returns `None` if the version is different or the text is not in canonical form.
    pub(super) fn read(launch_signature: &LaunchSignature) -> Option<Self> {
        // The user name comes last because it may contain dots.
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
