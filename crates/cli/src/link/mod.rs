//! Our own TCP on a TUN device, as the command line asks for it.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub(crate) use linux::{failed, open};

use crate::Failure;

/// Something was said of a link that is not used.
pub(crate) fn without_tun() -> Failure {
    Failure::usage("the options --tun-... need --runtime tun")
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn without_linux() -> Failure {
    Failure::usage("--runtime tun needs Linux")
}
