//! A client of raw bytes.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Sends `request` and reads to the end.
pub(crate) async fn exchange(client: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &str) -> String {
    let (mut read, mut write) = tokio::io::split(client);
    let mut answer = Vec::new();
    let (sent, received) = tokio::join!(write.write_all(request.as_bytes()), read.read_to_end(&mut answer));
    sent.unwrap();
    received.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Reads until what was read ends with `end`.
pub(crate) async fn until(client: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        match client.read_u8().await {
            Ok(byte) => answer.push(byte),
            Err(error) => panic!("{error} behind {:?}", String::from_utf8_lossy(&answer)),
        }
    }
    String::from_utf8(answer).unwrap()
}
