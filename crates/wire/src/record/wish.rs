use super::ending::CauseRecord;
use super::spec::SessionPolicyRecord;
use super::{BrokenRecord, is_zero};
use longhaul_domain::{Signal, SignalTarget, Wish};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WishRecord {
    Cancel {
        cause: CauseRecord,
    },
    Force {
        cause: CauseRecord,
    },
    Pause,
    Resume,
    Retry,
    Terminate {
        cause: CauseRecord,
        #[serde(default, skip_serializing_if = "is_zero")]
        force: bool,
    },
    Signal {
        number: u8,
        #[serde(default, skip_serializing_if = "is_zero")]
        tree: bool,
    },
    EndSession {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<SessionPolicyRecord>,
    },
}

impl From<&Wish> for WishRecord {
    fn from(wish: &Wish) -> Self {
        match *wish {
            Wish::Cancel { cause } => Self::Cancel { cause: cause.into() },
            Wish::Force { cause } => Self::Force { cause: cause.into() },
            Wish::Pause => Self::Pause,
            Wish::Resume => Self::Resume,
            Wish::RetryNow => Self::Retry,
            Wish::Terminate { cause, force } => Self::Terminate { cause: cause.into(), force },
            Wish::Signal { signal, target } => {
                Self::Signal { number: signal.number(), tree: target == SignalTarget::Tree }
            }
            Wish::EndSession { policy } => Self::EndSession { policy: policy.map(Into::into) },
        }
    }
}

impl TryFrom<WishRecord> for Wish {
    type Error = BrokenRecord;

    fn try_from(record: WishRecord) -> Result<Self, BrokenRecord> {
        Ok(match record {
            WishRecord::Cancel { cause } => Self::Cancel { cause: cause.into() },
            WishRecord::Force { cause } => Self::Force { cause: cause.into() },
            WishRecord::Pause => Self::Pause,
            WishRecord::Resume => Self::Resume,
            WishRecord::Retry => Self::RetryNow,
            WishRecord::Terminate { cause, force } => Self::Terminate { cause: cause.into(), force },
            WishRecord::Signal { number, tree } => {
                Self::Signal { signal: signal(number)?, target: signal_target(tree) }
            }
            WishRecord::EndSession { policy } => {
                Self::EndSession { policy: policy.map(SessionPolicyRecord::try_into).transpose()? }
            }
        })
    }
}

pub(super) fn signal(number: u8) -> Result<Signal, BrokenRecord> {
    Signal::new(number).map_err(|none| BrokenRecord::damaged(none.to_string()))
}

pub(super) const fn signal_target(tree: bool) -> SignalTarget {
    if tree { SignalTarget::Tree } else { SignalTarget::Main }
}
