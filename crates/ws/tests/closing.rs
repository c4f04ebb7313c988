//! RFC 6455, 5.5.1, 7.1 and 7.4: the closing handshake, its codes, its time limits, and what ends without it.

mod common;

use core::time::Duration;

use common::*;
use drywire_core::{Close, Demand, StreamMachine};
use drywire_ws::{
    CloseCode, CloseFrame, CloseInfo, Config, Error, Event, Misuse, ProtocolError, Role, SendError, State,
};

const READ: Demand = Demand { read: true, close: None };
const STOP: Demand = Demand { read: false, close: Some(Close::Both) };

fn normal() -> CloseFrame {
    CloseFrame::new(CloseCode::NORMAL, "bye")
}

#[test]
fn rfc6455_7_1_2_the_client_closes_and_waits_for_the_server_to_end_the_stream() {
    let mut client = End::client();
    client.machine.close(NOW, Some(normal())).unwrap();
    assert_eq!(client.machine.state(), State::CloseSent);
    assert_eq!(client.sent_frames()[0].payload, close_payload(1000, "bye"));
    assert_eq!(client.machine.demand(), READ);
    // Messages that were under way still arrive.
    assert_eq!(client.receive(&plain(TEXT, b"last words")).unwrap(), [text("last words")]);
    let answer = plain(CLOSE, &close_payload(1000, ""));
    assert_eq!(client.receive(&answer).unwrap(), [Event::Close(Some(CloseFrame::new(CloseCode::NORMAL, "")))]);
    // 7.1.1: the server closes first.
    assert_eq!((client.machine.state(), client.machine.demand()), (State::AwaitingEnd, READ));
    assert_eq!(client.end(), Ok(vec![]));
    assert_eq!((client.machine.state(), client.machine.demand()), (State::Closed, STOP));
    assert_eq!(client.machine.poll_timeout(), None);
}

#[test]
fn rfc6455_7_1_2_the_server_closes_and_ends_the_stream_once_answered() {
    let mut server = End::server();
    server.machine.close(NOW, Some(normal())).unwrap();
    server.sent();
    assert_eq!(server.machine.demand(), READ);
    server.receive(&masked(CLOSE, &close_payload(1000, ""))).unwrap();
    assert_eq!((server.machine.state(), server.machine.demand()), (State::Closed, STOP));
}

#[test]
fn rfc6455_5_5_1_a_close_frame_is_answered_with_its_code() {
    let mut server = End::server();
    let close = masked(CLOSE, &close_payload(3210, "going"));
    let frame = CloseFrame::new(CloseCode(3210), "going");
    assert_eq!(server.receive(&close).unwrap(), [Event::Close(Some(frame))]);
    // The close waits for the answer to leave.
    assert_eq!(server.machine.demand(), Demand { read: false, close: None });
    assert_eq!(server.sent(), plain(CLOSE, &close_payload(3210, "")));
    assert_eq!(server.machine.demand(), STOP);

    let mut client = End::client();
    assert_eq!(client.receive(&plain(CLOSE, b"")).unwrap(), [Event::Close(None)]);
    assert_eq!(client.sent_frames()[0].payload, b"");
    assert_eq!(client.machine.demand(), READ);
}

#[test]
fn rfc6455_5_5_1_close_frames_that_cross_are_both_answers() {
    let mut client = End::client();
    client.machine.close(NOW, None).unwrap();
    client.sent();
    client.receive(&plain(CLOSE, &close_payload(1001, ""))).unwrap();
    assert!(client.sent().is_empty());
    assert_eq!(client.machine.state(), State::AwaitingEnd);
}

#[test]
fn rfc6455_5_5_1_nothing_is_sent_after_a_close_frame() {
    let mut server = End::server();
    server.machine.close(NOW, None).unwrap();
    server.sent();
    assert_eq!(server.machine.send_text("x"), Err(SendError::Misuse(Misuse::Closing)));
    assert_eq!(server.machine.ping("x"), Err(SendError::Misuse(Misuse::Closing)));
    assert_eq!(server.machine.close(NOW, None), Err(Misuse::Closing));
    assert!(server.sent().is_empty());
}

