//! The way of a request, against a world of made-up answers, in virtual time.

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::task::{Poll, Waker};
use std::time::Duration;

use common::{NOW, response};
use drywire_client::hsts::UnixTime;
use drywire_client::plan::Action;
use drywire_client::{Config, Error, Plan, Proxies, RedirectError, Request, Shared, TunnelError, dial, plan};
use drywire_core::{Instant, SendQueue};
use drywire_http::{Length, PreparedRequest, ResponseHead};

/// What an exchange with an origin comes to.
#[derive(Clone)]
enum Answer {
    Head(ResponseHead),
    /// The connection is lost, before or behind the first byte of the response.
    Lost(ErrorKind, bool),
    /// An error that is not the connection's end.
    Broken,
    Slow(Duration),
}

fn head(status: u16, fields: &[(&str, &str)]) -> Answer {
    Answer::Head(response(status, fields))
}

/// A connection of the world: its number, and whether the server has closed it.
#[derive(Debug, PartialEq)]
struct Wire {
    number: usize,
    is_closed: bool,
}

/// Everything outside the plan.
struct World {
    shared: Shared<Wire>,
    now: Instant,
    answers: VecDeque<Answer>,
    /// How long each step of dialling takes.
    pace: Duration,
    addresses: BTreeMap<String, Vec<&'static str>>,
    /// What does not answer at all.
    dead: Vec<&'static str>,
    /// What the proxy says to `CONNECT`.
    tunnel: Result<(), TunnelError>,
    /// The server closes what is kept.
    closes_kept: bool,
    wires: usize,
    log: Vec<String>,
}

impl World {
    fn new(config: Config) -> Self {
        Self {
            shared: Shared::new(config, UnixTime(1_800_000_000)),
            now: NOW,
            answers: VecDeque::new(),
            pace: Duration::ZERO,
            addresses: BTreeMap::new(),
            dead: Vec::new(),
            tunnel: Ok(()),
            closes_kept: false,
            wires: 0,
            log: Vec::new(),
        }
    }

    fn answers(mut self, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.answers.extend(answers);
        self
    }

