//! The two machines that run on a client's connections.

mod common;

use std::time::Duration;

use common::{NOW, response};
use drywire_client::{Exchange, ExchangeError, Opened, Origin, Tunnel, TunnelError, Url, credentials};
use drywire_core::{Close, RecvBuf, StreamMachine};
use drywire_http::client::{Config, Event};
use drywire_http::{Length, PlainRequest};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn received(bytes: &[u8]) -> RecvBuf {
    let mut recv = RecvBuf::new();
    recv.extend_from_slice(bytes);
    recv
}

fn tunnel(url: &str) -> Tunnel {
    let origin = Origin::of(&Url::parse(url).unwrap()).unwrap();
    let basic = credentials::basic("u", "p").unwrap();
    Tunnel::new(NOW, &origin, Some(&basic), &Config { absolute_form: true, ..Config::default() }, Some(NOW + SECOND))
}

fn sent(machine: &mut impl StreamMachine) -> String {
    String::from_utf8(machine.transmit().pop(usize::MAX).to_vec()).unwrap()
}

#[test]
fn rfc9110_9_3_6_a_tunnel_is_asked_for_by_host_and_port() {
    let line = |url: &str| sent(&mut tunnel(url));
    let basic = "Proxy-Authorization: Basic dTpw\r\n\r\n";
    assert_eq!(line("https://a/x?y"), format!("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n{basic}"));
    assert_eq!(line("ws://[::1]/"), format!("CONNECT [::1]:80 HTTP/1.1\r\nHost: [::1]:80\r\n{basic}"));
}

