//! Cross-crate scenarios, the runner of the TCP scripts and the bodies of the fuzz targets.
//!
//! A fuzz body is a plain function of bytes, so that the same code runs under a coverage-guided fuzzer (`fuzz/`) and,
//! over the saved inputs, in `cargo test` on a stable toolchain.

pub mod card;
pub mod fuzz;
pub mod script;
pub mod seeds;