    fn log(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Sends a request to its end, and keeps the connection.
    fn send(&mut self, request: Request, length: Length, is_replayable: bool) -> Result<(u16, Plan), Error> {
        let mut plan = Plan::new(self.now, &self.shared, request, length, is_replayable);
        let result = self.run(&mut plan);
        let now = self.now;
        plan.abandon(now, &mut self.shared);
        self.shared.pool.leftovers().settle();
        result.map(|status| (status, plan))
    }

    fn get(&mut self, url: &str) -> Result<(u16, Plan), Error> {
        self.send(Request::get(url).unwrap(), Length::Known(0), false)
    }

    fn run(&mut self, plan: &mut Plan) -> Result<u16, Error> {
        let mut wire = None;
        let mut status = 0;
        loop {
            match plan.poll(self.now, &mut self.shared, Waker::noop()) {
                Poll::Pending => panic!("nobody else is there to be waited for"),
                Poll::Ready(action) => match action? {
                    Action::Check(kept) => {
                        self.log(format!("check {}", kept.number));
                        if kept.is_closed {
                            plan.stale(&mut self.shared);
                        } else {
                            wire = Some(kept);
                            plan.alive();
                        }
                    }
                    Action::Dial(mut dial) => match self.dial(&mut dial) {
                        Ok(()) => {
                            self.wires += 1;
                            wire = Some(Wire { number: self.wires, is_closed: false });
                            plan.connected();
                        }
                        Err(error) => plan.failed(self.now, &mut self.shared, error),
                    },
                    Action::Exchange => {
                        let number = wire.as_ref().unwrap().number;
                        let line = sent(plan);
                        self.log(format!("{number}: {line}"));
                        match self.answers.pop_front().expect("an answer") {
                            Answer::Head(head) => {
                                status = head.status();
                                plan.answered(self.now, &mut self.shared, &head);
                            }
                            Answer::Lost(kind, heard) => {
                                let error = Error::transport(kind.into());
                                plan.lost(self.now, &mut self.shared, error, heard);
                            }
                            Answer::Broken => {
                                let error = drywire_http::Error::InvalidStatus.into();
                                plan.lost(self.now, &mut self.shared, error, true);
                            }
                            Answer::Slow(by) => {
                                self.now += by;
                                let late = plan.deadline().is_some_and(|deadline| deadline <= self.now);
                                assert!(late, "the world is only slow where that is too late");
                            }
                        }
                    }
                    action @ (Action::Discard | Action::Deliver) => {
                        let kept = Wire { is_closed: self.closes_kept, ..wire.take().unwrap() };
                        let lease = plan.take_lease().expect("a place");
                        self.shared.pool.keep(self.now, lease, kept);
                        if matches!(action, Action::Deliver) {
                            return Ok(status);
                        }
                        plan.settled(&mut self.shared);
                    }
                },
            }
        }
    }

    fn dial(&mut self, dial: &mut dial::Dial) -> Result<(), Error> {
        let mut running = VecDeque::new();
        while let Some(action) = dial.next(self.now, &mut self.shared.names)? {
            self.now += self.pace;
            match action {
                dial::Action::Resolve(name) => {
                    self.log(format!("resolve {name}"));
                    let found = match self.addresses.get(&name) {
                        Some(list) => Ok(list.iter().map(|address| address.parse().unwrap()).collect()),
                        None => Err(io::Error::new(ErrorKind::NotFound, "no such name")),
                    };
                    dial.resolved(self.now, &mut self.shared.names, found);
                }
                dial::Action::Connect(address) => {
                    self.log(format!("connect {address}"));
                    running.push_back(address);
                }
                dial::Action::Wait(until) => {
                    let live = running.iter().position(|address| !self.dead.contains(&&*address.ip().to_string()));
                    match live {
                        Some(_) => dial.connected(),
                        None => self.now = until.expect("a dead address is not waited for without end"),
                    }
                }
                dial::Action::Tunnel(_) => {
                    self.log("tunnel");
                    match self.tunnel.clone() {
                        Ok(()) => dial.ready(),
                        Err(error) => dial.failed(error.into()),
                    }
                }
                dial::Action::Secure(name) => {
                    self.log(format!("tls {name}"));
                    dial.ready();
                }
            }
        }
        Ok(())
    }
}

/// The request line and the fields that matter here, as they go on the wire.
fn sent(plan: &Plan) -> String {
    let mut http = drywire_http::client::Connection::new(NOW, plan.connection_config());
    http.send_request(&plan.head(), plan.length()).unwrap();
    let mut queue = SendQueue::new(usize::MAX);
    std::mem::swap(&mut queue, drywire_core::StreamMachine::transmit(&mut http));
    let text = String::from_utf8(queue.pop(usize::MAX).to_vec()).unwrap();
    let mut lines = text.lines();
    let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    let shown = lines.filter(|line| !line.is_empty() && !line.starts_with("Host") && !line.starts_with("user-agent"));
    shown.fold(line, |all, line| format!("{all} | {line}"))
}

fn world() -> World {
    let mut world = World::new(Config::default());
    for (name, addresses) in [("a", vec!["192.0.2.1"]), ("b", vec!["192.0.2.2"]), ("p", vec!["192.0.2.9"])] {
        world.addresses.insert(name.into(), addresses);
    }
    world
}

fn through(proxy: &str) -> World {
    let mut config = Config::default();
    config.proxies = Proxies::all(proxy).unwrap();
    World { addresses: world().addresses, ..World::new(config) }
}

#[test]
fn a_connection_and_an_address_are_used_again() {
    let mut world = world().answers([head(200, &[]), head(204, &[])]);
    assert_eq!(world.get("http://a/x").unwrap().0, 200);
    assert_eq!(world.take_log(), ["resolve a", "connect 192.0.2.1:80", "1: GET /x"]);
    assert_eq!(world.get("http://a/y").unwrap().0, 204);
    assert_eq!(world.take_log(), ["check 1", "1: GET /y"]);
    assert_eq!((world.shared.pool.open(), world.shared.pool.idle()), (1, 1));
}

#[test]
fn a_kept_connection_that_is_closed_is_not_used() {
    let mut world = world().answers([head(200, &[]), head(200, &[])]);
    world.closes_kept = true;
    world.get("http://a/").unwrap();
    world.take_log();
    world.send(Request::post("http://a/").unwrap(), Length::Unknown, false).unwrap();
    assert_eq!(world.take_log(), ["check 1", "connect 192.0.2.1:80", "2: POST / | Transfer-Encoding: chunked"]);
    assert_eq!(world.shared.pool.open(), 1);
}

#[test]
fn rfc9110_9_2_2_a_request_that_was_lost_on_a_kept_connection_is_sent_once_more_on_a_new_one() {
    for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::UnexpectedEof] {
        let mut world = world().answers([head(200, &[]), Answer::Lost(kind, false), head(201, &[])]);
        world.get("http://a/").unwrap();
        world.take_log();
        assert_eq!(world.send(Request::put("http://a/").unwrap(), Length::Known(3), true).unwrap().0, 201);
        let put = "PUT / | Content-Length: 3";
        assert_eq!(world.take_log(), ["check 1", &format!("1: {put}"), "connect 192.0.2.1:80", &format!("2: {put}")]);
        assert_eq!(world.shared.pool.open(), 1);
    }
}