#[test]
fn rfc9110_9_3_6_any_2xx_opens_the_tunnel_whatever_it_says_of_content() {
    let mut tunnel = tunnel("https://a");
    sent(&mut tunnel);
    let mut recv = received(b"HTTP/1.1 100 \r\n\r\nHTTP/1.0 204 Fine\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(tunnel.poll_event(NOW, &mut recv), Ok(Some(Opened)));
    assert_eq!((tunnel.poll_timeout(), tunnel.demand().close), (None, None));
    assert!(!tunnel.demand().read);
}

#[test]
fn a_refusal_and_a_lie_end_the_connection_and_are_repeated() {
    for (input, error) in [
        (&b"HTTP/1.1 407 Who?\r\nContent-Length: 2\r\n\r\nno"[..], TunnelError::Refused(407)),
        (b"HTTP/1.1 200 \r\n\r\nx", TunnelError::Unasked),
        (b"SSH-2.0-x\r\n", TunnelError::Http(drywire_http::Error::InvalidVersion)),
    ] {
        let mut tunnel = tunnel("https://a");
        sent(&mut tunnel);
        let mut recv = received(input);
        for _ in 0..2 {
            assert_eq!(tunnel.poll_event(NOW, &mut recv), Err(error.clone()));
            assert_eq!(tunnel.demand().close, Some(Close::Abort));
        }
    }
}

#[test]
fn a_proxy_that_does_not_answer_is_given_up() {
    let mut tunnel = tunnel("https://a");
    assert_eq!(tunnel.poll_timeout(), Some(NOW + SECOND));
    tunnel.handle_timeout(NOW + SECOND);
    assert_eq!(tunnel.poll_timeout(), None);
    assert_eq!(tunnel.poll_event(NOW + SECOND, &mut RecvBuf::new()), Err(TunnelError::Timeout));
    assert_eq!(tunnel.demand().close, Some(Close::Abort));
}

fn asked() -> Exchange {
    let mut exchange = Exchange::new(NOW, Config::default());
    let request = PlainRequest::new("GET", "/", &[("Host", "a")]);
    exchange.begin(&request, Length::Known(0), Some(NOW + SECOND)).unwrap();
    exchange.finish(None).unwrap();
    sent(&mut exchange);
    exchange
}

#[test]
fn an_exchange_knows_whether_anything_came_back() {
    let mut exchange = asked();
    let mut recv = RecvBuf::new();
    assert_eq!(exchange.poll_event(NOW, &mut recv), Ok(None));
    assert!(!exchange.heard());
    recv.extend_from_slice(b"H");
    assert_eq!(exchange.poll_event(NOW, &mut recv), Ok(None));
    assert!(exchange.heard() && !exchange.is_reusable());
    recv.extend_from_slice(b"TTP/1.1 204 \r\n\r\n");
    assert_eq!(exchange.poll_event(NOW, &mut recv), Ok(Some(Event::Response(response(204, &[])))));
    assert!(matches!(exchange.poll_event(NOW, &mut recv), Ok(Some(Event::End(_)))));
    assert!(exchange.is_reusable());
    // Its time is over with it, and the next one begins anew.
    assert_eq!(exchange.poll_timeout(), None);
    exchange.begin(&PlainRequest::new("GET", "/", &[("Host", "a")]), Length::Known(0), None).unwrap();
    assert!(!exchange.heard() && !exchange.is_reusable());
}

/// 32 MiB are queued when a server answers the head and reads on no further: the response is complete and so, for HTTP, is
/// the request. The connection once went back to the pool with what had not left.
#[test]
fn a_connection_whose_request_has_not_left_is_not_used_again() {
    let mut exchange = Exchange::new(NOW, Config::default());
    exchange.begin(&PlainRequest::new("PUT", "/", &[("Host", "a")]), Length::Known(2000), None).unwrap();
    exchange.send_content(vec![0; 2000].into()).unwrap();
    exchange.finish(None).unwrap();
    exchange.transmit().pop(100);
    let mut recv = received(b"HTTP/1.1 413 \r\nContent-Length: 0\r\n\r\n");
    while exchange.poll_event(NOW, &mut recv).unwrap().is_some() {}
    assert!(!exchange.is_reusable());
    while !exchange.transmit().is_empty() {
        exchange.transmit().pop(usize::MAX);
    }
    assert!(exchange.is_reusable());
}

#[test]
fn an_exchange_that_takes_too_long_is_aborted_and_says_so_for_ever() {
    let mut exchange = asked();
    let mut recv = received(b"HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\nslow");
    while exchange.poll_event(NOW, &mut recv).unwrap().is_some() {}
    assert_eq!(exchange.poll_timeout(), Some(NOW + SECOND));
    exchange.handle_timeout(NOW + SECOND);
    assert!(exchange.poll_timeout().is_none_or(|next| next > NOW + SECOND));
    for _ in 0..2 {
        assert_eq!(exchange.poll_event(NOW + SECOND, &mut recv), Err(ExchangeError::Timeout));
        assert_eq!(exchange.demand().close, Some(Close::Abort));
    }
    assert!(!exchange.is_reusable());
}

proptest! {
    /// Law 1, and no panic: whatever a proxy says, in any pieces, comes to the same.
    #[test]
    fn a_tunnel_does_not_care_how_its_input_is_cut(
        head in prop_oneof![Just("HTTP/1.1 200 \r\n\r\n"), Just("HTTP/1.1 407 \r\nX: y\r\n\r\n"), Just("nonsense\r\n\r\n")],
        noise in proptest::collection::vec(any::<u8>(), 0..3),
        cut in 0..40usize,
    ) {
        let input = [head.as_bytes(), &noise].concat();
        let (mut whole, mut cut_up) = (tunnel("https://a"), tunnel("https://a"));
        let expected = whole.poll_event(NOW, &mut received(&input));
        let (one, two) = input.split_at(cut.min(head.len() - 1));
        let mut recv = received(one);
        // The first part is not a whole head, so there is nothing to be told unless it is wrong already.
        let first = cut_up.poll_event(NOW, &mut recv);
        recv.extend_from_slice(two);
        let then = cut_up.poll_event(NOW, &mut recv);
        prop_assert_eq!(&then, &expected);
        prop_assert!(first == Ok(None) || first == expected);
    }
}

#[test]
fn a_trace_sees_the_heads_of_both_directions() {
    use std::sync::{Arc, Mutex};

    use drywire_client::hsts::UnixTime;
    use drywire_client::{Plan, Request, Seen, Shared, Trace};

    let log = Arc::new(Mutex::new(Vec::new()));
    let mut config = drywire_client::Config::default();
    config.trace = Some(Trace::new({
        let log = Arc::clone(&log);
        move |seen| {
            log.lock().unwrap().push(match seen {
                Seen::Request(head) => String::from_utf8_lossy(head).lines().next().unwrap().to_owned(),
                Seen::Response(head) => head.to_string(),
                _ => panic!(),
            });
        }
    }));
    let shared = Shared::<()>::new(config, UnixTime(0));
    let plan = Plan::new(NOW, &shared, Request::get("http://a/x").unwrap(), Length::Known(0), true);
    let mut exchange = Exchange::new(NOW, plan.connection_config());
    plan.begin(&mut exchange).unwrap();
    exchange.finish(None).unwrap();
    let mut recv = received(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 204 Empty\r\n\r\n");
    while exchange.poll_event(NOW, &mut recv).unwrap().is_some() {}
    assert_eq!(*log.lock().unwrap(), ["GET /x HTTP/1.1", "HTTP/1.1 103 Hints", "HTTP/1.1 204 Empty"]);
}
