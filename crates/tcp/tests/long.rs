//! A connection that lives for longer than its sequence numbers.

mod common;

use bytes::{Bytes, BytesMut};
use common::{ACK, Bench, SYN, config, ms, segment};
use drywire_core::Instant;
use drywire_tcp::{Config, Connection};

/// RFC 6582 3.2: without SACK, a loss is found by duplicates of an acknowledgment beyond `recover`, which lies where the last
/// loss was noticed. Three GiB later, half of the sequence numbers lie between, and "beyond" would be the other way.
#[test]
fn rfc_6582_3_2_a_loss_is_found_however_long_ago_the_last_one_was() {
    let config = Config {
        segmentation_offload: true,
        checksum_offload: true,
        send_capacity: 1 << 20,
        initial_window: 100,
        ..config()
    };
    let mut bench = Bench::established_with(config, segment(SYN | ACK, 5000, 1001).scale(7));
    let text = Bytes::from(vec![7; 60_000]);
    let mut out = BytesMut::new();
    let mut send = |end: &mut Connection| {
        assert!(end.send(text.clone()).is_ok());
        while end.poll_transmit(Instant::ORIGIN + ms(100), &mut out).is_some() {
            out.clear();
        }
    };
    // The window of a SYN is not scaled.
    bench.take(&segment(ACK, 5001, 1001));
    let mut acked = 1001_u32;
    for piece in 0..54_000_u32 {
        send(&mut bench.end);
        if piece % 9000 == 8999 {
            // Every half GiB, in a copy, the first segment is lost.
            let mut lossy = Bench { now: bench.now, end: bench.end.clone() };
            for _ in 0..3 {
                lossy.take(&segment(ACK, 5001, acked));
            }
            assert_eq!(lossy.end.info().segments_lost, 1, "after {piece} pieces");
        }
        acked = acked.wrapping_add(60_000);
        bench.take(&segment(ACK, 5001, acked));
    }
}
