//! Proof by counting that a head costs linear work, however it drips in (law 2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::scan::{Kind, Limits, Scanner};

const SIZE: usize = 64 * 1024;

const LIMITS: Limits = Limits {
    line: usize::MAX,
    field_line: usize::MAX,
    section: usize::MAX,
    fields: usize::MAX,
    lenient: crate::Lenient::NONE,
};

/// Heads of 64 KiB, each with one part that is as long as can be, or with as many lines as can be.
fn heads() -> Vec<(Kind, String)> {
    let long = "x".repeat(SIZE - 64);
    let request = |fields: &str| (Kind::Request, format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    let response = |fields: &str| (Kind::Response, format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    [
        (Kind::Request, format!("GET /{long} HTTP/1.1\r\n\r\n")),
        (Kind::Request, format!("{long} / HTTP/1.1\r\n\r\n")),
        (Kind::Response, format!("HTTP/1.1 200 {long}\r\n\r\n")),
        request(&format!("X: {long}\r\n")),
        request(&format!("{long}: x\r\n")),
        request(&format!("X:{}\r\n", " ".repeat(SIZE - 64))),
        request(&format!("X: {}\r\n", "x ".repeat(SIZE / 2 - 32))),
        request(&"A:\r\n".repeat(SIZE / 4 - 16)),
        request(&"Name: value\r\n".repeat(SIZE / 13 - 5)),
        response(&format!("A: b\r\n{}", " x\r\n".repeat(SIZE / 4 - 16))),
        response(&format!("A: b\r\n{}", "  \r\n".repeat(SIZE / 4 - 16))),
        response(&format!("{}: x\r\n{}", "n".repeat(SIZE / 2), " x\r\n".repeat(SIZE / 8 - 16))),
        response(&format!("A:\r\n{}", " \r\n".repeat(SIZE / 3 - 16))),
        (Kind::Trailers, format!("X: {long}\r\n\r\n")),
    ]
    .into()
}

/// Bytes looked at over all calls, when so many more bytes are there at each.
fn work(kind: Kind, head: &str, step: usize) -> usize {
    let mut scanner = Scanner::new(kind);
    let mut end = 0;
    loop {
        end = (end + step).min(head.len());
        let bytes = &head.as_bytes()[..end];
        if !scanner.value_goes_on(bytes) && scanner.scan(bytes, &LIMITS).expect("a valid head") {
            assert_eq!(end, head.len());
            return scanner.work;
        }
    }
}

#[test]
fn law_2_no_byte_of_a_head_is_looked_at_more_than_four_times() {
    for (kind, head) in heads() {
        let (whole, dripped) = (work(kind, &head, head.len()), work(kind, &head, 1));
        let start: String = head.chars().take(20).collect();
        // By the scan, by the check of the target or the name, and by the search for the end of a value; a call that
        // finds nothing to look at counts as one.
        assert!(whole <= 4 * head.len(), "{start:?}: {whole} for {} in one piece", head.len());
        assert!(
            dripped <= whole + 2 * head.len(),
            "{start:?}: {dripped} for {} byte by byte, {whole} whole",
            head.len()
        );
    }
}
