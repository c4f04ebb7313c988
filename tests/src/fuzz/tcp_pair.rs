//! Two TCP endpoints and a network of the input's choosing.

use std::time::Duration;

use drywire::Instant;
use drywire::sim::{Chance, Finish, LinkConfig, Open, Side, TcpPair, Transfer};
use drywire::tcp::{CloseReason, Config, Congestion, EcnMode, NewReno};

use super::input::Input;

/// The run must end: with every byte where it belongs, or with a reason. Twice, in the same way.
pub fn run(data: &[u8]) {
    let mut input = Choices(Input::new(data));
    let mut pair = TcpPair::new(input.number(8)).max_steps(2_000_000);
    let mode = input.number(1);
    if mode & 1 != 0 {
        pair = pair.open(Open::Simultaneous);
    }
    for side in [Side::A, Side::B] {
        pair = pair.link_from(side, input.link()).tcp_of(side, input.tcp());
    }
    // Two ends that wait for each other never close, and rightly so: one at most may wait.
    let waiting = if mode & 2 != 0 { Side::A } else { Side::B };
    for side in [Side::A, Side::B] {
        pair = pair.transfer_of(side, input.transfer(side == waiting));
    }

    // Bytes are compared inside: a wrong one, a standstill or an endless run is an error.
    let report = pair.run().unwrap_or_else(|error| panic!("{error}\n{pair:#?}"));
    let [a, b] = report.sent;
    assert!(report.received[0] <= b && report.received[1] <= a, "{report:#?}");
    if report.closed == [Some(CloseReason::Normal); 2] {
        assert!(report.is_complete(), "silently short: {report:#?}");
    }
    assert_eq!(pair.run(), Ok(report));
}

/// What the input says of the network and of the two ends.
struct Choices<'a>(Input<'a>);

impl Choices<'_> {
    fn number(&mut self, bytes: usize) -> u64 {
        self.0.big_endian(bytes)
    }

    fn chance(&mut self, percent: u32) -> Chance {
        Chance::per_million(self.number(1) as u32 * percent * 10_000 / 255)
    }

    fn millis(&mut self) -> Duration {
        Duration::from_millis(self.number(1))
    }

    fn link(&mut self) -> LinkConfig {
        let small_mtu = 68 + self.number(1) as usize * 8;
        LinkConfig {
            latency: self.millis(),
            jitter: self.millis(),
            loss: self.chance(50),
            duplication: self.chance(30),
            reordering: self.chance(50),
            reordering_delay: self.millis(),
            corruption: self.chance(20),
            rate: Some(self.number(1) * 1000).filter(|rate| *rate > 0),
            queue: 3000 + self.number(1) as usize * 256,
            marking: Chance::percent((small_mtu / 8 % 8) as u32 * 5),
            marking_threshold: (small_mtu / 64 % 2 == 1).then_some(3000),
            mtu: (small_mtu >= 600).then_some(small_mtu),
        }
    }

    fn tcp(&mut self) -> Config {
        let features = self.number(1);
        let on = |bit: u64| features & bit != 0;
        let mss = 40 + self.number(2) as u16 % 1500;
        Config {
            mss,
            ecn: [EcnMode::Accept, EcnMode::Request, EcnMode::Off][usize::from(mss % 3)],
            // Window pressure: from no room at all to all that is sent, at once or bit by bit.
            recv_capacity: self.number(2) as usize,
            initial_recv_capacity: if on(1) { 1 } else { Config::default().initial_recv_capacity },
            max_out_of_order: if on(2) { 2 } else { Config::default().max_out_of_order },
            timestamps: on(4),
            sack: on(8),
            no_delay: on(16),
            quick_acks: if on(32) { 0 } else { 16 },
            user_timeout: on(64).then_some(Duration::from_secs(20)),
            congestion: if on(128) { Congestion::NewReno(NewReno::default()) } else { Congestion::default() },
            send_capacity: 1 + self.number(2) as usize,
            syn_retries: self.number(1) as u8 % 10,
            data_retries: self.number(1) as u8 % 20,
            time_wait: self.millis() * 100,
            ..Config::default()
        }
    }

    fn transfer(&mut self, may_wait: bool) -> Transfer {
        Transfer {
            send: self.number(2) % (16 * 1024),
            write: self.number(2) as usize,
            read: self.number(2) as usize,
            pause: self.millis() / 16,
            finish: match self.number(1) % 8 {
                0 => Finish::Abort,
                1 | 2 if may_wait => Finish::AfterPeer,
                3 => Finish::At(Instant::from_millis(self.number(2))),
                _ => Finish::WhenSent,
            },
        }
    }
}
