//! What a server needs of the link that carries its packets.

use std::io;
use std::task::Waker;

use drywire_core::Instant;

/// A non-blocking link that carries IP packets, with a clock and a way to wait.
///
/// `Tun` is the one for Linux. Tests implement it in memory with virtual time.
pub trait Device {
    /// Hands every packet that has arrived to `handle`, up to a bound of its own. Returns whether more may wait: if not,
    /// [`park`](Self::park) returns at the next one.
    fn receive(&mut self, handle: &mut dyn FnMut(&[u8])) -> io::Result<bool>;

    /// Sends a packet. One that the link does not take now is dropped, as every link may: who needs it sends it again.
    fn send(&mut self, packet: &[u8]) -> io::Result<()>;

    /// Blocks until a packet arrives, `deadline` is reached, or a waker was woken. Returning early is allowed.
    fn park(&mut self, deadline: Option<Instant>) -> io::Result<()>;

    /// The time. It does not go backwards.
    fn now(&self) -> Instant;

    /// A waker that ends [`park`](Self::park), the running one or the next.
    fn waker(&self) -> Waker;
}
