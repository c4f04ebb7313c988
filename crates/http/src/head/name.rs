//! The field names that are known by number, so that a look-up compares integers.

/// Declares the names once: the variants, their spelling, and the table in which a name is found by its hash.
macro_rules! names {
    ($($name:ident $text:literal)*) => {
        /// A field name that is known, or [`Other`](Self::Other).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Known {
            $($name,)*
            Other,
        }

        const NAMES: &[(Known, &[u8])] = &[$((Known::$name, $text.as_bytes())),*];

        #[cfg(feature = "http")]
        static HEADER_NAMES: [http::HeaderName; NAMES.len()] = [$(http::HeaderName::from_static($text)),*];

        /// The names by their numbers.
        const NUMBERED: &[Known] = &[$(Known::$name),*];
    };
}

names! {
    Accept "accept"
    AcceptCharset "accept-charset"
    AcceptEncoding "accept-encoding"
    AcceptLanguage "accept-language"
    AcceptRanges "accept-ranges"
    Age "age"
    Allow "allow"
    Authorization "authorization"
    CacheControl "cache-control"
    Connection "connection"
    ContentDisposition "content-disposition"
    ContentEncoding "content-encoding"
    ContentLanguage "content-language"
    ContentLength "content-length"
    ContentLocation "content-location"
    ContentRange "content-range"
    ContentType "content-type"
    Cookie "cookie"
    Date "date"
    Etag "etag"
    Expect "expect"
    Expires "expires"
    Forwarded "forwarded"
    From "from"
    Host "host"
    IfMatch "if-match"
    IfModifiedSince "if-modified-since"
    IfNoneMatch "if-none-match"
    IfRange "if-range"
    IfUnmodifiedSince "if-unmodified-since"
    KeepAlive "keep-alive"
    LastEventId "last-event-id"
    LastModified "last-modified"
    Link "link"
    Location "location"
    MaxForwards "max-forwards"
    Origin "origin"
    Pragma "pragma"
    ProxyAuthenticate "proxy-authenticate"
    ProxyAuthorization "proxy-authorization"
    ProxyConnection "proxy-connection"
    Range "range"
    Referer "referer"
    RetryAfter "retry-after"
    SecWebSocketAccept "sec-websocket-accept"
    SecWebSocketExtensions "sec-websocket-extensions"
    SecWebSocketKey "sec-websocket-key"
    SecWebSocketProtocol "sec-websocket-protocol"
    SecWebSocketVersion "sec-websocket-version"
    Server "server"
    SetCookie "set-cookie"
    Te "te"
    Trailer "trailer"
    TransferEncoding "transfer-encoding"
    Upgrade "upgrade"
    UserAgent "user-agent"
    Vary "vary"
    Via "via"
    WwwAuthenticate "www-authenticate"
    XForwardedFor "x-forwarded-for"
}

const SLOTS: usize = 256;

/// Names by hash, where no two names share one.
const TABLE: [(Known, &[u8]); SLOTS] = table();

/// Of the length and three letters, in either case.
const fn hash(name: &[u8]) -> usize {
    const CASE: usize = 0x20;
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let (first, middle, last) = (name[0] as usize | CASE, name[len / 2] as usize | CASE, name[len - 1] as usize | CASE);
    (len * 20 + first * 12 + middle * 52 + last * 43) % SLOTS
}

const fn table() -> [(Known, &'static [u8]); SLOTS] {
    let mut table = [(Known::Other, &[] as &[u8]); SLOTS];
    let mut index = 0;
    while index < NAMES.len() {
        let slot = hash(NAMES[index].1);
        assert!(matches!(table[slot].0, Known::Other), "two names share a hash: choose other factors");
        table[slot] = NAMES[index];
        index += 1;
    }
    table
}

/// Whether `name` is `text`, which is of small letters and hyphens, in any case of letters. Compares words, of which the
/// last may overlap the one before.
fn is_same(name: &[u8], text: &[u8]) -> bool {
    fn word(bytes: [u8; 8]) -> u64 {
        u64::from_ne_bytes(bytes) | u64::from_ne_bytes([0x20; 8])
    }
    fn half(bytes: [u8; 4]) -> u32 {
        u32::from_ne_bytes(bytes) | u32::from_ne_bytes([0x20; 4])
    }
    if name.len() != text.len() {
        return false;
    }
    if let (Some(name_end), Some(text_end)) = (name.last_chunk(), text.last_chunk()) {
        let (name_words, text_words) = (name.as_chunks().0, text.as_chunks().0);
        return word(*name_end) == word(*text_end)
            && name_words.iter().zip(text_words).all(|(a, b)| word(*a) == word(*b));
    }
    match (name.first_chunk(), text.first_chunk(), name.last_chunk(), text.last_chunk()) {
        (Some(a), Some(b), Some(c), Some(d)) => half(*a) == half(*b) && half(*c) == half(*d),
        _ => name.eq_ignore_ascii_case(text),
    }
}

impl Known {
    /// The number of `name`, in any case of letters.
    pub(crate) fn of(name: &[u8]) -> Self {
        match TABLE.get(hash(name)) {
            Some((known, text)) if is_same(name, text) => *known,
            _ => Self::Other,
        }
    }

    /// The name as the `http` crate has it.
    #[cfg(feature = "http")]
    pub(crate) fn header_name(self) -> Option<http::HeaderName> {
        HEADER_NAMES.get(self as usize).cloned()
    }

    /// The name that was `known as u8`.
    pub(crate) fn from_number(number: u8) -> Self {
        NUMBERED.get(usize::from(number)).copied().unwrap_or(Self::Other)
    }

    /// RFC 9110, 6.5.1: fields that frame, route, modify, authenticate or describe the content come too late in a
    /// trailer section; merged into a head they would be an attack.
    pub(crate) const fn is_forbidden_in_trailers(self) -> bool {
        matches!(
            self,
            Self::Age
                | Self::Authorization
                | Self::CacheControl
                | Self::Connection
                | Self::ContentEncoding
                | Self::ContentLength
                | Self::ContentRange
                | Self::ContentType
                | Self::Cookie
                | Self::Date
                | Self::Expect
                | Self::Expires
                | Self::Host
                | Self::IfMatch
                | Self::IfModifiedSince
                | Self::IfNoneMatch
                | Self::IfRange
                | Self::IfUnmodifiedSince
                | Self::KeepAlive
                | Self::Location
                | Self::MaxForwards
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Range
                | Self::RetryAfter
                | Self::SetCookie
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Vary
                | Self::WwwAuthenticate
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_others_are_not() {
        for (known, text) in NAMES {
            #[cfg(feature = "http")]
            assert_eq!(known.header_name().map(|name| name.as_str().as_bytes().to_vec()), Some(text.to_vec()));
            assert_eq!((Known::of(text), Known::from_number(*known as u8)), (*known, *known));
            assert_eq!(Known::of(&text.to_ascii_uppercase()), *known);
            for at in 0..text.len() {
                let mut other = text.to_vec();
                other[at] ^= 1;
                assert_ne!(Known::of(&other), *known);
            }
        }
        assert_eq!(Known::of(b""), Known::Other);
        assert_eq!(Known::of(b"x-other"), Known::Other);
    }
}
