//! Header prediction: the short way for the segment of a peer that sends while we only receive.

use drywire_core::Instant;

use super::Connection;
use crate::State;
use crate::segment::TextSegment;

impl Connection {
    /// Whether the segment is the next of a stream and nothing else: all that [`take_predicted`](Self::take_predicted)
    /// then has to do is to append its text. `false` says nothing but that the long way must be gone.
    ///
    /// Nothing of ours is in flight, so its acknowledgment has nothing to tell, and nothing has arrived out of order. What
    /// met congestion must go the long way.
    pub(crate) fn predicts(&self, text: &TextSegment<'_>) -> bool {
        let len = text.payload.len();
        self.state == State::Established
            && text.seq == self.rcv_nxt
            && text.ack == self.snd_una
            && self.snd_una == self.snd_max
            && u32::from(text.window) << self.snd_shift == self.snd_wnd
            && self.snd_wnd > 0
            && len > 0
            && len <= self.rcv_wnd() as usize
            && self.assembler.is_empty()
            && self.rcv_fin.is_none()
            && !self.recv_shutdown
            && self.timers.persist.is_none()
            && self.recovery.is_quiet()
            && self.marking.is_settled()
            && self.urgent_end().is_none()
            && self.expects_timestamps(text.timestamps)
    }

    /// Does for a segment that [`predicts`](Self::predicts) has confirmed what the steps of RFC 9293 3.10.7.4 do.
    pub(crate) fn take_predicted(&mut self, now: Instant, text: &TextSegment<'_>) {
        self.advance_clock(now);
        let len = text.payload.len();
        self.counters.segments_received += 1;
        self.counters.data_segments_received += 1;
        self.keep_timestamp(text.seq, text.timestamps);
        (self.heard, self.timers.keep_alive_probes) = (self.now, 0);
        if self.is_newer(text.seq, text.ack) {
            (self.snd_wl1, self.snd_wl2) = (text.seq, text.ack);
            self.timers.probes = 0;
        }
        // With an empty flight there is no loss to find.
        (self.timers.reorder, self.timers.tail_loss) = (None, None);
        self.append(text.payload);
        self.rcv_nxt += len as u32;
        self.acknowledge_soon(len);
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr, SocketAddr};
    use core::time::Duration;

    use bytes::{Bytes, BytesMut};
    use drywire_core::{Rng, Seed};
    use proptest::prelude::*;

    use super::*;
    use crate::ip::Ecn;
    use crate::{Config, EcnMode, Segment, SeqNumber};