#[test]
fn rfc9110_9_2_2_only_once_and_never_where_it_could_do_harm() {
    use ErrorKind::{ConnectionReset, TimedOut};
    let put = || Request::put("http://a/").unwrap();
    let lost = || Answer::Lost(ConnectionReset, false);
    // The request, whether its content can be sent again, and what comes of it.
    let cases: [(Request, bool, Vec<Answer>); 6] = [
        (Request::post("http://a/").unwrap(), true, vec![lost()]),
        (put(), false, vec![lost()]),
        (put(), true, vec![lost(), lost()]),
        (put(), true, vec![Answer::Lost(ConnectionReset, true)]),
        (put(), true, vec![Answer::Lost(TimedOut, false)]),
        (put(), true, vec![Answer::Broken]),
    ];
    for (number, (request, is_replayable, answers)) in cases.into_iter().enumerate() {
        let mut world = world().answers([head(200, &[])]).answers(answers);
        world.get("http://a/").unwrap();
        assert!(world.send(request, Length::Known(3), is_replayable).is_err(), "case {number}");
        assert!(world.answers.is_empty(), "case {number}");
        assert_eq!(world.shared.pool.open(), 0, "case {number}");
    }
    // A new connection that is lost is not a stale one.
    let mut world = world().answers([lost()]);
    assert!(world.get("http://a/").unwrap_err().is_disconnect());
}

#[test]
fn rfc9110_15_4_methods_and_content_of_redirects() {
    let post = "POST /x | content-type: t | Content-Length: 3";
    let cases = [
        (301, "POST", "GET /y"),
        (302, "POST", "GET /y"),
        (303, "POST", "GET /y"),
        (307, "POST", "POST /y | content-type: t | Content-Length: 3"),
        (308, "POST", "POST /y | content-type: t | Content-Length: 3"),
        (301, "PUT", "PUT /y | content-type: t | Content-Length: 3"),
        (303, "PUT", "GET /y"),
    ];
    for (status, method, then) in cases {
        let mut world = world().answers([head(status, &[("Location", "/y")]), head(200, &[])]);
        let mut request = Request::new(method.parse().unwrap(), "http://a/x").unwrap();
        request = request.field("content-type", "t").unwrap();
        let (last, plan) = world.send(request, Length::Known(3), true).unwrap();
        assert_eq!((last, plan.redirects(), plan.url().as_str()), (200, 1, "http://a/y"), "{status} {method}");
        let log = world.take_log();
        assert_eq!(log[2..], [format!("1: {}", post.replace("POST", method)), "check 1".into(), format!("1: {then}")]);
    }
    for status in [301, 302, 303, 307, 308] {
        let mut world = world().answers([head(status, &[("Location", "/y")]), head(200, &[])]);
        world.send(Request::head("http://a/x").unwrap(), Length::Known(0), false).unwrap();
        assert_eq!(world.take_log().last().unwrap(), "1: HEAD /y");
    }
}

#[test]
fn what_is_no_redirect_is_the_response() {
    for (status, fields) in [
        (200, &[("Location", "/y")][..]),
        (201, &[("Location", "/y")]),
        (300, &[("Location", "/y")]),
        (302, &[]),
        (304, &[("Location", "/y")]),
        (305, &[("Location", "/y")]),
        (399, &[("Location", "/y")]),
    ] {
        let mut world = world().answers([head(status, fields)]);
        assert_eq!(world.get("http://a/").unwrap().0, status);
    }
    // Content that is gone cannot be sent again: the user has to see to it.
    let mut world = world().answers([head(307, &[("Location", "/y")])]);
    assert_eq!(world.send(Request::post("http://a/").unwrap(), Length::Unknown, false).unwrap().0, 307);
}

