//! The server of the tour.

use std::task::Waker;
use std::time::{Duration, UNIX_EPOCH};

use drywire::Instant;
use drywire::sim::{Context, Input};

use super::render::Kind;
use super::tap::{Tap, Tapped};
use super::{Diagram, PATIENCE, Side};
use crate::site::{Calendar, Event, Session, SessionError, Site};

type Machine = Tapped<Session>;

/// How long after a held request there is news.
const NEWS_AFTER: Duration = Duration::from_millis(300);

/// In its place comes the real one, once there is a connection.
pub(super) fn machine() -> Machine {
    session(Instant::ORIGIN, &site())
}

/// The site with the patience that a bad network takes.
fn site() -> Site {
    let mut site = Site::new();
    site.ws.close_timeout = PATIENCE;
    site.http.idle_timeout = Some(PATIENCE);
    site.http.head_timeout = Some(PATIENCE);
    site
}

fn session(now: Instant, site: &Site) -> Machine {
    // Every run starts on the day that HTTP's examples are from (RFC 9110 5.6.7).
    let calendar = Calendar::new(Instant::ORIGIN, UNIX_EPOCH + Duration::from_secs(784_111_777));
    // Nobody has to be woken: the application publishes itself, and the machine is polled right after.
    Tapped::new(Session::new(now, site.clone(), calendar, Waker::noop().clone()))
}

pub(super) struct Host {
    diagram: Diagram,
    site: Site,
    news: u32,
}

impl Host {
    pub(super) fn new(diagram: Diagram) -> Self {
        Self { diagram, site: site(), news: 0 }
    }

    pub(super) fn application(mut self) -> impl FnMut(&mut Context<'_, Machine>, Input<Tap<Event>, SessionError>) {
        move |cx, input| match input {
            Input::Connected => *cx.machine() = session(cx.now(), &self.site),
            Input::Event(Tap::Frame(frame)) => self.diagram.arrival(cx.now(), Side::Server, Kind::Frame, frame),
            Input::Event(Tap::Event(event)) => self.event(cx, &event),
            Input::Woken => {
                self.news += 1;
                self.site.feed.publish(format!("news {}", self.news));
            }
            Input::Failed(_) | Input::Writable | Input::Closed(_) => {}
        }
    }

    fn event(&self, cx: &mut Context<'_, Machine>, event: &Event) {
        match event {
            Event::Request(head) => {
                self.diagram.arrival(cx.now(), Side::Server, Kind::Head, format!("{head:#}"));
                if matches!(head.query(), Some(query) if query.contains("timeout=30") || query.contains("limit")) {
                    cx.wake_at(cx.now() + NEWS_AFTER);
                }
            }
            Event::Answered { status: 101, .. } => cx.machine().start(),
            // The client's side and the frames tell of these.
            Event::Answered { .. } | Event::Closed(_) => {}
        }
    }
}
