#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drywire_tests::fuzz::ws_differential::run(data));