#[test]
fn rfc6455_1_4_bytes_behind_a_close_frame_stay_where_they_are() {
    for (mut end, close) in [(End::server(), masked(CLOSE, b"")), (End::client(), plain(CLOSE, b""))] {
        let events = end.receive(&[&close[..], b"\xff\xff behind"].concat()).unwrap();
        assert_eq!(events, [Event::Close(None)]);
        assert_eq!(end.poll(), Ok(vec![]));
        assert_eq!(&end.recv[..], b"\xff\xff behind");
        end.sent();
        // Neither role waits for a peer that goes on after its Close frame.
        assert_eq!(end.machine.demand(), STOP);
    }
}

#[test]
fn rfc6455_7_4_codes_that_may_appear_are_accepted_and_all_others_refused() {
    for code in 0..=u16::MAX {
        let legal = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        let result = End::server().receive(&masked(CLOSE, &close_payload(code, "")));
        let expected = if legal {
            Ok(vec![Event::Close(Some(CloseFrame::new(CloseCode(code), "")))])
        } else {
            Err(Error::Protocol(ProtocolError::CloseCodeForbidden(code)))
        };
        assert_eq!(result, expected);
        let sent = End::server().machine.close(NOW, Some(CloseFrame::new(CloseCode(code), "")));
        assert_eq!(sent, if legal { Ok(()) } else { Err(Misuse::CloseCodeForbidden(CloseCode(code))) });
    }
}

#[test]
fn rfc6455_5_5_1_a_close_payload_of_one_byte_is_refused() {
    let mut server = End::server();
    assert_eq!(server.receive(&masked(CLOSE, &[3])), Err(Error::Protocol(ProtocolError::CloseCodeTruncated)));
    assert_eq!(farewell(&mut server), Some(1002));
}

#[test]
fn rfc6455_5_5_1_a_close_reason_must_be_utf8() {
    let mut server = End::server();
    let close = masked(CLOSE, &[3, 0xe8, b'o', 0xc3]);
    assert_eq!(server.receive(&close), Err(Error::Protocol(ProtocolError::CloseReasonNotUtf8)));
    assert_eq!(farewell(&mut server), Some(1007));
}

#[test]
fn rfc6455_5_5_a_close_reason_has_at_most_123_bytes() {
    let mut server = End::server();
    let long = CloseFrame::new(CloseCode::NORMAL, "x".repeat(124));
    assert_eq!(server.machine.close(NOW, Some(long)), Err(Misuse::CloseReasonTooLong));
    let fits = CloseFrame::new(CloseCode::NORMAL, "x".repeat(123));
    assert_eq!(server.machine.close(NOW, Some(fits.clone())), Ok(()));
    let sent = server.sent();
    assert_eq!(End::client().receive(&sent).unwrap(), [Event::Close(Some(fits))]);
}

#[test]
fn rfc6455_7_1_7_a_failed_connection_says_why_then_closes_and_repeats_its_error() {
    let mut server = End::server();
    server.machine.send_text("before").unwrap();
    let failure = Error::Protocol(ProtocolError::ReservedOpcode(3));
    let wire = [masked(TEXT, b"good"), masked(0x83, b""), masked(TEXT, b"never")].concat();
    server.recv.extend_from_slice(&wire);
    assert_eq!(server.machine.poll_event(NOW, &mut server.recv), Ok(Some(text("good"))));
    for _ in 0..3 {
        assert_eq!(server.poll(), Err(failure));
    }
    assert_eq!(server.machine.send_text("x"), Err(SendError::Misuse(Misuse::Failed(failure))));
    assert_eq!(server.machine.close(NOW, None), Err(Misuse::Failed(failure)));
    assert_eq!(server.machine.demand(), Demand { read: false, close: None });
    let farewell = close_payload(1002, &failure.to_string());
    assert_eq!(server.sent(), [plain(TEXT, b"before"), plain(CLOSE, &farewell)].concat());
    assert_eq!(server.machine.demand(), STOP);
    assert_eq!(server.poll(), Err(failure));
}

