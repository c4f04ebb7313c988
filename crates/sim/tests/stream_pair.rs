//! Two machines over a pipe: cuts, delays, room, ends, and clear words when nothing moves any more.

use std::time::Duration;

use drywire_core::{Bytes, Close, Demand, Instant, RecvBuf, SendQueue, StreamMachine};
use drywire_sim::{Context, Cut, Input, PipeConfig, RunFailure, Side, StreamPair};
use drywire_tcp::CloseReason;

/// Lines of text, up to an empty one, which is a rule broken.
struct Lines {
    send: SendQueue,
    scanned: usize,
    ended: bool,
    failed: Option<EmptyLine>,
    finish: bool,
    close: Option<Close>,
    paused: bool,
    ping_every: Option<Duration>,
    next_ping: Option<Instant>,
    broken_deadline: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct EmptyLine;

impl std::fmt::Display for EmptyLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a line is empty")
    }
}

impl std::error::Error for EmptyLine {}

impl Lines {
    fn new() -> Self {
        Self {
            send: SendQueue::new(1000),
            scanned: 0,
            ended: false,
            failed: None,
            finish: false,
            close: None,
            paused: false,
            ping_every: None,
            next_ping: None,
            broken_deadline: false,
        }
    }

    fn say(&mut self, line: &str) -> bool {
        if self.send.is_full() {
            return false;
        }
        self.send.extend_from_slice(line.as_bytes());
        self.send.extend_from_slice(b"\n");
        true
    }

    /// Says goodbye: the end of our direction first, all of it once the peer has ended too.
    fn finish(&mut self) {
        self.finish = true;
    }
}

impl StreamMachine for Lines {
    type Event = Bytes;
    type Error = EmptyLine;

    fn poll_event(&mut self, now: Instant, recv: &mut RecvBuf) -> Result<Option<Bytes>, EmptyLine> {
        if self.next_ping.is_none() {
            self.next_ping = self.ping_every.map(|every| now + every);
        }
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.paused {
            return Ok(None);
        }
        if let Some(at) = recv[self.scanned..].iter().position(|b| *b == b'\n') {
            let line = recv.take(self.scanned + at);
            recv.skip(1);
            self.scanned = 0;
            if line.is_empty() {
                self.send.extend_from_slice(b"empty!\n");
                self.failed = Some(EmptyLine);
                return Err(EmptyLine);
            }
            return Ok(Some(line));
        }
        self.scanned = recv.len();
        self.ended = recv.is_finished();
        Ok(None)
    }

    fn transmit(&mut self) -> &mut SendQueue {
        &mut self.send
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next_ping
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let (Some(every), Some(at)) = (self.ping_every, self.next_ping)
            && at <= now
            && !self.broken_deadline
        {
            self.send.extend_from_slice(b"ping\n");
            self.next_ping = Some(now + every);
        }
    }

    fn demand(&self) -> Demand {
        let close = if !self.send.is_empty() {
            None
        } else if self.ended && self.finish {
            Some(Close::Both)
        } else if self.finish {
            Some(Close::WriteHalf)
        } else {
            self.close
        };
        Demand { read: !self.ended && !self.paused && self.failed.is_none(), close }
    }
}

type LineInput = Input<Bytes, EmptyLine>;

/// Finishes as soon as the peer has: the event that is missing for an end of stream is its last line.
fn listener(lines: &mut Vec<Bytes>) -> impl FnMut(&mut Context<'_, Lines>, LineInput) {
    |cx, input| match input {
        Input::Connected => cx.machine().finish(),
        Input::Event(line) => lines.push(line),
        _ => {}
    }
}

