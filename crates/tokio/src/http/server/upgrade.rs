//! From a request to a WebSocket, inside a handler.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use drywire_http::{RequestHead, ResponseParts};
use drywire_ws::handshake::{self, Acceptance, Rejection};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};

use crate::Transport;
use crate::ws::{Accept, WebSocket};

/// The WebSocket that a handler gets, on whatever transport the server runs.
pub type Socket = WebSocket<Box<dyn Transport + Send>>;

/// In the extensions of every request that asks for a WebSocket: what it takes to open one.
///
/// ```
/// use drywire_tokio::http::{Body, Upgrade};
/// use drywire_tokio::ws::Accept;
/// use ::http::{Request, Response};
///
/// async fn echo(mut request: Request<Body>) -> Response<Body> {
///     let Some(upgrade) = request.extensions_mut().remove::<Upgrade>() else {
///         return Response::new("this is for WebSockets\n".into());
///     };
///     upgrade.answer(&Accept::default(), |mut socket| async move {
///         while let Some(Ok(message)) = socket.next().await {
///             let _ = socket.feed(message).await;
///         }
///     })
/// }
/// ```
#[derive(Clone)]
pub struct Upgrade(Arc<Shared>);

struct Shared {
    request: RequestHead,
    accepted: Mutex<Option<Accepted>>,
}

/// What runs with the open WebSocket.
type Then = Box<dyn FnOnce(Socket) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What is to be done once the answer has been queued.
pub(super) struct Accepted {
    pub(super) acceptance: Acceptance,
    pub(super) options: Accept,
    pub(super) then: Then,
}

impl Upgrade {
    /// For a request that offers to become a WebSocket.
    pub(super) fn of(request: &RequestHead) -> Option<Self> {
        let offered = request.upgrade_protocols().any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"));
        let shared = || Shared { request: request.clone(), accepted: Mutex::new(None) };
        offered.then(|| Self(Arc::new(shared())))
    }

    /// Puts it where the handler finds it.
    pub(super) fn put<B>(upgrade: Option<&Self>, mut request: Request<B>) -> Request<B> {
        if let Some(upgrade) = upgrade {
            request.extensions_mut().insert(upgrade.clone());
        }
        request
    }

    /// The head of the request.
    pub fn request(&self) -> &RequestHead {
        &self.0.request
    }

    /// Answers the request: with 101 where it is within the policy, and `then` runs with the open WebSocket as soon as
    /// that has been returned; with the status that says what is wrong where it is not.
    ///
    /// What `then` makes runs in the connection's own task. So the server's limit on connections counts it, and its
    /// shutdown closes it: with 1001, and by a reset when the time to drain is up.
    pub fn answer<B, F, R>(&self, options: &Accept, then: F) -> Response<B>
    where
        B: Default,
        F: FnOnce(Socket) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        match self.accept(options, then) {
            Ok(response) => response,
            Err(rejection) => head(&rejection),
        }
    }

    /// [`answer`](Self::answer) that leaves a rejection to the caller.
    pub fn accept<B, F, R>(&self, options: &Accept, then: F) -> Result<Response<B>, Rejection>
    where
        B: Default,
        F: FnOnce(Socket) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let acceptance = handshake::accept(&self.0.request, &options.policy)?;
        let response = head(&acceptance);
        let then: Then = Box::new(|socket| Box::pin(then(socket)));
        let accepted = Accepted { acceptance, options: options.clone(), then };
        *self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted);
        Ok(response)
    }

    pub(super) fn take(&self) -> Option<Accepted> {
        self.0.accepted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("request", &self.0.request).finish_non_exhaustive()
    }
}

/// The same head in `http` types.
fn head<B: Default>(parts: &impl ResponseParts) -> Response<B> {
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::from_u16(parts.status()).unwrap_or_default();
    for (name, value) in parts.fields() {
        // The handshake writes valid fields only.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}
