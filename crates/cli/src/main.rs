//! The program drywire.
fn main() {}