#[test]
fn rfc6455_7_1_7_a_violation_after_our_close_frame_sends_no_second_one() {
    let mut server = End::server();
    server.machine.close(NOW, None).unwrap();
    assert!(server.receive(&masked(0x83, b"")).is_err());
    assert_eq!(server.sent(), plain(CLOSE, b""));
    assert_eq!(server.machine.demand(), STOP);
}

#[test]
fn rfc6455_7_1_5_the_end_of_the_stream_without_a_close_frame_is_an_error_of_its_own() {
    let half_header = &masked(TEXT, b"x")[..3];
    let half_payload = &masked(TEXT, b"xyz")[..8];
    for role in [Role::Server, Role::Client] {
        for before in [&[][..], half_header, half_payload] {
            let before = if role == Role::Client { &[][..] } else { before };
            let mut end = End::new(role);
            end.receive(before).unwrap();
            assert_eq!(end.end(), Err(Error::EndOfStream));
            assert_eq!(end.poll(), Err(Error::EndOfStream));
            // 7.4.1: 1006 "MUST NOT be set as a status code in a Close control frame".
            assert!(end.sent().is_empty());
            assert_eq!(end.machine.demand(), STOP);
        }
        let mut end = End::new(role);
        end.machine.close(NOW, None).unwrap();
        end.sent();
        assert_eq!(end.end(), Err(Error::EndOfStream));
    }
}

#[test]
fn what_stands_before_the_end_of_the_stream_counts() {
    let mut server = End::server();
    server.recv.extend_from_slice(&[masked(TEXT, b"hello"), masked(CLOSE, b"")].concat());
    assert_eq!(server.end(), Ok(vec![text("hello"), Event::Close(None)]));
}

#[test]
fn a_close_frame_that_is_not_answered_in_time_aborts() {
    for role in [Role::Server, Role::Client] {
        let config = Config { close_timeout: Duration::from_secs(3), ..Config::default() };
        let mut end = End::with(role, config, 1024);
        assert_eq!(end.machine.poll_timeout(), None);
        end.machine.close(NOW, None).unwrap();
        let deadline = NOW + Duration::from_secs(3);
        assert_eq!(end.machine.poll_timeout(), Some(deadline));
        end.machine.handle_timeout(deadline - Duration::from_nanos(1));
        assert_eq!(end.machine.poll_timeout(), Some(deadline));
        end.machine.handle_timeout(deadline);
        assert_eq!(end.machine.poll_timeout(), None);
        assert_eq!(end.machine.state(), State::Aborted);
        assert_eq!(end.machine.demand(), Demand { read: false, close: Some(Close::Abort) });
        assert_eq!(end.poll(), Err(Error::CloseTimeout));
        assert_eq!(end.machine.send_text("x"), Err(SendError::Misuse(Misuse::Failed(Error::CloseTimeout))));
        assert!(end.sent().is_empty());
    }
}

#[test]
fn rfc6455_7_1_1_a_client_does_not_wait_for_ever_for_the_server_to_end_the_stream() {
    let mut client = End::client();
    client.receive(&plain(CLOSE, b"")).unwrap();
    client.sent();
    let deadline = client.machine.poll_timeout().unwrap();
    assert_eq!(deadline, NOW + Config::default().close_timeout);
    client.machine.handle_timeout(deadline);
    // The handshake is complete, so this is a close in order and no error.
    assert_eq!(client.machine.demand(), STOP);
    assert_eq!(client.machine.poll_timeout(), None);
    assert_eq!(client.poll(), Ok(vec![]));
}

