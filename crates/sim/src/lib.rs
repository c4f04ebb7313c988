//! A seeded network and virtual time for drywire machines.
