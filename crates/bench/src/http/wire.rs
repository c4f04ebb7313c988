//! A connection in memory.

use super::requests;

/// What a client sends: a request again and again, in pieces as reads would bring them.
pub(super) struct Source {
    request: Vec<u8>,
    left: usize,
    at: usize,
    piece: usize,
}

impl Source {
    pub(super) fn repeat(request: &[u8], requests: usize, piece: usize) -> Self {
        Self { request: request.to_vec(), left: requests, at: 0, piece }
    }

    pub(super) fn requests(&self) -> usize {
        self.left
    }

    /// The next read, of at most `room` bytes; empty at the end. It ends where a request does.
    pub(super) fn read(&mut self, room: usize) -> &[u8] {
        if self.left == 0 {
            return &[];
        }
        let rest = &self.request[self.at..];
        let bytes = &rest[..rest.len().min(room).min(self.piece)];
        self.at += bytes.len();
        if bytes.len() == rest.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        bytes
    }
}

/// A client that looks at every byte of its responses: the first is parsed, and the others have to be like it, but for
/// the date.
#[derive(Default)]
pub(super) struct Sink {
    first: Vec<u8>,
    /// Where the date of the first one begins.
    date_at: usize,
    at: usize,
    responses: usize,
}

const DATE_LEN: usize = requests::DATE.len();

impl Sink {
    pub(super) fn responses(&self) -> usize {
        self.responses
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        if self.responses == 0 {
            let mut room = requests::CONTENT.len();
            while !bytes.is_empty() && self.responses == 0 {
                room = room.min(bytes.len());
                let (some, rest) = bytes.split_at(room);
                self.first.extend_from_slice(some);
                bytes = rest;
                room = 1;
                self.look_for_end();
            }
        }
        while !bytes.is_empty() {
            let n = bytes.len().min(self.first.len() - self.at);
            let (some, rest) = bytes.split_at(n);
            self.compare(some);
            bytes = rest;
            self.at += n;
            if self.at == self.first.len() {
                (self.at, self.responses) = (0, self.responses + 1);
            }
        }
    }

    /// Compares with the first response from `at` on.
    fn compare(&self, bytes: &[u8]) {
        let expected = &self.first[self.at..self.at + bytes.len()];
        let before = self.date_at.saturating_sub(self.at).min(bytes.len());
        let behind = (self.date_at + DATE_LEN).saturating_sub(self.at).min(bytes.len());
        assert!(
            expected[..before] == bytes[..before] && expected[behind..] == bytes[behind..],
            "another response: {}",
            bytes.escape_ascii()
        );
    }

    /// Parses the first response, and notes that it is complete.
    fn look_for_end(&mut self) {
        let mut fields = [::httparse::EMPTY_HEADER; 8];
        let mut response = ::httparse::Response::new(&mut fields);
        let Ok(::httparse::Status::Complete(head)) = response.parse(&self.first) else { return };
        if self.first.len() < head + requests::CONTENT.len() {
            return;
        }
        assert_eq!(&self.first[head..], requests::CONTENT);
        assert_eq!((response.code, response.reason, response.version), (Some(200), Some("OK"), Some(1)));
        let mut fields: Vec<_> = response
            .headers
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), str::from_utf8(field.value).expect("ASCII")))
            .collect();
        fields.sort();
        let [("content-length", length), ("content-type", kind), ("date", date)] =
            fields.iter().map(|(name, value)| (name.as_str(), *value)).collect::<Vec<_>>()[..]
        else {
            panic!("other fields: {fields:?}");
        };
        assert_eq!((length, kind, date.len()), ("13", requests::CONTENT_TYPE, DATE_LEN));
        let date = date.as_bytes();
        self.date_at = self.first.windows(DATE_LEN).position(|window| window == date).expect("it is there");
        self.responses = 1;
    }
}
