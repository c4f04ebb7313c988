//! What is asked, and what is answered.

/// The three requests.
pub(super) const ALL: [&[u8]; 3] = [SHORT, USUAL, BROWSER];

/// Of a load generator.
const SHORT: &[u8; 68] = b"GET /hello HTTP/1.1\r\nHost: example.org\r\nUser-Agent: bench/1.0.42\r\n\r\n";

/// Of a program.
const USUAL: &[u8; 165] = b"GET /items?fields=name,price HTTP/1.1\r\n\
    Host: api.example.org\r\n\
    User-Agent: bench/1.0\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, br\r\n\
    Cache-Control: no-cache\r\n\
    \r\n";

/// Of a browser.
const BROWSER: &[u8; 703] = b"GET /shop/articles/2026/11/a-long-title-as-they-are?page=3&sort=newest HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.org/shop/articles?page=2\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=all; seen=1732100000; \
    basket=00112233445566778899aabbccddeeff0000\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Priority: u=0, i\r\n\
    \r\n";

/// The answer to each.
pub(super) const CONTENT: &[u8] = b"Hello, World!";
pub(super) const CONTENT_TYPE: &str = "text/plain; charset=utf-8";
/// drywire has no clock: the date is the caller's, who keeps it for a second as hyper does.
pub(super) const DATE: &str = "Sat, 21 Nov 2026 06:30:00 GMT";

/// A request with so many bytes of content, in chunks of `size`.
pub(super) fn chunked(content: usize, size: usize) -> Vec<u8> {
    let mut request = b"POST /upload HTTP/1.1\r\nHost: example.org\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..content / size {
        request.extend(format!("{size:x}\r\n").into_bytes());
        request.resize(request.len() + size, b'x');
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request
}

/// A head of 64,000 bytes: as many large fields as there are places.
pub(super) fn large_head() -> Vec<u8> {
    let mut request = b"GET / HTTP/1.1\r\nHost: example.org\r\n".to_vec();
    for number in 0..90 {
        request.extend(format!("X-Field-{number}: ").into_bytes());
        request.resize(request.len() + 690, b'v');
        request.extend(b"\r\n");
    }
    request.extend(b"X-Last: ");
    request.resize(64_000 - 4, b'v');
    request.extend(b"\r\n\r\n");
    request
}
