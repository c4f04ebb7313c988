//! One application on either runtime: two loops that differ only in the driver.

use std::time::Duration;

use drywire::StreamMachine;

use super::{Application, Destination};
use crate::Failure;
use crate::args::Runtime;
use crate::pulse::Pulse;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects, and drives `machine` until it or the application ends.
pub(crate) fn run<M: StreamMachine>(
    runtime: Runtime,
    destination: &Destination,
    machine: M,
    application: impl Application<M>,
) -> Result<(), Failure> {
    match runtime {
        Runtime::Std => on_std(destination, machine, application),
        Runtime::Tokio => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
            runtime.block_on(on_tokio(destination, machine, application))
        }
    }
}

fn on_std<M: StreamMachine>(
    destination: &Destination,
    machine: M,
    mut application: impl Application<M>,
) -> Result<(), Failure> {
    use drywire::std::{Driver, TcpTransport, Turn};

    let address = (&*destination.host, destination.port);
    let transport =
        TcpTransport::connect(address, Some(CONNECT_TIMEOUT)).map_err(|error| cannot_connect(destination, &error))?;
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
    destination: &Destination,
    machine: M,
    mut application: impl Application<M>,
) -> Result<(), Failure> {
    use drywire::tokio::{Driver, TcpTransport, Turn};

    let address = (&*destination.host, destination.port);
    let transport = TcpTransport::connect(address, Some(CONNECT_TIMEOUT))
        .await
        .map_err(|error| cannot_connect(destination, &error))?;
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

fn cannot_connect(destination: &Destination, error: &std::io::Error) -> Failure {
    Failure::failed(format_args!("cannot connect to {}: {error}", destination.authority))
}
