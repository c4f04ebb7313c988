//! HTTP/1.1 over loopback: one server a run, each with one thread where it has a runtime, all answering alike.

mod drywire;
mod load;
mod peers;

use std::cell::Cell;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Serves this side until it is killed, and tells where. Without it, wrk asks each side in turn.
    #[arg(long)]
    side: Option<Side>,
    #[command(flatten)]
    load: load::Arguments,
}

/// The servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// drywire on tokio, a task a connection, with all its timeouts.
    Drywire,
    /// drywire on a readiness loop, with all its timeouts.
    Poll,
    /// drywire on `std::net`, a thread a connection, with all its timeouts.
    Std,
    /// hyper on tokio, a task a connection, without timeouts.
    Hyper,
    /// hyper with the timeout on heads that it has by default where it is given a timer.
    HyperTimer,
    /// axum on hyper on tokio.
    Axum,
    /// drywire's handlers on tokio.
    DrywireHandler,
    /// axum on drywire on tokio.
    AxumDrywire,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

const CONTENT: &str = "Hello, World!";
const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

pub(crate) fn run(arguments: &Arguments) {
    match arguments.side {
        None => load::run(&arguments.load),
        Some(side) => serve(side).expect("a server on loopback"),
    }
}

/// Serves for ever.
fn serve(side: Side) -> io::Result<()> {
    match side {
        Side::Poll => return drywire::on_poll(),
        Side::Std => return drywire::on_std(),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match side {
            Side::Drywire => drywire::on_tokio().await,
            Side::Hyper => peers::hyper(false).await,
            Side::HyperTimer => peers::hyper(true).await,
            Side::DrywireHandler => drywire::handler().await,
            Side::AxumDrywire => drywire::axum().await,
            Side::Axum | Side::Poll | Side::Std => peers::axum().await,
        }
    })
}

/// A port that the system picks.
const ADDRESS: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// For whoever started this.
fn listening(address: SocketAddr) {
    println!("listening on {address}");
}

/// The value of `Date`, written anew every second, as the peers do it.
fn with_date<R>(use_date: impl FnOnce(&str) -> R) -> R {
    thread_local!(static DATE: Cell<(u64, [u8; 29])> = const { Cell::new((0, [b' '; 29])) });
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    DATE.with(|date| {
        if date.get().0 != since.as_secs() {
            let mut text = [b' '; 29];
            text.copy_from_slice(httpdate::fmt_http_date(UNIX_EPOCH + since).as_bytes());
            date.set((since.as_secs(), text));
        }
        use_date(str::from_utf8(&date.get().1).unwrap_or_default())
    })
}
