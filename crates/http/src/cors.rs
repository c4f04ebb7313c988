//! Cross-origin requests (CORS; Fetch standard, 3.3): what a server tells browsers about which pages may use it.
//!
//! It is the browser that keeps the rules. The fields are for it, and protect nobody from other clients; a request that
//! changes something is refused by [`OriginPolicy::admits`] where its origin is not welcome.
//!
//! ```
//! # use drywire_core::{Instant, RecvBuf, StreamMachine};
//! use drywire_http::cors::Cors;
//! use drywire_http::origin::OriginPolicy;
//! use drywire_http::{Length, server};
//!
//! let cors = Cors {
//!     origins: OriginPolicy::List(vec!["https://app.example".into()]),
//!     methods: vec!["PUT".into()],
//!     ..Cors::default()
//! };
//! # let now = Instant::ORIGIN;
//! # let mut recv = RecvBuf::new();
//! # let mut http = server::Connection::new(now, server::Config::default());
//! # recv.extend_from_slice(b"OPTIONS /x HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n\
//! #   Access-Control-Request-Method: PUT\r\n\r\n");
//! # let Some(server::Event::Request(head)) = http.poll_event(now, &mut recv)? else { panic!() };
//! if let Some(answer) = cors.preflight(&head) {
//!     http.respond(&answer, Length::Known(0))?;
//!     http.finish(None)?;
//! } // else: the usual response, with `cors.fields(&head)` among its fields
//! # let sent = http.transmit().pop(usize::MAX);
//! # assert!(sent.starts_with(b"HTTP/1.1 204 "));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::str;
use core::time::Duration;

use crate::head::syntax;
use crate::origin::OriginPolicy;
use crate::{RequestHead, ResponseParts};

/// What pages of other origins may do. By default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cors {
    /// Which pages. With [`OriginPolicy::SameOrigin`] there is nothing to tell, and no field is written.
    pub origins: OriginPolicy,
    /// Methods beside `GET`, `HEAD` and `POST`, which need no permission.
    pub methods: Vec<String>,
    /// Request fields beside the few that need no permission.
    pub request_fields: RequestFields,
    /// Response fields that scripts may read, beside the few that they may always read.
    pub exposed_fields: Vec<String>,
    /// Whether requests may carry cookies and other credentials.
    pub credentials: bool,
    /// How long a browser may remember the answer to a preflight request, in whole seconds; 5 s where it is not said.
    pub max_age: Option<Duration>,
}

/// Request fields that pages of other origins may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestFields {
    /// These.
    List(Vec<String>),
    /// Whatever is asked for, `Authorization` too.
    Any,
}

impl Default for RequestFields {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// The response to a preflight request: 204 with what is allowed, or 403. It has no content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preflight {
    granted: bool,
    fields: Vec<(&'static str, String)>,
}

impl Preflight {
    /// Whether the origin is allowed. Whether method and fields are is for the browser to see.
    pub fn is_granted(&self) -> bool {
        self.granted
    }
}

impl ResponseParts for Preflight {
    fn status(&self) -> u16 {
        if self.granted { 204 } else { 403 }
    }

    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
    }
}

impl Cors {
    /// The answer to a preflight request: `OPTIONS` with `Origin` and `Access-Control-Request-Method`. `None` for any
    /// other request.
    pub fn preflight(&self, request: &RequestHead) -> Option<Preflight> {
        if request.method() != "OPTIONS" {
            return None;
        }
        let origin = request.field("origin")?;
        request.field("access-control-request-method")?;
        let mut fields = Vec::new();
        let granted = self.origins.admits(request);
        if granted {
            self.allow(origin, &mut fields);
            if !self.methods.is_empty() {
                fields.push(("Access-Control-Allow-Methods", self.methods.join(", ")));
            }
            let names = match &self.request_fields {
                RequestFields::List(names) => names.join(", "),
                RequestFields::Any => asked_for(request),
            };
            if !names.is_empty() {
                fields.push(("Access-Control-Allow-Headers", names));
            }
            if let Some(max_age) = self.max_age {
                fields.push(("Access-Control-Max-Age", max_age.as_secs().to_string()));
            }
        }
        // Browsers remember by origin; for caches in between the answer differs by all that it depends on.
        if self.request_fields == RequestFields::Any {
            fields.push(("Vary", "Origin, Access-Control-Request-Headers".to_string()));
        } else {
            fields.push(("Vary", "Origin".to_string()));
        }
        Some(Preflight { granted, fields })
    }

    /// The fields for the response to any other request.
    pub fn fields(&self, request: &RequestHead) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if self.origins == OriginPolicy::SameOrigin {
            return fields;
        }
        if let Some(origin) = request.field("origin").filter(|_| self.origins.admits(request)) {
            self.allow(origin, &mut fields);
            if !self.exposed_fields.is_empty() {
                fields.push(("Access-Control-Expose-Headers", self.exposed_fields.join(", ")));
            }
        }
        if !self.is_open() {
            // Also where nothing was allowed: the next request for the same may come from elsewhere.
            fields.push(("Vary", "Origin".to_string()));
        }
        fields
    }

    /// Whether everybody gets the same answer.
    fn is_open(&self) -> bool {
        self.origins == OriginPolicy::Any && !self.credentials
    }

    fn allow(&self, origin: &[u8], fields: &mut Vec<(&'static str, String)>) {
        // Fetch, 3.3.5: with credentials, "*" is taken literally.
        let allowed = if self.is_open() { "*" } else { str::from_utf8(origin).unwrap_or_default() };
        fields.push(("Access-Control-Allow-Origin", allowed.to_string()));
        if self.credentials {
            fields.push(("Access-Control-Allow-Credentials", "true".to_string()));
        }
    }
}

/// The field names that a preflight request asks for; what is no token is left out, since it comes from a page of which
/// nothing is known.
fn asked_for(request: &RequestHead) -> String {
    let names = request.field_section().field_elements("access-control-request-headers");
    let tokens = names.filter(|name| name.iter().all(|byte| syntax::is_token(*byte)));
    tokens.filter_map(|name| str::from_utf8(name).ok()).collect::<Vec<_>>().join(", ")
}
