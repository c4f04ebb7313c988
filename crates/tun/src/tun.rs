//! A TUN device of Linux.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant as SystemInstant;

use drywire_core::Instant;
use drywire_tcp::{StackConfig, Transmit};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::{Device, Received, offload};

const DEVICE: Token = Token(0);
const WAKER: Token = Token(1);

/// How many packets are taken before what they bring forth is sent.
const BATCH: usize = 64;

/// The longest packet, and the header that offloads put in front of it.
const ROOM: usize = offload::HEADER_LEN + 65_535;

/// A TUN device of Linux: the kernel routes packets to it, and this end takes them.
///
/// The device goes away with this value, unless it was there before. Giving the kernel an address on it and bringing
/// it up is the work of `ip address add` and `ip link set … up`.
///
/// It needs `CAP_NET_ADMIN` in the network namespace, or a device that was made for this user by `ip tuntap add`.
pub struct Tun {
    device: SyncDevice,
    name: String,
    mtu: u16,
    offload: bool,
    poll: Poll,
    events: Events,
    waker: Arc<MioWaker>,
    origin: SystemInstant,
    room: Box<[u8]>,
}

impl Tun {
    /// Makes the device `name`, or opens it if it is there and nobody else has.
    pub fn open(name: &str) -> io::Result<Self> {
        Self::build(name, false)
    }

    /// The same with offloads: both sides hand over segments of up to 64 KiB, not cut and not summed up. The kernel does
    /// that to ours if they leave the machine, and never does it to its own.
    pub fn with_offload(name: &str) -> io::Result<Self> {
        Self::build(name, true)
    }

    fn build(name: &str, offload: bool) -> io::Result<Self> {
        let device = DeviceBuilder::new()
            .name(name)
            .inherit_enable_state()
            .with(|builder| {
                builder.offload(offload);
            })
            .build_sync()?;
        device.set_nonblocking(true)?;
        let poll = Poll::new()?;
        poll.registry().register(&mut SourceFd(&device.as_raw_fd()), DEVICE, Interest::READABLE)?;
        let waker = Arc::new(MioWaker(mio::Waker::new(poll.registry(), WAKER)?));
        Ok(Self {
            name: device.name()?,
            mtu: device.mtu()?,
            device,
            offload,
            poll,
            events: Events::with_capacity(4),
            waker,
            origin: SystemInstant::now(),
            room: vec![0; ROOM].into(),
        })
    }

    /// The device's name, which the kernel chose if none was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The longest packet that the link takes, when it was opened.
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The settings of a stack that fit this device: its MTU, and what can be left to it.
    pub fn stack_config(&self) -> StackConfig {
        StackConfig { mtu: self.mtu, offload: self.offload, ..StackConfig::default() }
    }
}

impl Device for Tun {
    fn receive(&mut self, handle: &mut dyn FnMut(Received<'_>)) -> io::Result<bool> {
        for _ in 0..BATCH {
            let len = match self.device.recv(&mut self.room) {
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let read = &mut self.room[..len];
            if self.offload {
                offload::unwrap(read, handle);
            } else {
                handle(Received { packet: read, verified: false });
            }
        }
        Ok(true)
    }

    fn send(&mut self, packet: &[u8], transmit: &Transmit) -> io::Result<()> {
        // Down, or out of memory: the packet is lost, as on any link. A device that is gone fails the next read.
        let _ = if self.offload {
            let header = offload::header(packet, transmit)?;
            self.device.send_vectored(&[IoSlice::new(&header), IoSlice::new(packet)])
        } else if transmit.partial_checksum || transmit.gso_size.is_some() {
            return Err(offload::too_much());
        } else {
            self.device.send(packet)
        };
        Ok(())
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|deadline| deadline - self.now());
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn now(&self) -> Instant {
        Instant::ORIGIN + self.origin.elapsed()
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.waker))
    }
}

impl fmt::Debug for Tun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tun")
            .field("name", &self.name)
            .field("mtu", &self.mtu)
            .field("offload", &self.offload)
            .finish_non_exhaustive()
    }
}

struct MioWaker(mio::Waker);

impl Wake for MioWaker {
    fn wake(self: Arc<Self>) {
        // It fails only where the poller is gone, and with it whoever would wake up.
        let _ = self.0.wake();
    }
}