#[test]
fn how_the_stream_is_cut_changes_no_event() {
    let said: Vec<String> = (0..300).map(|i| "x".repeat(1 + i * 7 % 50) + &i.to_string()).collect();
    for cut in [Cut::Whole, Cut::Every(1), Cut::Every(7), Cut::Every(0), Cut::Random] {
        for seed in 0..20 {
            let mut heard = Vec::new();
            let mut next = said.iter().peekable();
            let config = PipeConfig { cut, latency: Duration::from_millis(2), ..PipeConfig::default() };
            let report = StreamPair::new(seed, Lines::new(), Lines::new())
                .pipes(config)
                .run(
                    |cx, input| {
                        // More than fits: the rest follows when there is room.
                        if let Input::Connected | Input::Writable = input {
                            while next.next_if(|line| cx.machine().say(line)).is_some() {}
                            if next.peek().is_none() {
                                cx.machine().finish();
                            }
                        }
                    },
                    listener(&mut heard),
                )
                .unwrap();
            assert_eq!(heard, said);
            assert_eq!(report.closed, [CloseReason::Normal; 2]);
            assert_eq!(report.carried, [said.iter().map(|l| l.len() as u64 + 1).sum(), 0]);
            assert_eq!(report.seed, seed);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| {
        let config = PipeConfig { jitter: Duration::from_millis(3), ..PipeConfig::default() };
        let mut heard = Vec::new();
        StreamPair::new(seed, Lines::new(), Lines::new())
            .pipes(config)
            .run(
                |cx, input| {
                    if let Input::Connected = input {
                        for i in 0..50 {
                            cx.machine().say(&format!("line {i}"));
                        }
                        cx.machine().finish();
                    }
                },
                listener(&mut heard),
            )
            .unwrap()
            .digest
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn latency_and_rate_take_their_time() {
    let config = PipeConfig { latency: Duration::from_millis(100), rate: Some(1000), ..PipeConfig::default() };
    let mut arrived = None;
    StreamPair::new(1, Lines::new(), Lines::new())
        .pipe_from(Side::A, config)
        .run(
            |cx, input| {
                if let Input::Connected = input {
                    cx.machine().say(&"x".repeat(499));
                    cx.machine().finish();
                }
            },
            |cx, input| match input {
                Input::Connected => cx.machine().finish(),
                Input::Event(_) => arrived = Some(cx.now()),
                _ => {}
            },
        )
        .unwrap();
    assert_eq!(arrived, Some(Instant::from_millis(600)));
}

#[test]
fn a_reader_that_pauses_stops_the_writer() {
    let config = PipeConfig { capacity: 100, ..PipeConfig::default() };
    let mut pair = StreamPair::new(1, Lines::new(), Lines::new()).pipes(config);
    let (mut said, mut heard) = (0, 0);
    let mut said_before_reading = 0;
    let said_so_far = std::cell::Cell::new(0);
    pair.run(
        |cx, input| {
            if let Input::Connected | Input::Writable = input {
                while said < 1000 && cx.machine().say("0123456789") {
                    said += 1;
                }
                said_so_far.set(said);
                if said == 1000 {
                    cx.machine().finish();
                }
            }
        },
        |cx, input| match input {
            Input::Connected => {
                cx.machine().paused = true;
                cx.wake_at(Instant::from_secs(5));
                cx.machine().finish();
            }
            Input::Woken => {
                said_before_reading = said_so_far.get();
                cx.machine().paused = false;
            }
            Input::Event(_) => heard += 1,
            _ => {}
        },
    )
    .unwrap();
    assert_eq!(heard, 1000);
    // 1,000 bytes in the sender's queue and 100 in the pipe, and a line more each for what is cut.
    assert!(said_before_reading <= 102, "{said_before_reading}");
}

#[test]
fn one_direction_may_end_long_before_the_other() {
    let mut heard_by_a = Vec::new();
    StreamPair::new(1, Lines::new(), Lines::new())
        .run(
            |cx, input| match input {
                Input::Connected => cx.machine().finish(),
                Input::Event(line) => heard_by_a.push(line),
                _ => {}
            },
            |cx, input| match input {
                Input::Connected => cx.wake_at(Instant::from_secs(10)),
                Input::Woken => {
                    cx.machine().say("still here");
                    cx.machine().finish();
                }
                _ => {}
            },
        )
        .unwrap();
    assert_eq!(heard_by_a, ["still here"]);
}

#[test]
fn an_error_is_told_once_and_its_farewell_arrives_before_the_close() {
    let (mut errors, mut farewell) = (0, None);
    let report = StreamPair::new(1, Lines::new(), Lines::new())
        .run(
            |cx, input| match input {
                Input::Connected => drop(cx.machine().say("")),
                Input::Event(line) => {
                    farewell = Some(line);
                    cx.machine().finish();
                }
                _ => {}
            },
            |_, input| {
                if let Input::Failed(EmptyLine) = input {
                    errors += 1;
                }
            },
        )
        .unwrap();
    assert_eq!(farewell.as_deref(), Some(&b"empty!"[..]));
    assert_eq!(errors, 1);
    assert_eq!(report.closed, [CloseReason::Normal; 2]);
}

#[test]
fn an_abort_is_a_reset_for_the_peer() {
    let mut last = None;
    let report = StreamPair::new(1, Lines::new(), Lines::new())
        .run(
            |cx, input| {
                if let Input::Connected = input {
                    cx.abort();
                }
            },
            |_, input| last = Some(input),
        )
        .unwrap();
    assert_eq!(report.closed, [CloseReason::Aborted, CloseReason::Reset]);
    assert_eq!(last, Some(Input::Closed(CloseReason::Reset)));
}

#[test]
fn a_demanded_abort_is_a_reset_for_the_peer() {
    let mut machine = Lines::new();
    machine.close = Some(Close::Abort);
    let report = StreamPair::new(1, Lines::new(), machine).run(|_, _| {}, |_, _| {}).unwrap();
    assert_eq!(report.closed, [CloseReason::Reset, CloseReason::Aborted]);
}

#[test]
fn timers_run_in_virtual_time() {
    let mut machine = Lines::new();
    machine.ping_every = Some(Duration::from_secs(3600));
    let mut pings = Vec::new();
    let report = StreamPair::new(1, machine, Lines::new())
        .run(
            |cx, input| {
                if let Input::Event(_) = input {
                    cx.machine().finish();
                    cx.machine().ping_every = None;
                    cx.machine().next_ping = None;
                }
            },
            |cx, input| {
                if let Input::Event(_) = input {
                    pings.push(cx.now());
                    if pings.len() == 100 {
                        cx.machine().say("enough");
                        cx.machine().finish();
                    }
                }
            },
        )
        .unwrap();
    assert_eq!(pings, (1..=100).map(|i| Instant::from_secs(i * 3600)).collect::<Vec<_>>());
    assert_eq!(report.ended, Instant::from_secs(360_000));
}

#[test]
fn applications_wake_each_other() {
    let mut woken = Vec::new();
    let shared = std::cell::Cell::new(0);
    let mut pair = StreamPair::new(1, Lines::new(), Lines::new()).start_at(Instant::from_secs(9));
    pair.run(
        |cx, input| match input {
            Input::Connected => cx.wake_at(Instant::from_secs(10)),
            Input::Woken => {
                shared.set(shared.get() + 1);
                cx.note("changed");
                cx.wake_others();
                cx.machine().finish();
            }
            _ => {}
        },
        |cx, input| {
            if let Input::Woken = input {
                woken.push((cx.now(), shared.get()));
                cx.machine().finish();
                cx.note("seen");
            }
        },
    )
    .unwrap();
    assert_eq!(woken, [(Instant::from_secs(10), 1)]);
    let at = Instant::from_secs(10);
    assert_eq!(pair.notes(), [(at, Side::A, "changed".into()), (at, Side::B, "seen".into())]);
}

#[test]
fn what_the_machine_does_not_consume_stays() {
    let mut pair = StreamPair::new(1, Lines::new(), Lines::new());
    pair.run(
        |cx, input| {
            if let Input::Connected = input {
                cx.machine().say("line");
                cx.machine().send.extend_from_slice(b"left over");
                cx.wake_at(Instant::from_secs(1));
            }
            if let Input::Woken = input {
                cx.machine().finish();
            }
        },
        |cx, input| {
            if let Input::Connected = input {
                cx.wake_at(Instant::from_millis(500));
            }
            if let Input::Woken = input {
                cx.machine().close = Some(Close::Both);
            }
        },
    )
    .unwrap();
    assert_eq!(pair.b_unconsumed(), b"left over");
}

#[test]
fn an_orderly_end_waits_for_a_machine_that_pauses() {
    let mut heard = Vec::new();
    StreamPair::new(1, Lines::new(), Lines::new())
        .run(
            |cx, input| {
                if let Input::Connected = input {
                    cx.machine().say("one");
                    cx.machine().say("two");
                    cx.machine().finish();
                }
            },
            |cx, input| match input {
                Input::Connected => cx.machine().finish(),
                Input::Event(line) => {
                    heard.push(line);
                    // By the next line the pipe has long been closed on both ends.
                    cx.machine().paused = true;
                    cx.wake_at(cx.now() + Duration::from_secs(60));
                }
                Input::Woken => cx.machine().paused = false,
                Input::Closed(_) => heard.push("closed".into()),
                _ => {}
            },
        )
        .unwrap();
    assert_eq!(heard, ["one", "two", "closed"]);
}

#[test]
fn a_run_that_can_never_end_says_why() {
    let error = StreamPair::new(77, Lines::new(), Lines::new()).run(|_, _| {}, |_, _| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "seed 77, at 0.000000000s: stuck, because a waits for bytes that nobody sends; \
         b waits for bytes that nobody sends"
    );

    let error = StreamPair::new(77, Lines::new(), Lines::new())
        .run(
            |cx, input| {
                if let Input::Connected = input {
                    cx.machine().finish();
                }
            },
            |_, _| {},
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "seed 77, at 0.000000000s: stuck, because a waits for bytes that nobody sends; \
         a has ended its own direction; b has read the end of the stream and demands no close"
    );
}

#[test]
fn a_run_in_circles_runs_out_of_steps() {
    let mut machine = Lines::new();
    machine.ping_every = Some(Duration::from_secs(1));
    let error = StreamPair::new(5, machine, Lines::new()).max_steps(1000).run(|_, _| {}, |_, _| {}).unwrap_err();
    assert_eq!(error.reason, RunFailure::OutOfSteps(1000));
    assert!(error.to_string().starts_with("seed 5, at "));
}

#[test]
fn a_deadline_that_does_not_move_is_found() {
    let mut machine = Lines::new();
    machine.ping_every = Some(Duration::from_secs(1));
    machine.broken_deadline = true;
    let error = StreamPair::new(5, Lines::new(), machine).run(|_, _| {}, |_, _| {}).unwrap_err();
    assert_eq!(error.reason, RunFailure::DeadlineStays("b".into()));
}
