//! Credentials of the two schemes that need no challenge.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// Credentials that no field can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCredentials {
    /// A user name with a colon: what is behind it would be read as the password (RFC 7617, 2).
    #[error("the user name holds a colon")]
    ColonInUser,
    /// A control character in the user name or the password (RFC 7617, 2).
    #[error("the credentials hold a control character")]
    ControlCharacter,
    /// A bearer token that is not of the form `token68` (RFC 6750, 2.1).
    #[error("the token holds a character that no token has, or is empty")]
    InvalidToken,
}

/// The value of `Authorization` or `Proxy-Authorization` for a user and a password, both sent as UTF-8 (RFC 7617).
///
/// They are encoded, not encrypted: everybody who sees the request reads them.
pub fn basic(user: &str, password: &str) -> Result<HeaderValue, InvalidCredentials> {
    if user.contains(':') {
        return Err(InvalidCredentials::ColonInUser);
    }
    if user.chars().chain(password.chars()).any(char::is_control) {
        return Err(InvalidCredentials::ControlCharacter);
    }
    secret(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// The value of `Authorization` for a bearer token (RFC 6750, 2.1).
pub fn bearer(token: &str) -> Result<HeaderValue, InvalidCredentials> {
    let body = token.trim_end_matches('=');
    let is_token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    if body.is_empty() || !body.bytes().all(is_token68) {
        return Err(InvalidCredentials::InvalidToken);
    }
    secret(format!("Bearer {token}"))
}

/// A value whose `Debug` form does not show it.
fn secret(value: String) -> Result<HeaderValue, InvalidCredentials> {
    let mut value = HeaderValue::try_from(value).map_err(|_| InvalidCredentials::InvalidToken)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7617_2_user_and_password_are_encoded_together() {
        assert_eq!(basic("Aladdin", "open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        // RFC 7617, 2.1.
        assert_eq!(basic("test", "123\u{a3}").unwrap(), "Basic dGVzdDoxMjPCow==");
        assert_eq!(basic("", "a:b").unwrap(), "Basic OmE6Yg==");
        assert_eq!(basic("a:b", ""), Err(InvalidCredentials::ColonInUser));
        assert_eq!(basic("a", "b\n"), Err(InvalidCredentials::ControlCharacter));
    }

    #[test]
    fn rfc6750_2_1_a_token_is_of_one_alphabet() {
        assert_eq!(bearer("mF_9.B5f-4.1JqM=").unwrap(), "Bearer mF_9.B5f-4.1JqM=");
        for token in ["", "==", "a b", "a=b", "\u{e4}"] {
            assert_eq!(bearer(token), Err(InvalidCredentials::InvalidToken), "{token}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(format!("{:?} {:?}", basic("a", "b").unwrap(), bearer("c").unwrap()), "Sensitive Sensitive");
    }
}