#[test]
fn a_peer_that_does_not_take_the_last_words_is_dropped() {
    // A server's answer to Close, and the farewell after a violation.
    for wire in [masked(CLOSE, b""), masked(0x83, b"")] {
        let mut server = End::server();
        let _ = server.receive(&wire);
        let deadline = server.machine.poll_timeout().unwrap();
        server.machine.handle_timeout(deadline);
        assert_eq!(server.machine.demand().close, Some(Close::Abort));
        assert_eq!(server.machine.poll_timeout(), None);
    }
}

#[test]
fn an_outgoing_fragmented_message_ends_with_the_close_frame() {
    let mut server = End::server();
    server.machine.start_message(drywire_ws::MessageKind::Text).unwrap();
    server.machine.send_fragment("half", false).unwrap();
    server.machine.close(NOW, None).unwrap();
    assert_eq!(server.sent(), [plain(0x01, b"half"), plain(CLOSE, b"")].concat());
    assert_eq!(server.machine.send_fragment("rest", true), Err(SendError::Misuse(Misuse::Closing)));
}

#[test]
fn time_that_goes_backwards_is_clamped() {
    let mut server = End::server();
    let later = NOW + Duration::from_secs(100);
    server.machine.poll_event(later, &mut server.recv).unwrap();
    server.machine.close(NOW, None).unwrap();
    assert_eq!(server.machine.poll_timeout(), Some(later + Config::default().close_timeout));
}

#[test]
fn close_info_tells_what_was_said_by_whom_and_how_it_ended() {
    // We close, the server agrees and ends the stream.
    let mut client = End::client();
    assert_eq!(client.machine.close_info(), CloseInfo::default());
    client.machine.close(NOW, Some(normal())).unwrap();
    let half = CloseInfo { sent: Some(normal()), first: Some(drywire_ws::End::Local), ..CloseInfo::default() };
    assert_eq!(client.machine.close_info(), half);
    client.receive(&plain(CLOSE, &close_payload(1000, ""))).unwrap();
    client.end().unwrap();
    let info = client.machine.close_info();
    let received = Some(CloseFrame::new(CloseCode::NORMAL, ""));
    assert_eq!(info, CloseInfo { received, clean: true, ..half });
    assert_eq!(info.code(), CloseCode::NORMAL);

    // The peer closes without a code (7.1.5: 1005).
    let mut server = End::server();
    server.receive(&masked(CLOSE, b"")).unwrap();
    let info = server.machine.close_info();
    assert_eq!((info.first, info.code(), info.clean), (Some(drywire_ws::End::Peer), CloseCode::NO_STATUS, true));
    assert_eq!(info.sent, info.received);

    // A violation: what we say, and 1006, since the peer said nothing.
    let mut server = End::server();
    server.receive(&masked(0x83, b"")).unwrap_err();
    let info = server.machine.close_info();
    assert_eq!(info.sent.as_ref().map(|frame| frame.code), Some(CloseCode::PROTOCOL));
    assert_eq!((info.first, info.code(), info.clean), (Some(drywire_ws::End::Local), CloseCode::ABNORMAL, false));

    // The end of the stream alone.
    let mut server = End::server();
    server.end().unwrap_err();
    assert_eq!(server.machine.close_info(), CloseInfo::default());
    assert_eq!(server.machine.close_info().code(), CloseCode::ABNORMAL);

    // Our Close frame is not answered in time, or cannot be sent in time.
    let mut server = End::server();
    server.machine.close(NOW, None).unwrap();
    server.machine.handle_timeout(server.machine.poll_timeout().unwrap());
    assert!(!server.machine.close_info().clean);
    let mut server = End::server();
    server.receive(&masked(CLOSE, b"")).unwrap();
    server.machine.handle_timeout(server.machine.poll_timeout().unwrap());
    assert!(!server.machine.close_info().clean);
}
