//! The driver's invariants on a scripted wire, with every future dropped after one poll, and agreement with the
//! blocking twin.

#[path = "../../std/tests/blocking/mod.rs"]
mod blocking;
#[path = "../../driver/tests/shared/mod.rs"]
mod shared;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use drywire_core::{Bytes, Instant, StreamMachine as _};
use drywire_tokio::{AnyStream, Clock, Config, DriveError, Driver, Transport, Turn, TurnResult};
use proptest::prelude::*;
use shared::{
    Interest, LINGER, Lines, LinesConfig, Outcome, Patient, Probe, READ_SIZE, READ_SIZE_MAX, ReadStep, Rule, Run,
    Script, Stubborn, Ticker, Toy, Wire, WriteStep, data, millis, repeat,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The wire as a stream. It wakes nobody: the test polls again when the wire could go on.
struct Scripted {
    wire: Wire,
    clock: Clock,
    /// What this poll has a wake for.
    interest: Rc<Cell<Interest>>,
}

impl Scripted {
    fn reading<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.interest.set(Interest { read: true, ..self.interest.get() });
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }

    fn writing<T>(&self, result: io::Result<T>) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.interest.set(Interest { write: true, ..self.interest.get() });
                Poll::Pending
            }
            result => Poll::Ready(result),
        }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let result = self.wire.read(room.initialize_unfilled());
        self.reading(result).map_ok(|n| room.advance(n))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(piece)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writing(self.wire.write_vectored(pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing(self.wire.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing(self.wire.shutdown_write())
    }
}

impl Transport for Scripted {
    fn abort(&mut self) {
        self.wire.abort();
    }

    fn clock(&self) -> Clock {
        self.clock
    }
}

/// Small limits, so that scripts reach them.
fn limits() -> Config {
    let mut config = Config::default();
    config.read_size = READ_SIZE;
    config.read_size_max = READ_SIZE_MAX;
    config.linger = LINGER;
    config
}

fn cases() -> ProptestConfig {
    // A failure is kept as a test of its own, not as a seed.
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

/// What becomes of the driver's futures at a wait.
#[derive(Clone, Copy, Debug)]
enum Futures {
    Kept,
    /// Cancelled at every wait: each poll is that of a fresh future.
    Dropped,
}

struct Subject<M: Toy> {
    driver: Driver<M, Scripted>,
    world: World,
}

/// What is around the driver.
struct World {
    wire: Wire,
    clock: Clock,
    interest: Rc<Cell<Interest>>,
    probe: Probe,
}

impl<M: Toy> Subject<M> {
    fn new(script: &Script, machine: impl FnOnce(Instant) -> M) -> Self {
        let (wire, clock, interest) = (Wire::new(script.clone()), Clock::new(), Rc::default());
        let machine = machine(clock.now());
        let world = World { wire, clock, interest, probe: machine.probe() };
        world.wire.judge(world.probe.clone());
        let transport = Scripted { wire: world.wire.clone(), clock, interest: world.interest.clone() };
        Self { driver: Driver::with_config(machine, transport, limits()), world }
    }

    async fn next_turn(&mut self, futures: Futures) -> TurnResult<M> {
        let Self { driver, world } = self;
        match futures {
            Futures::Kept => {
                let mut turn = pin!(driver.next_turn());
                world.poll(|cx| turn.as_mut().poll(cx)).await
            }
            Futures::Dropped => world.poll(|cx| pin!(driver.next_turn()).poll(cx)).await,
        }
    }

    async fn run(&mut self, futures: Futures) -> Run {
        let mut events = Vec::new();
        let outcome = loop {
            match self.next_turn(futures).await {
                Ok(Turn::Event(event)) => events.push(String::from_utf8_lossy(&event).into_owned()),
                Ok(Turn::Closed) => break Outcome::Closed,
                Ok(_) => {}
                Err(DriveError::Protocol(rule)) => {
                    self.world.wire.check_error();
                    break Outcome::Protocol(rule);
                }
                Err(DriveError::Io(error)) => break Outcome::Io(error.kind()),
            }
        };
        // Whatever the end was, it is told once.
        assert!(matches!(self.next_turn(futures).await, Ok(Turn::Closed)));
        Run { events, written: self.world.wire.written(), outcome }
    }
}

impl World {
    async fn poll<R>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
        loop {
            self.wire.set_now(self.clock.now());
            self.interest.set(Interest::default());
            if let Poll::Ready(result) = poll_fn(|cx| Poll::Ready(poll(cx))).await {
                return result;
            }
            self.wait().await;
        }
    }

    /// Until the wire could go on, or the driver's own timer fires.
    async fn wait(&self) {
        let timeout = self.probe.get().timeout;
        // The driver's timer does not show before it fires. Whether it does in time is judged below.
        let (spurious, ready) = self.wire.park(self.interest.get(), timeout);
        if spurious {
            return;
        }
        let never = millis(3_600_000_000);
        let mut wire_wakes = pin!(tokio::time::sleep(ready.map_or(never, |ready| ready - self.clock.now())));
        let mut parked = false;
        poll_fn(|cx| {
            // A second poll means a wake, whoever made it.
            let woken = wire_wakes.as_mut().poll(cx).is_ready() || parked;
            parked = true;
            if woken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(self.clock.now() - Instant::ORIGIN < never, "parked for ever");
        assert!(timeout.is_none_or(|timeout| self.clock.now() <= timeout + millis(1)), "a deadline was slept through");
    }
}

/// Runs in virtual time.
fn block_on<R>(future: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

/// A run of `machine`, and how long it took.
fn run<M: Toy>(script: &Script, futures: Futures, machine: impl FnOnce(Instant) -> M) -> (Run, Wire, Duration) {
    block_on(async {
        let mut subject = Subject::new(script, machine);
        let run = subject.run(futures).await;
        let took = subject.world.clock.now() - Instant::ORIGIN;
        (run, subject.world.wire, took)
    })
}

fn run_lines(script: &Script, config: LinesConfig, futures: Futures) -> (Run, Wire, Duration) {
    run(script, futures, |now| Lines::new(now, config))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn cancelled_at_every_wait_an_awkward_wire_changes_neither_events_nor_bytes(
        (input, script) in shared::script(),
        config in shared::config(),
    ) {
        let config = LinesConfig { idle: None, ..config };
        let (run, wire, _) = run_lines(&script, config, Futures::Dropped);
        prop_assert_eq!(run, shared::reference(&input, &config));
        prop_assert!(wire.is_shut() && !wire.is_aborted());
    }

    /// Also under deadlines and failures, and to the millisecond.
    #[test]
    fn the_blocking_twin_does_the_same(
        (_, script) in prop_oneof![shared::script(), shared::failing_script()],
        config in shared::config(),
    ) {
        let (blocking, blocking_wire) = blocking::run_lines(&script, &config);
        for futures in [Futures::Kept, Futures::Dropped] {
            let (run, wire, took) = run_lines(&script, config, futures);
            prop_assert_eq!(&run, &blocking);
            prop_assert_eq!(wire.is_shut(), blocking_wire.is_shut());
            prop_assert_eq!(wire.is_aborted(), blocking_wire.is_aborted());
            prop_assert_eq!(took, blocking_wire.now() - shared::START);
        }
    }
}

#[test]
fn an_event_does_not_wait_for_the_flush() {
    block_on(async {
        let script = Script { reads: vec![data("a\nb\n"), ReadStep::End], ..Script::default() };
        let mut subject = Subject::new(&script, |now| Lines::new(now, LinesConfig::default()));
        assert_eq!(subject.driver.next_event().await.unwrap(), Some(Bytes::from_static(b"a")));
        assert_eq!(subject.driver.next_event().await.unwrap(), Some(Bytes::from_static(b"b")));
        assert_eq!((subject.world.wire.written().as_str(), subject.world.wire.parks()), ("", 0));
        assert_eq!(subject.driver.next_event().await.unwrap(), None);
        assert_eq!(subject.world.wire.written(), "a\nb\n");
    });
}

#[test]
fn room_in_the_queue_lets_the_machine_parse_on() {
    block_on(async {
        let script = Script {
            reads: vec![data("1234567\nnext\n"), ReadStep::End],
            writes: vec![WriteStep::Take(4), WriteStep::Block(millis(60_000))],
            ..Script::default()
        };
        let config = LinesConfig { high_water: 8, idle: None };
        let mut subject = Subject::new(&script, |now| Lines::new(now, config));
        assert_eq!(subject.driver.next_event().await.unwrap(), Some(Bytes::from_static(b"1234567")));
        assert_eq!(subject.driver.next_event().await.unwrap(), Some(Bytes::from_static(b"next")));
        assert_eq!(subject.world.wire.parks(), 0);
    });
}

#[test]
fn an_error_shows_behind_its_farewell_and_the_close() {
    let script = Script {
        reads: vec![data("bad\nmore"), ReadStep::Block(millis(3)), data("and more"), ReadStep::End],
        writes: vec![WriteStep::Take(2), WriteStep::Block(millis(5))],
        ..Script::default()
    };
    for futures in [Futures::Kept, Futures::Dropped] {
        let (run, wire, _) = run_lines(&script, LinesConfig::default(), futures);
        assert_eq!(run.outcome, Outcome::Protocol(Rule::Bad));
        assert_eq!(run.written, "that was bad\n");
        assert!(wire.is_shut() && !wire.is_aborted());
    }
}

#[test]
fn a_peer_that_takes_no_farewell_is_aborted_in_time() {
    let script =
        Script { reads: vec![data("bad\n")], writes: vec![WriteStep::Block(millis(60_000))], ..Script::default() };
    let (run, wire, took) = run_lines(&script, LinesConfig::default(), Futures::Dropped);
    assert_eq!(run.outcome, Outcome::Protocol(Rule::Bad));
    assert!(wire.is_aborted() && !wire.is_shut());
    assert_eq!(took, LINGER);
}

#[test]
fn a_close_waits_for_the_peers_end_no_longer_than_it_may() {
    let script = Script { reads: vec![data("close\n")], ..Script::default() };
    let (run, _, took) = run_lines(&script, LinesConfig::default(), Futures::Dropped);
    assert_eq!((run.outcome, run.written.as_str(), took), (Outcome::Closed, "close\n", LINGER));
}

#[test]
fn a_close_discards_no_more_than_it_may() {
    let flood = vec![ReadStep::Data(vec![b'x'; 4096]); 10_000];
    let script = Script { reads: [vec![data("close\n")], flood].concat(), ..Script::default() };
    let (run, wire, _) = run_lines(&script, LinesConfig::default(), Futures::Kept);
    assert_eq!((run.outcome, wire.parks()), (Outcome::Closed, 0));
}

#[test]
fn an_abort_does_not_wait() {
    let script =
        Script { reads: vec![data("abort\n")], writes: vec![WriteStep::Block(millis(60_000))], ..Script::default() };
    let (run, wire, _) = run_lines(&script, LinesConfig::default(), Futures::Kept);
    assert_eq!((run.outcome, wire.parks()), (Outcome::Closed, 0));
    assert!(wire.is_aborted() && !wire.is_shut());
}

#[test]
fn a_write_of_zero_is_write_zero() {
    let script =
        Script { reads: vec![data("a\n")], writes: vec![WriteStep::Take(1), WriteStep::Zero], ..Script::default() };
    let (run, ..) = run_lines(&script, LinesConfig::default(), Futures::Dropped);
    assert_eq!((run.outcome, run.events), (Outcome::Io(ErrorKind::WriteZero), vec!["a".to_owned()]));
}

/// A server that answers early and closes makes the client's writes fail before the client has read the answer.
#[test]
fn what_the_peer_sent_before_a_write_failed_is_still_read() {
    let script = Script {
        reads: vec![data("early\n"), data("answer\n")],
        writes: vec![WriteStep::Error(ErrorKind::BrokenPipe)],
        ..Script::default()
    };
    let (run, ..) = run(&script, Futures::Dropped, |now| {
        let mut machine = Lines::new(now, LinesConfig::default());
        assert!(machine.say(b"a long request"));
        machine
    });
    assert_eq!(run.events, ["early", "answer"]);
    assert_eq!(run.outcome, Outcome::Io(ErrorKind::BrokenPipe));
}

#[test]
fn a_timer_goes_on_whatever_arrives() {
    let noise = [data("noise"), ReadStep::Block(millis(7))];
    for reads in [repeat(&noise, 20), vec![data("noise"), ReadStep::End]] {
        let script = Script { reads, ..Script::default() };
        for futures in [Futures::Kept, Futures::Dropped] {
            let (run, ..) = run(&script, futures, |now| Ticker::new(now, millis(10), 5));
            assert_eq!(run.events, ["tick"; 5]);
            assert_eq!((run.written, run.outcome), ("tick\n".repeat(5), Outcome::Closed));
        }
    }
}

#[test]
fn a_command_may_bring_the_deadline_forward() {
    block_on(async {
        let config = LinesConfig { idle: Some(millis(60_000)), ..LinesConfig::default() };
        let Subject { mut driver, world } = Subject::new(&Script::default(), |now| Lines::new(now, config));
        assert!(tokio::time::timeout(millis(1), driver.next_event()).await.is_err());
        let now = driver.now();
        driver.machine_mut().hurry(now, millis(10));
        assert!(matches!(driver.next_event().await, Err(DriveError::Protocol(Rule::Idle))));
        assert_eq!(world.clock.now() - now, millis(10) + LINGER);
    });
}

#[test]
fn a_failed_machine_that_never_closes_is_given_up() {
    let flood = [data("more and more"), ReadStep::Block(millis(30))];
    let script = Script { reads: [vec![data("x")], repeat(&flood, 1_000)].concat(), ..Script::default() };
    block_on(async {
        let mut subject = Subject::new(&script, |now| Stubborn::new(now, true));
        assert_eq!(subject.run(Futures::Dropped).await.outcome, Outcome::Protocol(Rule::Bad));
        assert!(subject.world.wire.is_aborted());
        assert_eq!(subject.world.clock.now() - Instant::ORIGIN, LINGER);
        // Nothing piled up for a machine that takes nothing.
        assert_eq!(&subject.driver.into_parts().recv[..], b"x");
    });
}

#[test]
fn a_flood_buys_a_failed_connection_no_time() {
    let script = Script { reads: repeat(&[data("more and more")], 1_000), ..Script::default() };
    block_on(async {
        let Subject { driver, world } = Subject::new(&script, |now| Stubborn::new(now, true));
        let mut parts = driver.into_parts();
        parts.config.linger = Duration::ZERO;
        let mut subject = Subject { driver: Driver::from_parts(parts), world };
        assert_eq!(subject.run(Futures::Dropped).await.outcome, Outcome::Protocol(Rule::Bad));
        assert!(subject.world.wire.is_aborted() && subject.world.wire.reads_left() > 990);
    });
}

#[test]
fn a_failed_machine_that_waits_for_nothing_is_closed() {
    let script = Script { reads: vec![data("x"), ReadStep::Block(millis(3)), ReadStep::End], ..Script::default() };
    let (run, wire, took) = run(&script, Futures::Dropped, |now| Stubborn::new(now, false));
    assert_eq!((run.outcome, took), (Outcome::Protocol(Rule::Bad), millis(3)));
    assert!(wire.is_shut() && !wire.is_aborted());
}

/// Half-close at 0 s, the machine's patience ends at 5 s, the peer never closes: it took 7 s, for the driver then lingered
/// once more.
#[test]
fn a_machine_that_lingers_is_not_followed_by_a_second_wait() {
    for (patience, expected) in [(millis(5_000), millis(5_000)), (millis(500), LINGER)] {
        let (run, wire, took) = run(&Script::default(), Futures::Dropped, |now| Patient::new(now, patience));
        assert_eq!((run.outcome, took), (Outcome::Closed, expected));
        assert!(wire.is_shut() && !wire.is_aborted());
    }
}

#[test]
fn another_protocol_takes_over_with_the_bytes_left_over() {
    block_on(async {
        let script = Script { reads: vec![data("upgrade\nnew "), data("words\n"), ReadStep::End], ..Script::default() };
        let Subject { mut driver, world } = Subject::new(&script, |now| Lines::new(now, LinesConfig::default()));
        assert_eq!(driver.next_event().await.unwrap(), Some(Bytes::from_static(b"upgrade")));
        let now = driver.now();
        let mut driver = driver.map_machine(|old| {
            let mut new = Lines::new(now, LinesConfig::default());
            assert!(new.say(&old.into_transmit().pop(usize::MAX)));
            new
        });
        world.wire.judge(driver.machine().probe());
        assert_eq!(driver.next_event().await.unwrap(), Some(Bytes::from_static(b"new words")));
        assert_eq!(driver.next_event().await.unwrap(), None);
        assert_eq!(world.wire.written(), "upgrade\nnew words\n");
    });
}

#[test]
fn an_idle_driver_holds_no_buffer() {
    block_on(async {
        let script = Script { reads: vec![data("a\nb\n")], ..Script::default() };
        let Subject { mut driver, world } = Subject::new(&script, |now| Lines::new(now, LinesConfig::default()));
        poll_fn(|cx| {
            while driver.poll_turn(cx).is_ready() {}
            Poll::Ready(())
        })
        .await;
        assert_eq!(world.wire.written(), "a\nb\n");
        let mut parts = driver.into_parts();
        assert_eq!((parts.recv.capacity(), parts.machine.transmit().capacity()), (0, 0));
    });
}

/// A stream that breaks the contract of `AsyncRead`: it has no waker registered when it says so.
struct Confused;

impl AsyncRead for Confused {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(ErrorKind::WouldBlock.into()))
    }
}

impl AsyncWrite for Confused {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, piece: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_stream_that_would_block_without_a_wake_has_failed() {
    block_on(async {
        let machine = Lines::new(Instant::ORIGIN, LinesConfig::default());
        let error = Driver::new(machine, AnyStream(Confused)).next_turn().await.unwrap_err();
        assert!(matches!(error, DriveError::Io(error) if error.kind() == ErrorKind::WouldBlock));
    });
}
