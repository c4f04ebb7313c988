//! One application on any runtime: loops that differ only in the driver.

#[cfg(target_os = "linux")]
use std::net::{SocketAddr, ToSocketAddrs as _};
#[cfg(target_os = "linux")]
use std::time::Duration;

use drywire::StreamMachine;

use super::{Application, Destination, access};
use crate::args::{Link, Runtime, Ws};
use crate::pulse::Pulse;
use crate::{Failure, link};

/// Connects to a URL, and drives `machine` until it or the application ends.
pub(crate) fn run<M: StreamMachine>(
    args: &Ws,
    destination: &Destination,
    machine: M,
    application: impl Application<M>,
) -> Result<(), Failure> {
    match args.runtime {
        Runtime::Tokio | Runtime::Std | Runtime::Poll if args.link.is_given() => Err(link::without_tun()),
        Runtime::Poll => Err(for_servers()),
        Runtime::Std => on_std(args, destination, machine, application),
        Runtime::Tokio => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
            runtime.block_on(on_tokio(args, destination, machine, application))
        }
        Runtime::Tun => {
            args.access.check_without_kernel(destination)?;
            past_the_kernel(&args.link, destination, machine, application)
        }
    }
}

/// Clients have no readiness loop.
pub(crate) fn for_servers() -> Failure {
    Failure::usage("--runtime poll is for servers")
}

/// The same on our own TCP.
#[cfg(target_os = "linux")]
pub(crate) fn past_the_kernel<M: StreamMachine>(
    link: &Link,
    destination: &Destination,
    machine: M,
    application: impl Application<M>,
) -> Result<(), Failure> {
    on_tun(link, destination, machine, application)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn past_the_kernel<M: StreamMachine>(
    _: &Link,
    _: &Destination,
    _: M,
    _: impl Application<M>,
) -> Result<(), Failure> {
    Err(link::without_linux())
}

fn on_std<M: StreamMachine>(
    args: &Ws,
    destination: &Destination,
    machine: M,
    mut application: impl Application<M>,
) -> Result<(), Failure> {
    use drywire::std::{Driver, Turn};

    let client = access::std_client(args.access.config()?, args.access.tls(destination)?);
    let transport = client.connect(&args.url).map_err(access::failure)?;
    let mut driver = Driver::new(machine, transport);
    application.start(driver.waker());
    loop {
        let now = driver.now();
        application.turn(now, driver.machine_mut())?;
        match driver.next_turn().map_err(Failure::failed)? {
            Turn::Event(event) => {
                let now = driver.now();
                if application.event(now, driver.machine_mut(), event)?.is_break() {
                    return Ok(());
                }
            }
            Turn::Closed => return Ok(()),
            _ => {}
        }
    }
}

async fn on_tokio<M: StreamMachine>(
    args: &Ws,
    destination: &Destination,
    machine: M,
    mut application: impl Application<M>,
) -> Result<(), Failure> {
    use drywire::tokio::{Driver, Turn};

    let client = access::tokio_client(args.access.config()?, args.access.tls(destination)?);
    let transport = client.connect(&args.url).await.map_err(access::failure)?;
    let mut driver = Driver::new(machine, transport);
    let pulse = Pulse::default();
    application.start(pulse.waker());
    loop {
        let now = driver.now();
        application.turn(now, driver.machine_mut())?;
        let turn = tokio::select! {
            turn = driver.next_turn() => turn.map_err(Failure::failed)?,
            () = pulse.beat() => continue,
        };
        match turn {
            Turn::Event(event) => {
                let now = driver.now();
                if application.event(now, driver.machine_mut(), event)?.is_break() {
                    return Ok(());
                }
            }
            Turn::Closed => return Ok(()),
            _ => {}
        }
    }
}

#[cfg(target_os = "linux")]
fn on_tun<M: StreamMachine>(
    link: &Link,
    destination: &Destination,
    machine: M,
    mut application: impl Application<M>,
) -> Result<(), Failure> {
    use drywire::tcp::Config;
    use drywire::tun::{DriveError, Host, HostEvent, Tun, Turn};

    /// How long our end of the stream may take to be answered before the device goes away.
    const LINGER: Duration = Duration::from_secs(2);

    let (device, stack) = link::open(link)?;
    // Name resolution is the kernel's; of several addresses, we take one of a family that we have.
    let mut addresses = (&*destination.host, destination.port)
        .to_socket_addrs()
        .map_err(|error| cannot_connect(destination, &error))?;
    let is_reachable = |to: &SocketAddr| link.addresses.iter().any(|own| own.address.is_ipv4() == to.is_ipv4());
    let remote = addresses
        .find(is_reachable)
        .ok_or_else(|| Failure::usage(format_args!("no --tun-address is of the family of {}", destination.host)))?;
    // After 1, 2, 4 and 8 s, and given up after 16 more.
    let config = Config { syn_retries: 4, ..Config::default() };
    let mut host = Host::new(device, stack);
    let handle = host.connect(remote, config, machine).map_err(|error| cannot_connect(destination, &error))?;
    let mut connected = false;
    let mut drive = |host: &mut Host<Tun, M>| loop {
        let event = host.next(None).map_err(|error| link::failed(host.device().name(), &error))?;
        let now = host.now();
        match event {
            Some(HostEvent::Connected(_)) => {
                connected = true;
                application.start(host.waker(handle));
            }
            Some(HostEvent::Turn(_, Ok(Turn::Event(event)))) => {
                if let Some(machine) = host.machine_mut(handle)
                    && application.event(now, machine, event)?.is_break()
                {
                    return Ok(());
                }
            }
            Some(HostEvent::Turn(_, Ok(Turn::Closed))) => return Ok(()),
            Some(HostEvent::Turn(_, Err(DriveError::Io(error)))) if !connected => {
                return Err(cannot_connect(destination, &error));
            }
            Some(HostEvent::Turn(_, Err(error))) => return Err(Failure::failed(error)),
            _ => {}
        }
        if connected && let Some(machine) = host.machine_mut(handle) {
            application.turn(now, machine)?;
        }
    };
    let result = drive(&mut host);
    // What comes of it changes nothing: everything that was asked for has been told.
    let _ = host.close(LINGER);
    result
}

#[cfg(target_os = "linux")]
fn cannot_connect(destination: &Destination, error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(format_args!("cannot connect to {}: {error}", destination.authority))
}
