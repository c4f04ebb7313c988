//! Two TCP endpoints and a network of the input's choosing.

use std::time::Duration;

use drywire::Instant;
use drywire::sim::{Chance, Finish, LinkConfig, Open, Side, TcpPair, Transfer};
use drywire::tcp::{CloseReason, Config, EcnMode};

/// The run must end: with every byte where it belongs, or with a reason. Twice, in the same way.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
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

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    /// The next bytes as a number; zeros when there are no more.
    fn number(&mut self, bytes: usize) -> u64 {
        let (now, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        now.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
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
        let mss = 40 + self.number(2) as u16 % 1500;
        Config {
            mss,
            // Of a number that is there, so that inputs keep their meaning.
            ecn: [EcnMode::Accept, EcnMode::Request, EcnMode::Off][usize::from(mss % 3)],
            recv_capacity: self.number(2) as usize,
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
