//! Signs webhook requests as defined by the Standard Webhooks specification.

use crate::hmac::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// Prefix of a secret that is encoded in base64.
const MARK: &str = "whsec_";
/// Minimum length of a secure secret, in bytes. Shorter secrets are accepted but cause a warning.
const MIN_SECRET_LEN: usize = 16;

/// Secret that is shared only between the receiver and this manager.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// Reason why a text is not a valid secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSecret(&'static str);

impl WebhookSecret {
    /// Parses a secret: `whsec_` followed by base64, or any other text, which is used unchanged.
    ///
    /// # Errors
    /// Returns [`BadSecret`] if the secret is empty, or if the text after `whsec_` is not valid base64.
    pub fn new(text: &str) -> Result<Self, BadSecret> {
        let bytes = match text.strip_prefix(MARK) {
            Some(encoded) => {
                STANDARD.decode(encoded).map_err(|_| BadSecret("the text after whsec_ is not base64"))?
            }
            None => text.as_bytes().to_vec(),
        };
        if bytes.is_empty() { Err(BadSecret("the secret is empty")) } else { Ok(Self(bytes)) }
    }

    /// Returns true if the secret has fewer than 16 bytes, so that an attacker could guess it.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.0.len() < MIN_SECRET_LEN
    }

    /// Returns the signature of a request. `seconds` is the time at which the request is sent, in seconds since the
    /// Unix epoch.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let head = format!("{id}.{seconds}.");
        format!("v1,{}", STANDARD.encode(hmac(&self.0, &[head.as_bytes(), body])))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn published_vector_of_standard_webhooks_is_met() {
        let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn vectors_of_rfc_4231_are_met() {
        for (key, text, expected) in [
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(hex(&hmac(&key, &[&text])), expected);
        }
    }

    #[test]
    fn secret_is_never_printed() {
        assert_eq!(format!("{:?}", WebhookSecret::new("hush").unwrap()), "Secret");
        assert!(
            WebhookSecret::new("").is_err()
                && WebhookSecret::new("whsec_").is_err()
                && WebhookSecret::new("whsec_%").is_err()
        );
    }
}
