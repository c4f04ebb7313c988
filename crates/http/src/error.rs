//! What can go wrong: the peer's broken rules in [`Error`], the caller's in [`CommandError`].

use bytes::Bytes;

/// A rule that the peer broke, or the transport's early end. Final: it is repeated by every later call.
///
/// When a server returns one, the answer of [`Error::status`] is already queued, unless a response was under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Line discipline.
    /// A line ended by LF without CR, or an LF inside one (RFC 9112, 2.2: a recipient may accept it; this one does not).
    #[error("a line feed without a carriage return before it")]
    BareLf,
    /// A CR that no LF follows (RFC 9112, 2.2).
    #[error("a carriage return without a line feed behind it")]
    BareCr,
    /// A NUL (RFC 9110, 5.5).
    #[error("a NUL character")]
    Nul,
    /// More empty lines before a request than tolerated (RFC 9112, 2.2).
    #[error("too many empty lines before the request line")]
    EmptyLines,

    // Request line.
    /// The method is not a token followed by one space (RFC 9112, 3.1).
    #[error("the method is not a token followed by one space")]
    InvalidMethod,
    /// The request target holds a character that no URI has, or is empty (RFC 9112, 3.2).
    #[error("the request target holds an invalid character or is empty")]
    InvalidTarget,
    /// A `%` in the request target that two hexadecimal digits do not follow (RFC 3986, 2.1).
    #[error("a percent sign in the request target encodes nothing")]
    InvalidPercentEncoding,
    /// The request target is in none of the four forms, or in one that its method excludes (RFC 9112, 3.2).
    #[error("the form of the request target does not fit the method")]
    TargetForm,
    /// The request line ends without a version: HTTP/0.9 (RFC 9112, 3).
    #[error("the request line has no version")]
    MissingVersion,
    /// The version is not `HTTP/` digit `.` digit (RFC 9112, 2.3).
    #[error("the version is malformed")]
    InvalidVersion,
    /// A major version other than 1 (RFC 9110, 15.6.6).
    #[error("the major version is not 1")]
    UnsupportedVersion,
    /// The connection preface of HTTP/2 (RFC 9113, 3.4).
    #[error("the peer speaks HTTP/2")]
    Http2Preface,

    // Status line.
    /// The status is not three digits from 100 on, or no space stands around it (RFC 9112, 4).
    #[error("the status code is malformed")]
    InvalidStatus,
    /// The reason phrase holds a control character (RFC 9112, 4).
    #[error("the reason phrase holds a control character")]
    InvalidReason,

    // Field lines.
    /// White space between the start line and the first field line (RFC 9112, 2.2).
    #[error("white space before the first field line")]
    WhitespaceBeforeFirstField,
    /// A field name with a character that is not of a token (RFC 9110, 5.1).
    #[error("a field name is not a token")]
    InvalidFieldName,
    /// A field line that begins with its colon (RFC 9110, 5.1).
    #[error("a field name is empty")]
    EmptyFieldName,
    /// White space between field name and colon (RFC 9112, 5.1).
    #[error("white space between a field name and its colon")]
    WhitespaceBeforeColon,
    /// A field line without a colon (RFC 9112, 5).
    #[error("a field line without a colon")]
    MissingColon,
    /// A control character in a field value (RFC 9110, 5.5).
    #[error("a control character in a field value")]
    InvalidFieldValue,
    /// A folded field line in a request or a trailer section (RFC 9112, 5.2).
    #[error("a folded field line")]
    ObsFold,

    // Limits on the head.
    /// The request line is longer than configured (RFC 9112, 3: 414).
    #[error("the request line is too long")]
    RequestLineTooLong,
    /// The head is larger than configured (RFC 6585, 5: 431).
    #[error("the head is too large")]
    HeadTooLarge,
    /// A field line is longer than configured (RFC 6585, 5: 431).
    #[error("a field line is too long")]
    FieldLineTooLong,
    /// More field lines than configured (RFC 6585, 5: 431).
    #[error("too many field lines")]
    TooManyFields,

    // Host.
    /// An HTTP/1.1 request without `Host` (RFC 9112, 3.2).
    #[error("a request without Host")]
    MissingHost,
    /// More than one `Host` (RFC 9112, 3.2).
    #[error("a request with more than one Host")]
    DuplicateHost,
    /// A `Host` that is no `uri-host [ ":" port ]` (RFC 9112, 3.2).
    #[error("Host is not a host with an optional port")]
    InvalidHost,

    // Framing.
    /// `Content-Length` is not digits, or above 2^64-1 (RFC 9110, 8.6; RFC 9112, 6.3).
    #[error("Content-Length is not a number")]
    InvalidContentLength,
    /// Two values of `Content-Length` that differ (RFC 9112, 6.3).
    #[error("two values of Content-Length differ")]
    ConflictingContentLength,
    /// Both framings in one request (RFC 9112, 6.3).
    #[error("a request with both Transfer-Encoding and Content-Length")]
    TransferEncodingWithContentLength,
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112, 6.1).
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    TransferEncodingInHttp10,
    /// `Transfer-Encoding` is empty or no list of codings (RFC 9112, 6.1).
    #[error("Transfer-Encoding is malformed")]
    InvalidTransferEncoding,
    /// `chunked` is not the last coding, comes twice, or is missing (RFC 9112, 6.1 and 6.3).
    #[error("chunked is not the one final transfer coding")]
    ChunkedNotFinal,
    /// A transfer coding other than `chunked` (RFC 9112, 6.1: 501).
    #[error("a transfer coding other than chunked")]
    UnknownTransferCoding,
    /// More content than configured (RFC 9110, 15.5.14: 413).
    #[error("the content is too large")]
    ContentTooLarge,

    // Chunks.
    /// A chunk size that is not hexadecimal digits alone (RFC 9112, 7.1).
    #[error("a chunk size is malformed")]
    InvalidChunkSize,
    /// A chunk size above 2^64-1 (RFC 9112, 7.1).
    #[error("a chunk size does not fit 64 bits")]
    ChunkSizeOverflow,
    /// A chunk extension that is no name with an optional value (RFC 9112, 7.1.1).
    #[error("a chunk extension is malformed")]
    InvalidChunkExtension,
    /// A chunk line longer than allowed, or more chunk extensions in one message (RFC 9112, 7.1.1).
    #[error("chunk extensions are too long")]
    ChunkExtensionsTooLong,
    /// Chunk data that CRLF does not follow (RFC 9112, 7.1).
    #[error("chunk data is not followed by CRLF")]
    MissingChunkEnd,
    /// A trailer section larger than configured (RFC 9112, 7.1.2).
    #[error("the trailer section is too large")]
    TrailersTooLarge,

    // The transport and time.
    /// The peer ended its direction inside a message (RFC 9112, 8).
    #[error("the peer closed the connection inside a message")]
    UnexpectedEnd,
    /// The peer closed the connection instead of answering (client only; RFC 9112, 9.5).
    #[error("the peer closed the connection without answering")]
    NoResponse,
    /// A head did not arrive in time (RFC 9110, 15.5.9: 408).
    #[error("the head did not arrive in time")]
    HeadTimeout,
    /// Content stopped arriving, or came too slowly (RFC 9110, 15.5.9: 408).
    #[error("the content stopped arriving or came too slowly")]
    ContentTimeout,
    /// The peer stopped taking what is sent to it. The connection is dropped.
    #[error("the peer stopped taking what is sent to it")]
    SendTimeout,

    // Responses.
    /// Bytes arrived with no request outstanding (RFC 9112, 9.2).
    #[error("a response that no request asked for")]
    UnrequestedResponse,
    /// More informational responses before the final one than allowed (RFC 9110, 15.2).
    #[error("too many informational responses")]
    TooManyInformational,
    /// 101 in answer to a request that offered no upgrade (RFC 9110, 7.8 and 15.2.2).
    #[error("an upgrade that was not offered")]
    UnexpectedUpgrade,
    /// The response did not begin in time.
    #[error("no response in time")]
    ResponseTimeout,
}

