//! drywire beside smoltcp: the same segments and calls go to both, and what can be seen of them is compared.
//!
//! The peer is made by hand: its segments are what the input chooses, in the window and out of it, with odd flags, old
//! acknowledgments, overlapping text, resets. Both endpoints get the same ones, but for the numbers that each has drawn
//! itself. After every step they must agree on state, bytes received, bytes acknowledged, numbers sent, answers and
//! resets, or [`DIFFERENCES`] must have the reason. `docs/design/differential.md` says more.

mod differences;
mod endpoint;
mod script;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drywire::tcp::{Config, Flags, Header, Options, Segment, SeqNumber, State, Timestamps};
use drywire::{BytesMut, Instant};

use super::input::Input;
pub use differences::{Aspect, DIFFERENCES, Difference};
use differences::{Peer, Situation};
use endpoint::{Drywire, Endpoint, LOCAL, PEER, Smoltcp};
pub use script::{Ack, Clock, SegmentPlan, Seq, Setup, Step};
use seen::Seen;

/// Longer than twice drywire's longest time-out.
const LONG: Duration = Duration::from_secs(130);

/// Steps that are taken at most: long inputs find nothing that short ones do not.
const STEPS: usize = 200;

/// Panics if the endpoints differ where they must not.
pub fn run(data: &[u8]) {
    let (setup, steps) = script(data);
    if let Err(failure) = play(&setup, &steps, |_| {}) {
        panic!("{failure}");
    }
}

/// The script that an input stands for.
pub fn script(data: &[u8]) -> (Setup, Vec<Step>) {
    let mut input = Input::new(data);
    let (setup, open) = Setup::read(&mut input);
    let mut steps = if open { setup.handshake() } else { vec![] };
    while !input.is_empty() && steps.len() < STEPS {
        steps.push(Step::read(&mut input));
    }
    (setup, steps)
}

/// What a run has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The names of the differences that were met, and in what they showed. What parts the endpoints need not show at once.
    pub met: BTreeMap<&'static str, BTreeSet<Aspect>>,
    /// After how many steps the endpoints were no longer to be compared.
    pub parted: Option<usize>,
}

/// Applies `steps` to both, with drywire's settings changed by `change`. If they differ without a reason, the error tells
/// the script up to there.
pub fn play(setup: &Setup, steps: &[Step], change: impl FnOnce(&mut Config)) -> Result<Outcome, String> {
    let mut bench = Bench::new(*setup, change);
    for (number, step) in steps.iter().enumerate() {
        let parted = bench.outcome.parted.is_some();
        if let Err(differing) = bench.step(step) {
            let steps: Vec<_> = steps[..=number].iter().map(|step| format!("  {step:x?}")).collect();
            let steps = steps.join("\n");
            let [drywire, smoltcp] = &bench.seen;
            return Err(format!(
                "{differing:?} differ after\n{setup:x?}\n{steps}\ndrywire {drywire:?}\nsmoltcp {smoltcp:?}"
            ));
        }
        if !parted && bench.outcome.parted.is_some() {
            bench.outcome.parted = Some(number + 1);
        }
    }
    bench.finish()?;
    Ok(bench.outcome)
}

/// A segment of the peer's, its numbers as distances from the initial ones.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    flags: Flags,
    seq: u32,
    ack: u32,
    window: u16,
    len: u32,
    clock: Clock,
}

struct Bench {
    setup: Setup,
    now: Instant,
    drywire: Drywire,
    smoltcp: Smoltcp,
    seen: [Seen; 2],
    peer: Peer,
    outcome: Outcome,
}

impl Bench {
    fn new(setup: Setup, change: impl FnOnce(&mut Config)) -> Self {
        let mut bench = Self {
            setup,
            now: Instant::ORIGIN,
            drywire: Drywire::new(&setup, change),
            smoltcp: Smoltcp::new(&setup),
            seen: [(); 2].map(|()| Seen::new(State::Closed)),
            peer: Peer::default(),
            outcome: Outcome::default(),
        };
        bench.settle();
        bench
    }

    fn parted(&self) -> bool {
        self.outcome.parted.is_some()
    }

    /// The endpoints that the run still goes on with, and what is seen of them. After the ways have parted that is
    /// drywire alone.
    fn live(&mut self) -> impl Iterator<Item = (&mut dyn Endpoint, &mut Seen)> {
        let count = if self.parted() { 1 } else { 2 };
        let endpoints: [&mut dyn Endpoint; 2] = [&mut self.drywire, &mut self.smoltcp];
        endpoints.into_iter().zip(&mut self.seen).take(count)
    }

