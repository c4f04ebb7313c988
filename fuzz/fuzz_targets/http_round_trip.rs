#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drywire_tests::fuzz::http_round_trip::run(data));