#[test]
fn rfc9110_15_4_credentials_stay_with_the_origin_that_they_are_for() {
    let request = |url: &str| {
        let request = Request::get(url).unwrap().bearer("secret").unwrap().field("cookie", "c").unwrap();
        request.field("proxy-authorization", "p").unwrap().field("x-mine", "1").unwrap()
    };
    let all = "authorization: Bearer secret | cookie: c | proxy-authorization: p | x-mine: 1";
    for (to, kept) in [
        ("/y", true),
        ("http://a:80/y", true),
        ("//A/y", true),
        ("http://b/y", false),
        ("http://a:81/y", false),
        ("https://a/y", false),
    ] {
        let mut world = world().answers([head(302, &[("Location", to)]), head(200, &[])]);
        world.send(request("http://a/"), Length::Known(0), false).unwrap();
        let last = world.take_log().pop().unwrap();
        let expected = if kept { all } else { "x-mine: 1" };
        assert_eq!(last.split_once(" | ").unwrap().1, expected, "{to}");
    }
    // Once gone they stay away, also on the way back.
    let there_and_back = [head(302, &[("Location", "http://b/")]), head(302, &[("Location", "http://a/y")])];
    let mut world = world().answers(there_and_back).answers([head(200, &[])]);
    world.send(request("http://a/"), Length::Known(0), false).unwrap();
    assert_eq!(world.take_log().pop().unwrap(), "1: GET /y | x-mine: 1");
}

#[test]
fn rfc9110_10_2_2_references_are_resolved_and_fragments_inherited() {
    for (from, location, to) in [
        ("http://a/d/x?q#f", "y", "http://a/d/y#f"),
        ("http://a/d/x#f", "../y#g", "http://a/y#g"),
        ("http://a/d/x", "?r", "http://a/d/x?r"),
        ("http://a/d/x", "//b:81/z", "http://b:81/z"),
        ("http://a/d/x#f", "http://b#", "http://b/#"),
        ("http://a/d/x", "/\u{e4} b", "http://a/%C3%A4%20b"),
    ] {
        let mut world = world().answers([head(302, &[("Location", location)]), head(200, &[])]);
        assert_eq!(world.get(from).unwrap().1.url().as_str(), to);
    }
}

#[test]
fn redirects_end() {
    let to = |location: &str| head(302, &[("Location", location)]);
    let redirect_error = |result: Result<(u16, Plan), Error>| match result {
        Err(Error::Redirect(error)) => error,
        other => panic!("{other:?}"),
    };
    let mut long = world().answers((0..11).map(|n| to(&format!("/{n}"))));
    assert_eq!(redirect_error(long.get("http://a/")), RedirectError::TooMany(10));
    assert!(long.answers.is_empty());
    let mut round = world().answers([to("/y"), to("/x#f")]);
    assert!(matches!(redirect_error(round.get("http://a/x")), RedirectError::Loop(url) if url.path() == "/x"));
    let mut to_itself = world().answers([to("")]);
    assert!(matches!(redirect_error(to_itself.get("http://a/x")), RedirectError::Loop(_)));
    // The same URL by another method is no circle.
    let mut see_other = world().answers([to("/x"), head(200, &[])]);
    see_other.send(Request::post("http://a/x").unwrap(), Length::Known(1), true).unwrap();
    for nowhere in ["ftp://a/", "http://u:p@a/", "http://", "http://a:0/", "mailto:x"] {
        let mut world = world().answers([to(nowhere)]);
        assert!(matches!(redirect_error(world.get("http://a/")), RedirectError::InvalidLocation(_)), "{nowhere}");
        assert_eq!(world.shared.pool.open(), 0);
    }
}

#[test]
fn a_client_that_follows_none_hands_the_redirect_out_whatever_it_says() {
    for location in ["/y", "ftp://a/", "http://[", ""] {
        let mut config = Config::default();
        config.redirects.limit = 0;
        let mut world = World { addresses: world().addresses, ..World::new(config) };
        world.answers.push_back(head(302, &[("Location", location)]));
        assert_eq!(world.get("http://a/").unwrap().0, 302, "{location}");
    }
}

