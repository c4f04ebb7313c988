//! An HTTP echo server for boards: no standard library, no threads, an allocator and an async executor such as embassy's.
//!
//! ```ignore
//! let mut socket = embassy_net::tcp::TcpSocket::new(stack, &mut receive, &mut send);
//! socket.accept(80).await?;
//! let (mut reader, mut writer) = socket.split();
//! let outcome = drywire_example_embedded::serve(&mut reader, &mut writer, &clock).await;
//! match outcome {
//!     Ok(Close::Abort) | Err(DriveError::Io(_)) => socket.abort(),
//!     // Behind a broken rule, too: the answer that says so is on its way.
//!     Ok(_) | Err(DriveError::Protocol(_)) => socket.close(),
//! }
//! socket.flush().await?;
//! ```

#![no_std]

mod driver;
#[path = "../../../crates/drywire/examples/shared/mod.rs"]
mod shared;

pub use driver::{Clock, DriveError, drive};

use drywire::{Close, http};
use embedded_io_async::{Read, Write};
use shared::Echo;

/// Serves one connection.
pub async fn serve<R, W>(
    reader: &mut R,
    writer: &mut W,
    clock: &impl Clock,
) -> Result<Close, DriveError<R::Error, http::Error>>
where
    R: Read,
    W: Write<Error = R::Error>,
{
    let (mut echo, mut machine) = (Echo::default(), Echo::machine(clock.now()));
    let handle = |http: &mut _, event| drop(echo.handle(http, event));
    drive(&mut machine, reader, writer, clock, handle).await
}
