//! The store as text: the format of curl's `--hsts`, so that both can use one file.

use std::fmt;

use super::{Entry, Store, UnixTime, canonical};

/// A line of a file that is not one of the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no HSTS entry")]
pub struct InvalidFile {
    /// Its number, from 1 on.
    pub line: usize,
}

/// One line a host: its name, behind a dot if its subdomains are included, and until when in UTC.
///
/// ```
/// use drywire_client::hsts::{Store, UnixTime};
///
/// let store = Store::parse("# a comment\n.a.example \"20270115 08:00:00\"\nb.example \"unlimited\"\n").unwrap();
/// assert!(store.covers(UnixTime(1_799_999_999), "x.a.example"));
/// assert!(!store.covers(UnixTime(1_800_000_000), "x.a.example"));
/// assert!(store.to_string().contains(".a.example \"20270115 08:00:00\"\n"));
/// ```
impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# HTTP Strict Transport Security: host and the time, in UTC, until which it is to be reached by TLS."
        )?;
        for (host, entry) in &self.hosts {
            let dot = if entry.include_subdomains { "." } else { "" };
            writeln!(f, "{dot}{host} \"{}\"", Stamp(entry.until))?;
        }
        Ok(())
    }
}

impl Store {
    /// Reads what `Display` or curl has written. Empty lines and comments (`#`) are skipped.
    pub fn parse(text: &str) -> Result<Self, InvalidFile> {
        let mut store = Self::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (host, entry) = parse_line(line).ok_or(InvalidFile { line: index + 1 })?;
            store.hosts.insert(host, entry);
            store.shrink();
        }
        Ok(store)
    }
}

fn parse_line(line: &str) -> Option<(String, Entry)> {
    let (host, stamp) = line.split_once([' ', '\t'])?;
    let stamp = stamp.trim().strip_prefix('"')?.strip_suffix('"')?;
    let until = if stamp == "unlimited" { LAST } else { Stamp::parse(stamp)?.0 };
    let (include_subdomains, host) = host.strip_prefix('.').map_or((false, host), |host| (true, host));
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_host.then(|| (canonical(host), Entry { until, include_subdomains }))
}

/// `YYYYMMDD HH:MM:SS`.
struct Stamp(UnixTime);

/// 9999-12-31 23:59:59, the last time that the format has: it stands for all later ones.
const LAST: UnixTime = UnixTime(253_402_300_799);
const DAY: u64 = 24 * 60 * 60;

impl Stamp {
    fn parse(text: &str) -> Option<Self> {
        let number = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok())?
        };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let (hour, minute, second) = (number(9, 11)?, number(12, 14)?, number(15, 17)?);
        let is_shaped = text.len() == 17 && text.as_bytes()[8] == b' ' && text.as_bytes()[11] == b':';
        let is_valid = is_shaped
            && text.as_bytes()[14] == b':'
            && year >= 1970
            && (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60;
        let seconds = days_since_1970(year, month, day) * DAY + hour * 3600 + minute * 60 + second;
        is_valid.then_some(Self(UnixTime(seconds)))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UnixTime(seconds) = self.0.min(LAST);
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}{month:02}{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

/// Days before the first of a month in years that begin with March, where the leap day is the last one.
const fn days_before(month_from_march: u64) -> u64 {
    (153 * month_from_march + 2) / 5
}

/// The years 0 to 1969, counted from 1 March of year 0.
const TO_1970: u64 = 719_468;

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + days_before(month) + day;
    days.saturating_sub(TO_1970 + 1)
}

/// Year, month and day of a day since 1970: the inverse, by trial. A guess by leap years alone is
/// at most 17 years too early.
fn date(days: u64) -> (u64, u64, u64) {
    let year = 1970 + days / 366;
    let is_within = |year: &u64| days_since_1970(year + 1, 1, 1) > days;
    let year = (year..year + 18).find(is_within).unwrap_or(year);
    let month = (1..=12).rev().find(|month| days_since_1970(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_since_1970(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_dates_in_utc() {
        for (seconds, text) in [
            (0, "19700101 00:00:00"),
            (951_782_400, "20000229 00:00:00"),
            (951_868_799, "20000229 23:59:59"),
            (1_800_000_000, "20270115 08:00:00"),
            (4_107_542_400, "21000301 00:00:00"),
            (LAST.0, "99991231 23:59:59"),
        ] {
            assert_eq!(Stamp(UnixTime(seconds)).to_string(), text);
            assert_eq!(Stamp::parse(text).unwrap().0, UnixTime(seconds), "{text}");
        }
        assert_eq!(Stamp(UnixTime(u64::MAX)).to_string(), "99991231 23:59:59");
    }

    #[test]
    fn every_day_of_four_centuries_is_written_and_read_back() {
        for day in 0..146_097 {
            let time = UnixTime(day * DAY + 43_200);
            assert_eq!(Stamp::parse(&Stamp(time).to_string()).unwrap().0, time);
        }
    }

    #[test]
    fn lines_that_are_no_entries_are_told_by_number() {
        for line in [
            "a.example",
            "a.example 20270115 08:00:00",
            "a.example \"20270115\"",
            "a.example \"20271315 08:00:00\"",
            "a.example \"2027011508:00:00\"",
            "a.example \"20270115-08:00:00\"",
            "a.example \"20270115 08:00:0\u{e4}\"",
            ". \"20270115 08:00:00\"",
            "a/b \"20270115 08:00:00\"",
        ] {
            let text = format!("# comment\n\n{line}\n");
            assert_eq!(Store::parse(&text), Err(InvalidFile { line: 3 }), "{line}");
        }
    }
}
