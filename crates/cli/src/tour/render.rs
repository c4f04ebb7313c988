//! The tour as text, as Mermaid, and as JSON lines.

use std::fmt::Write as _;

use drywire::Instant;
use serde_json::json;

use super::Side;
use crate::args::Format;

/// One row of the sequence diagram.
pub(super) struct Row {
    pub(super) at: Instant,
    pub(super) what: What,
}

/// What a row shows.
pub(super) enum What {
    /// A new part of the tour begins.
    Step(String),
    /// A segment leaves.
    Segment {
        from: Side,
        text: String,
        /// The network loses it.
        lost: bool,
        /// Its bytes were sent before.
        again: bool,
    },
    /// A connection changes its state.
    State { of: Side, from: String, to: String },
    /// Something of the protocol above arrived.
    Arrival { at: Side, kind: Kind, text: String },
}

/// What arrived.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Head,
    Content,
    Frame,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Content => "content",
            Self::Frame => "frame",
        }
    }
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

pub(super) fn render(rows: &[Row], format: Format) -> String {
    match format {
        Format::Text => text(rows),
        Format::Mermaid => mermaid(rows),
        Format::Json => json_lines(rows),
    }
}

/// Between the two life lines, in characters.
const WIDTH: usize = 92;

fn text(rows: &[Row]) -> String {
    let mut out = format!("{:>18}{:>2$}\n", "client", "server", WIDTH - 3);
    let mut line = |time: &str, between: &str| {
        let _ = writeln!(out, "{time:>12} │{between:<WIDTH$}│");
    };
    for row in rows {
        let time = format!("{}.{:06}", row.at.as_micros() / 1_000_000, row.at.as_micros() % 1_000_000);
        match &row.what {
            What::Step(title) => {
                line("", "");
                line("", &format!("{:━^WIDTH$}", format!(" {title} ")));
            }
            What::Segment { from, text, lost, again } => {
                line(&time, &arrow(*from, text, *again, *lost));
            }
            What::State { of, from, to } => line(&time, &beside(*of, &format!("● {from} → {to}"))),
            What::Arrival { at, text, .. } => {
                // The time stands at the first line only.
                let times = std::iter::once(&*time).chain(std::iter::repeat(""));
                text.lines().zip(times).for_each(|(part, time)| line(time, &beside(*at, &format!("  {part}"))));
            }
        }
    }
    out
}

/// A segment on its way; a lost one stops half-way.
fn arrow(from: Side, text: &str, again: bool, lost: bool) -> String {
    let again = if again { " (again)" } else { "" };
    let text = shorten(text, WIDTH - 12 - again.len()) + again;
    let rest = WIDTH - text.chars().count() - 6;
    let (near, far) = if lost { (rest / 2, rest - rest / 2) } else { (rest, 0) };
    match from {
        Side::Client => {
            let head = if lost { '╳' } else { '▶' };
            format!("── {text} {}{head}{} ", "─".repeat(near), " ".repeat(far))
        }
        Side::Server => {
            let head = if lost { '╳' } else { '◀' };
            format!(" {}{head}{} {text} ──", " ".repeat(far), "─".repeat(near))
        }
    }
}

/// A remark next to the life line that it is about.
fn beside(side: Side, text: &str) -> String {
    const HALF: usize = WIDTH / 2;
    match side {
        Side::Client => shorten(text, WIDTH),
        Side::Server => format!("{:HALF$}{}", "", shorten(text, HALF)),
    }
}

fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

fn mermaid(rows: &[Row]) -> String {
    let mut out = String::from("sequenceDiagram\n    participant client\n    participant server\n");
    for row in rows {
        let at = format!("{}.{:03} ms", row.at.as_micros() / 1_000, row.at.as_micros() % 1_000);
        let _ = match &row.what {
            What::Step(title) => writeln!(out, "    Note over client,server: {}", plain(title)),
            What::Segment { from, text, lost, again } => {
                let arrow = if *lost { "-x" } else { "->>" };
                let (from, to) = (from.name(), from.other().name());
                let again = if *again { " (again)" } else { "" };
                writeln!(out, "    {from}{arrow}{to}: {at} {}{again}", plain(text))
            }
            What::State { of, from, to } => writeln!(out, "    Note over {}: {from} → {to}", of.name()),
            What::Arrival { at: side, text, .. } => {
                let side = match side {
                    Side::Client => "left of client",
                    Side::Server => "right of server",
                };
                let lines: Vec<_> = text.lines().map(|line| plain(&shorten(line, 72))).collect();
                writeln!(out, "    Note {side}: {}", lines.join("<br/>"))
            }
        };
    }
    out
}

/// Text without what Mermaid would read as its own.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '#' | ';' | '<' | '>' | '&' | ':' => {
                let _ = write!(out, "#{};", char as u32);
            }
            char => out.push(char),
        }
    }
    out
}

fn json_lines(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let at = row.at.as_nanos();
        let line = match &row.what {
            What::Step(title) => json!({ "at": at, "kind": "step", "title": title }),
            What::Segment { from, text, lost, again } => json!({
                "at": at, "kind": "segment", "from": from.name(), "to": from.other().name(),
                "text": text, "lost": lost, "again": again,
            }),
            What::State { of, from, to } => {
                json!({ "at": at, "kind": "state", "of": of.name(), "from": from, "to": to })
            }
            What::Arrival { at: side, kind, text } => {
                json!({ "at": at, "kind": kind.name(), "to": side.name(), "text": text })
            }
        };
        let _ = writeln!(out, "{line}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_row_is_as_wide_as_the_diagram() {
        let long = "x".repeat(200);
        let what = [
            What::Step("a step".into()),
            What::Segment { from: Side::Client, text: "SYN".into(), lost: false, again: false },
            What::Segment { from: Side::Server, text: long.clone(), lost: true, again: true },
            What::Segment { from: Side::Client, text: "SYN".into(), lost: true, again: false },
            What::State { of: Side::Server, from: "A".into(), to: "B".into() },
            What::Arrival { at: Side::Server, kind: Kind::Head, text: format!("GET /\n{long}") },
        ];
        let rows: Vec<_> = what.into_iter().map(|what| Row { at: Instant::from_secs(1), what }).collect();
        for line in render(&rows, Format::Text).lines().skip(1) {
            assert_eq!(line.chars().count(), 12 + 1 + 1 + WIDTH + 1, "{line}");
        }
    }

    #[test]
    fn mermaid_gets_no_syntax_from_the_text() {
        assert_eq!(plain("a: <b>;#"), "a#58; #60;b#62;#59;#35;");
    }
}