#[test]
fn https_does_not_lead_to_http_unless_that_is_allowed() {
    let to_plain = || [head(302, &[("Location", "http://a/")]), head(200, &[])];
    let mut strict = world().answers(to_plain());
    assert!(matches!(strict.get("https://a/"), Err(Error::Redirect(RedirectError::Insecure(_)))));
    let mut config = Config::default();
    config.redirects.allow_insecure = true;
    let mut lax = World { addresses: world().addresses, ..World::new(config) }.answers(to_plain());
    assert_eq!(lax.get("https://a/").unwrap().0, 200);
}

#[test]
fn rfc6797_8_a_host_that_asks_for_tls_gets_it_from_then_on() {
    let sts = [("Strict-Transport-Security", "max-age=100")];
    let mut world = world().answers([head(200, &sts), head(200, &sts), head(200, &[]), head(200, &[])]);
    // Over plain HTTP anybody could say so.
    world.get("http://a/").unwrap();
    world.get("https://a/").unwrap();
    world.take_log();
    let (_, plan) = world.get("http://a/").unwrap();
    assert_eq!(plan.url().as_str(), "https://a/");
    assert_eq!(world.take_log(), ["check 2", "2: GET /"]);
    world.now += Duration::from_secs(101);
    world.get("http://a/").unwrap();
    assert_eq!(world.take_log(), ["resolve a", "connect 192.0.2.1:80", "3: GET /"]);
}

#[test]
fn rfc6797_8_3_a_redirect_to_http_on_a_known_host_is_no_step_down() {
    let sts = [("Strict-Transport-Security", "max-age=100"), ("Location", "http://a/y")];
    let mut world = world().answers([head(302, &sts), head(200, &[])]);
    let (_, plan) = world.get("https://a/").unwrap();
    assert_eq!(plan.url().as_str(), "https://a/y");
}

#[test]
fn rfc9112_3_2_2_a_proxy_gets_absolute_targets_and_its_connection_serves_all_origins() {
    let mut world = through("http://u:p@p:3128").answers([head(200, &[]), head(200, &[])]);
    world.get("http://a/x?y").unwrap();
    let basic = "proxy-authorization: Basic dTpw";
    assert_eq!(world.take_log(), ["resolve p", "connect 192.0.2.9:3128", &format!("1: GET http://a/x?y | {basic}")]);
    world.get("http://b:81/").unwrap();
    assert_eq!(world.take_log(), ["check 1", &format!("1: GET http://b:81/ | {basic}")]);
}

#[test]
fn rfc9110_9_3_6_tls_goes_through_a_tunnel_for_one_origin_which_does_not_see_the_proxys_credentials() {
    let mut world = through("https://u:p@p").answers([head(200, &[]), head(200, &[])]);
    world.get("https://a/").unwrap();
    assert_eq!(world.take_log(), ["resolve p", "connect 192.0.2.9:443", "tls p", "tunnel", "tls a", "1: GET /"]);
    world.get("https://b/").unwrap();
    assert_eq!(world.take_log(), ["connect 192.0.2.9:443", "tls p", "tunnel", "tls b", "2: GET /"]);
    let mut refused = through("p");
    refused.tunnel = Err(TunnelError::Refused(407));
    assert!(matches!(refused.get("https://a/"), Err(Error::Tunnel(TunnelError::Refused(407)))));
    assert_eq!(refused.shared.pool.open(), 0);
}

#[test]
fn names_that_are_not_found_and_addresses_that_do_not_answer() {
    let mut world = world();
    assert!(matches!(world.get("http://nowhere/"), Err(Error::Resolve { host, .. }) if host == "nowhere"));
    // It is remembered for a moment.
    assert!(world.get("http://nowhere/").is_err());
    assert_eq!(world.take_log(), ["resolve nowhere"]);

    world.dead = vec!["192.0.2.1"];
    let start = world.now;
    let error = world.get("http://a/").unwrap_err();
    assert!(matches!(error, Error::ConnectTimeout { .. }) && error.is_timeout());
    assert_eq!(world.now - start, Duration::from_secs(30));
    assert_eq!(world.shared.pool.open(), 0);

    world.addresses.insert("c".into(), vec!["2001:db8::1", "2001:db8::2", "192.0.2.3"]);
    world.dead = vec!["2001:db8::1", "2001:db8::2"];
    world.answers.push_back(head(200, &[]));
    let start = world.now;
    world.get("http://c/").unwrap();
    assert_eq!(world.now - start, Duration::from_millis(250));
    let connects = ["connect [2001:db8::1]:80", "connect 192.0.2.3:80"];
    assert_eq!(world.take_log()[2..], ["resolve c", connects[0], connects[1], "1: GET /"]);
}

