//! Drives drywire machines on tokio.
