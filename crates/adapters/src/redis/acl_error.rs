//! Permission errors of the server.

use redis::RedisError;

/// Reason why the server rejects the user of a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclError {
    /// The server requires a user, but the URL contains none.
    #[error("the server requires a user name and a password, but the store URL contains neither")]
    NoUser,
    /// The server has no such user, or the password is wrong.
    #[error("the server rejects the user name or the password of the store URL")]
    WrongUser,
    /// The user may not access the keys of the namespace.
    #[error("the Redis user has no permission for the keys of the namespace: {said}")]
    Keys {
        /// Message of the server.
        said: String,
    },
    /// The user may not run a required command.
    #[error("the Redis user may not use a required command: {said}")]
    Command {
        /// Message of the server.
        said: String,
    },
}

impl AclError {
    /// Classifies an error message of the server.
    pub(super) fn of(error: &RedisError) -> Self {
        let said = match (error.code(), error.detail()) {
            (Some(code), Some(detail)) => format!("{code} {detail}"),
            (None, Some(detail)) => detail.to_owned(),
            (_, None) => error.to_string(),
        };
        let names = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if names(&["NOAUTH", "Authentication required"]) {
            Self::NoUser
        } else if names(&["WRONGPASS", "invalid username-password", "authentication failed"]) {
            Self::WrongUser
        } else if names(&["access a key", "one of the keys", "the key "]) {
            Self::Keys { said }
        } else {
            Self::Command { said }
        }
    }

    /// Returns advice for the administrator of the server.
    #[must_use]
    pub fn help(&self, namespace: &str) -> String {
        match self {
            Self::NoUser => {
                "give the user name and the password in the URL: redis://USER:PASSWORD@HOST, or \
                 redis+unix:///PATH?user=USER&pass=PASSWORD"
                    .to_owned()
            }
            Self::WrongUser => {
                "check the user name and the password in the URL of the store, and compare them with `ACL \
                 LIST` on the server"
                    .to_owned()
            }
            Self::Keys { .. } => format!("allow the user to use these keys: ACL SETUSER USER ~lh:{{{namespace}}}:*"),
            Self::Command { .. } => {
                "allow the user to run this command; docs/operations/redis.md contains the complete line (\"A \
                 Redis user for longhaul\")".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses an error line of a version 7 server in the same way as the Redis client.
    fn denied(line: &str) -> AclError {
        let parsed = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
        let error = parsed.and_then(redis::Value::extract_error).unwrap_err();
        AclError::of(&error)
    }

    #[test]
    fn refusals_are_distinguished_by_their_remedy() {
        assert_eq!(denied("NOAUTH Authentication required."), AclError::NoUser);
        let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
        assert_eq!(denied(wrong), AclError::WrongUser);
        for keys in [
            "NOPERM this user has no permissions to access one of the keys used as arguments",
            "NOPERM No permissions to access a key",
            "ERR ACL failure in script: No permissions to access a key script: 1f, on @user_script:3.",
        ] {
            assert!(matches!(denied(keys), AclError::Keys { .. }), "{keys}: {:?}", denied(keys));
        }
        let command = "NOPERM this user has no permissions to run the 'info' command";
        assert!(matches!(denied(command), AclError::Command { .. }), "{:?}", denied(command));
    }

    #[test]
    fn help_names_the_keys_of_the_namespace() {
        let keys = AclError::Keys { said: String::new() };
        assert!(keys.help("team.copying").contains("~lh:{team.copying}:*"));
    }
}
