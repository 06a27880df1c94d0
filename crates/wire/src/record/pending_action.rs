use super::ending::CauseRecord;
use super::spec::SessionPolicyRecord;
use super::{RecordDecodeError, is_zero};
use longhaul_domain::{PendingAction, Signal, SignalTarget};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PendingActionRecord {
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

impl From<&PendingAction> for PendingActionRecord {
    fn from(action: &PendingAction) -> Self {
        match *action {
            PendingAction::Cancel { cause } => Self::Cancel { cause: cause.into() },
            PendingAction::Force { cause } => Self::Force { cause: cause.into() },
            PendingAction::Pause => Self::Pause,
            PendingAction::Resume => Self::Resume,
            PendingAction::RetryNow => Self::Retry,
            PendingAction::Terminate { cause, force } => Self::Terminate { cause: cause.into(), force },
            PendingAction::Signal { signal, target } => {
                Self::Signal { number: signal.number(), tree: target == SignalTarget::Tree }
            }
            PendingAction::EndSession { policy } => Self::EndSession { policy: policy.map(Into::into) },
        }
    }
}

impl TryFrom<PendingActionRecord> for PendingAction {
    type Error = RecordDecodeError;

    fn try_from(record: PendingActionRecord) -> Result<Self, RecordDecodeError> {
        Ok(match record {
            PendingActionRecord::Cancel { cause } => Self::Cancel { cause: cause.into() },
            PendingActionRecord::Force { cause } => Self::Force { cause: cause.into() },
            PendingActionRecord::Pause => Self::Pause,
            PendingActionRecord::Resume => Self::Resume,
            PendingActionRecord::Retry => Self::RetryNow,
            PendingActionRecord::Terminate { cause, force } => Self::Terminate { cause: cause.into(), force },
            PendingActionRecord::Signal { number, tree } => {
                Self::Signal { signal: signal(number)?, target: signal_target(tree) }
            }
            PendingActionRecord::EndSession { policy } => {
                Self::EndSession { policy: policy.map(SessionPolicyRecord::try_into).transpose()? }
            }
        })
    }
}

pub(super) fn signal(number: u8) -> Result<Signal, RecordDecodeError> {
    Signal::new(number).map_err(|none| RecordDecodeError::damaged(none.to_string()))
}

pub(super) const fn signal_target(tree: bool) -> SignalTarget {
    if tree { SignalTarget::Tree } else { SignalTarget::Main }
}