#[test]
fn addresses_in_urls_are_not_looked_up() {
    let mut world = world().answers([head(200, &[]), head(200, &[])]);
    world.get("http://127.0.0.1:81/").unwrap();
    world.get("http://[::1]/").unwrap();
    assert_eq!(world.take_log(), ["connect 127.0.0.1:81", "1: GET /", "connect [::1]:80", "2: GET /"]);
}

#[test]
fn the_time_of_an_exchange_covers_all_of_it() {
    // While dialling: no longer than the exchange may take.
    let mut dead = world();
    dead.dead = vec!["192.0.2.1"];
    let request = Request::get("http://a/").unwrap().timeout(Duration::from_secs(3));
    assert!(matches!(dead.send(request, Length::Known(0), false), Err(Error::Timeout)));
    assert_eq!(dead.now - NOW, Duration::from_secs(3));
    // Over redirects.
    let slow = Answer::Slow(Duration::from_secs(4));
    let mut world = world().answers([head(302, &[("Location", "/y")]), slow]);
    let request = Request::get("http://a/").unwrap().timeout(Duration::from_secs(3));
    assert!(matches!(world.send(request, Length::Known(0), false), Err(Error::Timeout)));
    assert_eq!(world.shared.pool.open(), 0);
}

#[test]
fn a_plan_that_waits_or_is_given_up_gives_its_place_back() {
    let mut config = Config::default();
    config.pool.max_per_route = 1;
    let mut shared = Shared::<Wire>::new(config, UnixTime(0));
    let plan = |shared: &Shared<Wire>| {
        let request = Request::get("http://127.0.0.1/").unwrap();
        Plan::new(NOW, shared, request, Length::Known(0), true)
    };
    let (mut first, mut second, mut third) = (plan(&shared), plan(&shared), plan(&shared));
    assert!(matches!(first.poll(NOW, &mut shared, Waker::noop()), Poll::Ready(Ok(Action::Dial(_)))));
    assert!(second.poll(NOW, &mut shared, Waker::noop()).is_pending());
    assert!(third.poll(NOW, &mut shared, Waker::noop()).is_pending());
    second.abandon(NOW, &mut shared);
    first.abandon(NOW, &mut shared);
    assert!(matches!(third.poll(NOW, &mut shared, Waker::noop()), Poll::Ready(Ok(Action::Dial(_)))));
    third.abandon(NOW, &mut shared);
    assert_eq!(shared.pool.open(), 0);
    assert_eq!(third.state(), plan::State::Failed);
}

#[test]
fn reports_that_nobody_asked_for_change_nothing_and_do_not_panic() {
    let mut shared = Shared::<Wire>::new(Config::default(), UnixTime(0));
    let request = Request::get("http://127.0.0.1/").unwrap();
    let mut plan = Plan::new(NOW, &shared, request, Length::Known(0), true);
    plan.alive();
    plan.stale(&mut shared);
    plan.connected();
    plan.settled(&mut shared);
    assert!(plan.take_lease().is_none());
    assert_eq!(plan.state(), plan::State::Acquiring);
    plan.failed(NOW, &mut shared, Error::Timeout);
    plan.answered(NOW, &mut shared, &response(200, &[]));
    plan.lost(NOW, &mut shared, Error::Timeout, false);
    for _ in 0..2 {
        assert!(matches!(plan.poll(NOW, &mut shared, Waker::noop()), Poll::Ready(Err(Error::Timeout))));
    }
}

/// The prepared form refuses what the machine refuses; here only to show that the head is one of the machine's.
#[test]
fn the_head_has_every_field_once() {
    let shared = Shared::<Wire>::new(Config::default(), UnixTime(0));
    let request = Request::get("http://a/").unwrap().field("user-agent", "mine").unwrap();
    let plan = Plan::new(NOW, &shared, request, Length::Known(0), true);
    let prepared = PreparedRequest::new(&plan.head(), Length::Known(0));
    assert!(prepared.is_ok());
    assert_eq!(sent(&plan), "GET /");
}
