//! The format of the corpus files.

use std::fmt;

/// One file: a theme.
pub(crate) struct File {
    pub(crate) cases: Vec<Case>,
}

/// One input and what comes of it.
#[derive(Default)]
pub(crate) struct Case {
    comment: Vec<String>,
    pub(crate) name: String,
    /// Who reads, and what its application does.
    pub(crate) role: String,
    /// Limits other than the defaults: name and value.
    pub(crate) limits: Vec<(String, u64)>,
    /// The switches of the lenient profile that are on.
    pub(crate) lenient: Vec<String>,
    pub(crate) input: Vec<Input>,
    pub(crate) outcome: Vec<String>,
}

/// One line of input.
pub(crate) enum Input {
    /// So many times this text, with its escapes.
    Text(usize, String),
    /// The peer ends its direction.
    End,
    /// The next deadline passes.
    Wait,
}

/// What happens to a machine.
pub(crate) enum Step<'a> {
    Piece(&'a [u8]),
    End,
    Wait,
}

impl File {
    pub(crate) fn parse(text: &str) -> Self {
        let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
        Self { cases: blocks.map(Case::parse).collect() }
    }
}

impl Case {
    fn parse(block: &str) -> Self {
        let mut case = Self::default();
        for line in block.trim_end_matches('\n').lines() {
            if case.name.is_empty() && (line.is_empty() || line.starts_with('#')) {
                case.comment.push(line.to_owned());
            } else if let Some(name) = line.strip_prefix("== ").filter(|_| case.name.is_empty()) {
                case.name = name.to_owned();
            } else if case.role.is_empty() {
                line.clone_into(&mut case.role);
            } else if let Some(input) = Input::parse(line).filter(|_| case.outcome.is_empty()) {
                case.input.push(input);
            } else if let Some(switches) = line.strip_prefix("lenient ").filter(|_| case.input.is_empty()) {
                case.lenient = switches.split(' ').map(str::to_owned).collect();
            } else if let Some(limit) = line.strip_prefix("limit ").filter(|_| case.input.is_empty()) {
                let (name, value) = limit.split_once(' ').expect("a name and a value");
                case.limits.push((name.to_owned(), value.parse().expect("a number")));
            } else {
                case.outcome.push(line.to_owned());
            }
        }
        assert!(!case.name.is_empty() && !case.role.is_empty(), "no case: {block}");
        case
    }

    /// The input in one piece.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for input in &self.input {
            if let Input::Text(times, text) = input {
                bytes.extend(unescape(text).repeat(*times));
            }
        }
        bytes
    }

    /// The lines of input as they are written.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.input.iter().filter_map(|input| match input {
            Input::Text(_, text) => Some(&text[..]),
            Input::End | Input::Wait => None,
        })
    }

    /// What happens behind the bytes.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.input.iter().filter_map(|input| match input {
            Input::Text(..) => None,
            Input::End => Some(Step::End),
            Input::Wait => Some(Step::Wait),
        })
    }
}

impl Input {
    fn parse(line: &str) -> Option<Self> {
        match line {
            "> EOF" => return Some(Self::End),
            "> WAIT" => return Some(Self::Wait),
            _ => {}
        }
        let (times, text) = line.split_once("> ")?;
        let times = if times.is_empty() { 1 } else { times.parse().ok()? };
        Some(Self::Text(times, text.to_owned()))
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, case) in self.cases.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            write!(f, "{gap}{case}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.comment {
            writeln!(f, "{line}")?;
        }
        writeln!(f, "== {}\n{}", self.name, self.role)?;
        for (name, value) in &self.limits {
            writeln!(f, "limit {name} {value}")?;
        }
        if !self.lenient.is_empty() {
            writeln!(f, "lenient {}", self.lenient.join(" "))?;
        }
        for input in &self.input {
            match input {
                Input::Text(1, text) => writeln!(f, "> {text}")?,
                Input::Text(times, text) => writeln!(f, "{times}> {text}")?,
                Input::End => writeln!(f, "> EOF")?,
                Input::Wait => writeln!(f, "> WAIT")?,
            }
        }
        for line in &self.outcome {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Undoes `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (kind, behind) = rest.split_first().expect("something behind the backslash");
        rest = behind;
        bytes.push(match kind {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let (digits, behind) = rest.split_at(2);
                rest = behind;
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).expect("two hexadecimal digits")
            }
            other => panic!("no escape: \\{}", char::from(*other)),
        });
    }
    bytes
}

/// The reverse, for outcomes; long text is cut in the middle.
pub(crate) fn escape(bytes: &[u8]) -> String {
    const LONG: usize = 100;
    if bytes.len() > LONG {
        let (front, back) = (&bytes[..20], &bytes[bytes.len() - 20..]);
        return format!("{}… {} bytes …{}", escape(front), bytes.len() - 40, escape(back));
    }
    bytes.escape_ascii().to_string().replace("\\x00", "\\0").replace("\\'", "'").replace("\\\"", "\"")
}
