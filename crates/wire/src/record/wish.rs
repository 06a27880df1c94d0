use super::ending::CauseRecord;
use longhaul_domain::Wish;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WishRecord {
    Cancel { cause: CauseRecord },
    Force { cause: CauseRecord },
    Pause,
    Resume,
    Retry,
}

impl From<&Wish> for WishRecord {
    fn from(wish: &Wish) -> Self {
        match *wish {
            Wish::Cancel { cause } => Self::Cancel { cause: cause.into() },
            Wish::Force { cause } => Self::Force { cause: cause.into() },
            Wish::Pause => Self::Pause,
            Wish::Resume => Self::Resume,
            Wish::RetryNow => Self::Retry,
        }
    }
}

impl From<WishRecord> for Wish {
    fn from(record: WishRecord) -> Self {
        match record {
            WishRecord::Cancel { cause } => Self::Cancel { cause: cause.into() },
            WishRecord::Force { cause } => Self::Force { cause: cause.into() },
            WishRecord::Pause => Self::Pause,
            WishRecord::Resume => Self::Resume,
            WishRecord::Retry => Self::RetryNow,
        }
    }
}