impl Error {
    /// The status of the response with which a server answers this error; `None` for what only a client can see and
    /// for what no response can repair.
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::RequestLineTooLong => Some(414),
            Self::HeadTooLarge | Self::FieldLineTooLong | Self::TooManyFields | Self::TrailersTooLarge => Some(431),
            Self::UnsupportedVersion | Self::Http2Preface => Some(505),
            Self::UnknownTransferCoding => Some(501),
            Self::ContentTooLarge => Some(413),
            Self::HeadTimeout | Self::ContentTimeout => Some(408),
            Self::InvalidStatus
            | Self::InvalidReason
            | Self::NoResponse
            | Self::UnrequestedResponse
            | Self::TooManyInformational
            | Self::UnexpectedUpgrade
            | Self::ResponseTimeout
            | Self::SendTimeout => None,
            _ => Some(400),
        }
    }
}

/// A command that the machine refused. Nothing was written and nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The send queue is at its high-water mark; here is the content back. Try again once some has left.
    #[error("the send queue is full")]
    Full(Bytes),
    /// The connection failed earlier with this error.
    #[error("the connection failed: {0}")]
    Failed(#[from] Error),
    /// The connection is closing, closed or given to another protocol.
    #[error("the connection takes no more messages")]
    Closed,
    /// There is no request to answer.
    #[error("there is no request to answer")]
    NoRequest,
    /// The final response to this request has begun already.
    #[error("the request has its response already")]
    AlreadyAnswered,
    /// As many exchanges are under way as may be, or one behind which none may follow yet; the next request has to wait.
    #[error("an exchange is under way")]
    ExchangeUnderWay,
    /// There is no message under way whose content this could be.
    #[error("no message is under way")]
    NoMessageUnderWay,
    /// An upgrade has to wait for the end of the request's content (RFC 9110, 7.8).
    #[error("the request has not arrived in full")]
    RequestIncomplete,
    /// The request did not ask for 100 (Continue), or content of it has come already (RFC 9110, 10.1.1).
    #[error("100 (Continue) is not expected")]
    ContinueNotExpected,
    /// `Expect: 100-continue` in a request without content (RFC 9110, 10.1.1).
    #[error("a request without content expects to be told to go on")]
    ExpectWithoutContent,
    /// The request did not offer to switch protocols (RFC 9110, 7.8).
    #[error("the request offers no upgrade")]
    UpgradeNotOffered,
    /// An upgrade whose response does not say to which protocol (RFC 9110, 15.2.2).
    #[error("the response names no protocol to upgrade to")]
    MissingUpgrade,
    /// An informational response to an HTTP/1.0 request (RFC 9110, 15.2).
    #[error("HTTP/1.0 has no informational responses")]
    InformationalToHttp10,
    /// More informational responses in front of a final one than configured.
    #[error("too many informational responses")]
    TooManyInformational,
    /// The status does not belong to this command: not 100 to 999 (RFC 9110, 15), informational for a final response
    /// or the other way round, not 101 for an upgrade.
    #[error("the status {0} does not fit the command")]
    InvalidStatus(u16),
    /// The method is not a token (RFC 9110, 9.1).
    #[error("the method is not a token")]
    InvalidMethod,
    /// The request target is not valid for the method (RFC 9112, 3.2).
    #[error("the request target is not valid")]
    InvalidTarget,
    /// The reason phrase holds a control character (RFC 9112, 4).
    #[error("the reason phrase holds a control character")]
    InvalidReason,
    /// A field name that is not a token (RFC 9110, 5.1).
    #[error("a field name is not a token")]
    InvalidFieldName,
    /// A field value with a control character, above all CR, LF and NUL (RFC 9110, 5.5).
    #[error("a field value holds a control character")]
    InvalidFieldValue,
    /// A request has no valid `Host`, and none can be derived (RFC 9112, 3.2).
    #[error("the request needs exactly one valid Host")]
    InvalidHost,
    /// A field contradicts the framing that the machine writes (RFC 9112, 6).
    #[error("a field contradicts the framing of the message")]
    ConflictingFraming,
    /// This message carries no content: 204, 304, 205 or a switch of protocols (RFC 9110, 6.4.1).
    #[error("the message carries no content")]
    ContentNotAllowed,
    /// More content than announced.
    #[error("only {remaining} bytes of the announced content are left")]
    TooMuchContent {
        /// Bytes that are still to be sent.
        remaining: u64,
    },
    /// The end before all announced content.
    #[error("{missing} bytes of the announced content are missing")]
    TooLittleContent {
        /// Bytes that are still to be sent.
        missing: u64,
    },
    /// Trailers on a message that is not chunked, or a field that is not allowed there (RFC 9110, 6.5.1).
    #[error("the message cannot carry these trailers")]
    TrailersNotAllowed,
}