    const ENDS: [SocketAddr; 2] = [
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 49152),
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 80),
    ];

    /// Hands a segment over by the short way, if it may, and to a copy by the long one. Returns whether it was short.
    fn both_ways(connection: &mut Connection, now: Instant, from: SocketAddr, ecn: Ecn, segment: &Segment<'_>) -> bool {
        let mut long = connection.clone();
        long.advance_clock(now);
        long.on_segment(from, ecn, segment);
        let predicted = TextSegment::of(segment).is_some_and(|text| connection.predicts(&text));
        connection.handle_marked_segment(now, from.ip(), ecn, segment);
        assert_eq!(*connection, long, "{segment}");
        // Counters take no part in comparisons.
        assert_eq!(format!("{:?}", connection.info()), format!("{:?}", long.info()), "{segment}");
        predicted && ecn != Ecn::Ce
    }

    /// Two connections under random calls of both users and the faults of a network. Returns how many segments went which
    /// way.
    fn run(seed: u64, faults: u64, two_way: bool, config: &Config) -> [usize; 2] {
        let mut rng = Rng::new(&Seed::from(seed));
        let mut now = Instant::ORIGIN;
        let [a, b] = ENDS;
        // The numbers wrap on the way.
        let mut ends = [
            Connection::connect(now, a, b, SeqNumber::new(u32::MAX - 20_000), config.clone()),
            Connection::listen(b, rng.next_u32().into(), config.clone()),
        ];
        let mut wire = BTreeMap::<(Instant, u64), (usize, Ecn, Bytes)>::new();
        let (mut sent, mut ways) = (0, [0; 2]);
        for _ in 0..400 {
            for (side, end) in ends.iter_mut().enumerate() {
                if (side == 0 || two_way) && rng.chance(1, 2) {
                    let len = end.send_room().min(rng.below(6000) as usize);
                    let _ = end.send(Bytes::from(alloc::vec![side as u8; len]));
                }
                if rng.chance(1, 2) {
                    let most = rng.below(8000) as usize;
                    end.recv().skip(most);
                }
                if rng.chance(1, 300) {
                    end.shutdown();
                }
                let mut out = BytesMut::new();
                while let Some(transmit) = end.poll_transmit(now, &mut out) {
                    let marked = transmit.ecn == Ecn::Ect0 && rng.chance(faults, 100);
                    let ecn = if marked { Ecn::Ce } else { transmit.ecn };
                    let segment = out.split().freeze();
                    for _ in 0..=u32::from(rng.chance(faults, 200)) {
                        let delay = if rng.chance(faults, 100) { rng.below(30) } else { 10 };
                        sent += 1;
                        if !rng.chance(faults, 100) {
                            wire.insert((now + Duration::from_millis(delay), sent), (1 - side, ecn, segment.clone()));
                        }
                    }
                }
            }
            let due = ends.iter().filter_map(Connection::poll_timeout).chain(wire.keys().map(|key| key.0)).min();
            now = due.map_or(now, |due| due.max(now));
            while let Some(entry) = wire.first_entry().filter(|entry| entry.key().0 <= now) {
                let (to, ecn, bytes) = entry.remove();
                let from = ENDS[1 - to];
                let segment = Segment::parse(&bytes, from.ip(), ENDS[to].ip()).unwrap();
                ways[usize::from(both_ways(&mut ends[to], now, from, ecn, &segment))] += 1;
            }
            for end in &mut ends {
                end.handle_timeout(now);
            }
        }
        ways
    }

    fn config() -> impl Strategy<Value = Config> {
        (any::<(bool, bool, bool, bool)>(), 0..20u16, 2000..40_000usize).prop_map(
            |((sack, timestamps, quick, ecn), mss, capacity)| Config {
                ecn: if ecn { EcnMode::Request } else { EcnMode::Off },
                sack,
                timestamps,
                quick_acks: if quick { 16 } else { 0 },
                mss: 500 + 50 * mss,
                recv_capacity: capacity,
                ..Config::default()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_short_way_ends_where_the_long_one_does(
            (seed, two_way) in any::<(u64, bool)>(),
            faults in 0..20u64,
            config in config(),
        ) {
            run(seed, faults, two_way, &config);
        }
    }

    #[test]
    fn a_stream_without_losses_goes_the_short_way() {
        let [long, short]: [usize; 2] = run(1, 0, false, &Config::default());
        assert!(short > 50 && short > long, "{short} short, {long} long");
    }

    /// Segments made by hand that differ from the predicted one in a single field.
    #[test]
    fn whatever_differs_from_the_next_piece_goes_the_long_way() {
        let [a, b] = ENDS;
        let now = Instant::ORIGIN;
        let mut server = Connection::listen(b, SeqNumber::new(500), Config { timestamps: false, ..Config::default() });
        let header = |flags, seq: u32, ack: u32| crate::Header {
            source_port: a.port(),
            destination_port: b.port(),
            seq: seq.into(),
            ack: ack.into(),
            flags,
            window: 1000,
            ..crate::Header::default()
        };
        let (syn, ack) = (crate::Flags::SYN, crate::Flags::ACK);
        server.handle_segment(now, a.ip(), &Segment { header: header(syn, 100, 0), payload: &[] });
        server.poll_transmit(now, &mut BytesMut::new()).unwrap();
        server.handle_segment(now, a.ip(), &Segment { header: header(ack, 101, 501), payload: &[] });
        assert_eq!(server.state(), State::Established);
        let next = Segment { header: header(ack, 101, 501), payload: b"text" };
        let with = |change: &dyn Fn(&mut Segment<'_>)| {
            let mut segment = next;
            change(&mut segment);
            both_ways(&mut server.clone(), now, a, Ecn::NotEct, &segment)
        };
        assert!(with(&|_| {}));
        assert!(with(&|segment| segment.header.flags |= crate::Flags::PSH));
        let long: Vec<&dyn Fn(&mut Segment<'_>)> = alloc::vec![
            &|segment| segment.header.seq += 1,
            &|segment| segment.header.seq = segment.header.seq - 1,
            &|segment| segment.header.ack += 1,
            &|segment| segment.header.ack = segment.header.ack - 1,
            &|segment| segment.header.window = 999,
            &|segment| segment.header.flags |= crate::Flags::FIN,
            &|segment| segment.header.flags |= crate::Flags::SYN,
            &|segment| segment.header.flags |= crate::Flags::RST,
            &|segment| segment.header.flags |= crate::Flags::URG,
            &|segment| segment.header.flags |= crate::Flags::ECE,
            &|segment| segment.header.flags |= crate::Flags::CWR,
            &|segment| segment.header.flags = crate::Flags::NONE,
            &|segment| segment.header.options.mss = Some(1000),
            &|segment| segment.header.options.timestamps = Some(crate::Timestamps { value: 1, echo: 1 }),
            &|segment| segment.payload = b"",
            &|segment| segment.payload = &[0; 70_000],
        ];
        for (index, change) in long.into_iter().enumerate() {
            assert!(!with(change), "change {index}");
        }
    }
}