    /// Lets the endpoints send what they have, and looks at them.
    fn settle(&mut self) {
        let (now, peer_isn) = (self.now, self.setup.peer_isn);
        for (endpoint, seen) in self.live() {
            for segment in endpoint.poll(now) {
                seen.observe(endpoint.name(), peer_isn, &segment);
            }
            seen.look(endpoint);
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Vec<Aspect>> {
        let before = self.seen.clone();
        let info = self.drywire.0.info();
        let mut arrival = None;
        self.seen.iter_mut().for_each(Seen::begin_step);
        match *step {
            Step::Segment(plan) => {
                let segment = self.resolve(&plan);
                arrival = Some(segment);
                self.deliver(&segment);
            }
            Step::Read(most) => {
                let n = self.live().map(|(endpoint, _)| endpoint.readable()).min().unwrap_or(0).min(most);
                self.live().for_each(|(endpoint, seen)| seen.read(endpoint, n));
            }
            Step::Write(most) => {
                let open = |state| matches!(state, State::Established | State::CloseWait);
                if self.live().all(|(endpoint, _)| open(endpoint.state())) {
                    let n = self.live().map(|(endpoint, _)| endpoint.room()).min().unwrap_or(0).min(most);
                    self.live().for_each(|(endpoint, seen)| seen.write(endpoint, n));
                }
            }
            Step::Shutdown => self.live().for_each(|(endpoint, _)| endpoint.shutdown()),
            Step::Abort => self.live().for_each(|(endpoint, _)| endpoint.abort()),
            Step::Wait(time) => self.wait(self.now + time),
        }
        self.settle();
        if self.parted() {
            return Ok(());
        }
        let info_after = self.drywire.0.info();
        let to_send = info_after.unsent + info_after.unacknowledged as usize;
        let situation = Situation {
            step,
            setup: &self.setup,
            now: self.now,
            arrival,
            before: &before,
            after: &self.seen,
            peer: &self.peer,
            windows: [info.snd_wnd, info_after.snd_wnd],
            timestamps: info.timestamps,
            recovers: info_after.counters.segments_retransmitted > info.counters.segments_retransmitted
                || (info_after.counters.segments_retransmitted > 0
                    && (info_after.segments_lost > 0 || to_send > info_after.congestion_window as usize)),
        };
        let met = situation.explain()?;
        if met.iter().any(|difference| difference.parts) {
            self.outcome.parted = Some(0);
        }
        for difference in met {
            let shown = situation.differing().into_iter().filter(|aspect| difference.aspects.contains(aspect));
            self.outcome.met.entry(difference.name).or_default().extend(shown);
        }
        let peer = situation.peer_after();
        self.peer = peer;
        Ok(())
    }

    /// drywire never waits for an acknowledgment without a timer. (smoltcp does, where the window closes over what is in
    /// flight.)
    fn finish(&mut self) -> Result<(), String> {
        let waits = match self.seen[0].state {
            State::Closed | State::Listen | State::FinWait2 | State::TimeWait => false,
            State::Established | State::CloseWait => self.seen[0].unacknowledged > 0,
            _ => true,
        };
        self.seen.iter_mut().for_each(Seen::begin_step);
        self.wait(self.now + LONG);
        let drywire = &self.seen[0];
        if waits && drywire.answers == 0 { Err(format!("drywire sends nothing again: {drywire:?}")) } else { Ok(()) }
    }

    /// Time goes from deadline to deadline.
    fn wait(&mut self, end: Instant) {
        let (start, peer_isn) = (self.now, self.setup.peer_isn);
        for (endpoint, seen) in self.live() {
            let mut now = start;
            loop {
                now = endpoint.poll_timeout(now).unwrap_or(end).clamp(now, end);
                for segment in endpoint.poll(now) {
                    seen.observe(endpoint.name(), peer_isn, &segment);
                }
                if now == end || endpoint.poll_timeout(now).is_none_or(|at| at >= end) {
                    break;
                }
                assert!(endpoint.poll_timeout(now).is_none_or(|at| at > now), "{}: law 6", endpoint.name());
            }
        }
        self.now = end;
    }

    /// The plan's numbers from where both endpoints stand.
    fn resolve(&self, plan: &SegmentPlan) -> Arrival {
        let [drywire, smoltcp] = &self.seen;
        let next = drywire.acked.unwrap_or(0);
        let edge = |seen: &Seen| seen.edge.unwrap_or(next).wrapping_sub(next);
        let (mut edge, mut max) = (edge(drywire), drywire.max);
        if !self.parted() {
            edge = edge.min(smoltcp.edge.unwrap_or(next).wrapping_sub(next));
            max = max.min(smoltcp.max);
        }
        let opens = matches!(drywire.state, State::Listen | State::SynSent) && plan.flags.contains(Flags::SYN);
        let seq = match plan.seq {
            // The stream has one beginning.
            _ if opens => 0,
            Seq::Next(distance) => next.wrapping_add(distance),
            Seq::Edge(distance) => next.wrapping_add(edge).wrapping_add(distance),
            Seq::Start(distance) => distance,
        };
        let ack = match plan.ack {
            Ack::Una(distance) => drywire.una().wrapping_add(distance),
            Ack::Max(distance) => max.wrapping_add(distance),
        };
        let (flags, window, len, clock) = (plan.flags, plan.window, plan.len.into(), plan.clock);
        Arrival { flags, seq, ack, window, len, clock }
    }

    fn deliver(&mut self, arrival: &Arrival) {
        let (now, setup) = (self.now, self.setup);
        let syn = arrival.flags.contains(Flags::SYN);
        let value = match arrival.clock {
            Clock::Now => Some(1000 + self.now.as_millis() as u32),
            Clock::Old => Some(1),
            Clock::Missing => None,
        };
        let timestamps = value.filter(|_| setup.timestamps).map(|value| Timestamps { value, echo: 0 });
        let mut options = Options { timestamps, ..Options::default() };
        if syn {
            (options.mss, options.window_scale, options.sack_permitted) = (setup.mss, setup.scale, setup.sack);
        }
        let first = arrival.seq.wrapping_add(u32::from(syn)).wrapping_sub(1);
        let payload: Vec<u8> = (0..arrival.len).map(|at| seen::theirs(first.wrapping_add(at))).collect();
        for (endpoint, seen) in self.live() {
            let header = Header {
                source_port: PEER.port(),
                destination_port: LOCAL.port(),
                seq: SeqNumber::new(setup.peer_isn.wrapping_add(arrival.seq)),
                ack: SeqNumber::new(seen.iss.unwrap_or(0).wrapping_add(arrival.ack)),
                flags: arrival.flags,
                window: arrival.window,
                urgent: 0,
                options,
            };
            let mut bytes = BytesMut::new();
            Segment { header, payload: &payload }.emit(PEER.ip(), LOCAL.ip(), &mut bytes);
            endpoint.handle(now, &bytes);
        }
    }
}
