//! From tokens to a script.

use std::str::FromStr;
use std::time::Duration;

use drywire::tcp::Flags;

use super::ParseError;
use super::assertion;
use super::ast::{
    Action, Call, EcnMark, Event, Expression, IcmpPacket, Packet, Script, Setting, TcpOption, TcpPacket, Time,
};
use super::lexer::{Token, tokens};

/// How deep arguments may be nested.
const DEPTH: u32 = 8;

impl FromStr for Script {
    type Err = ParseError;

    fn from_str(source: &str) -> Result<Self, ParseError> {
        let tokens = tokens(source)?;
        let end = source.lines().count().max(1) as u32;
        let mut parser = Parser { tokens: &tokens, at: 0, end };
        let mut script = Self { settings: vec![], events: vec![] };
        while let Some(Token::Setting(_)) = parser.peek() {
            script.settings.push(parser.setting()?);
        }
        while parser.peek().is_some() {
            script.events.push(parser.event()?);
        }
        Ok(script)
    }
}

struct Parser<'a> {
    tokens: &'a [(u32, Token)],
    at: usize,
    /// The last line.
    end: u32,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead).map(|(_, token)| token)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).map_or(self.end, |(line, _)| *line)
    }

    fn take(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn error(&self, expected: &str) -> ParseError {
        let found = self.peek().map_or("the end".to_owned(), ToString::to_string);
        ParseError::new(self.line(), format!("expected {expected}, found {found}"))
    }

    fn is_mark(&self, mark: char) -> bool {
        self.peek() == Some(&Token::Mark(mark))
    }

    /// Takes `mark` if it is next.
    fn skip(&mut self, mark: char) -> bool {
        let is_next = self.is_mark(mark);
        self.at += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, mark: char) -> Result<(), ParseError> {
        if self.skip(mark) { Ok(()) } else { Err(self.error(&format!("`{mark}`"))) }
    }

    /// Takes `word` if it is next.
    fn skip_word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        self.at += usize::from(is_next);
        is_next
    }

    fn word(&mut self, what: &str) -> Result<String, ParseError> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word.clone())
            }
            _ => Err(self.error(what)),
        }
    }

    /// An integer that fits into `T`.
    fn integer<T: TryFrom<i64>>(&mut self, what: &str) -> Result<T, ParseError> {
        match self.peek() {
            Some(Token::Integer(value)) => {
                let value = T::try_from(*value).map_err(|_| self.error(what))?;
                self.at += 1;
                Ok(value)
            }
            _ => Err(self.error(what)),
        }
    }

    fn setting(&mut self) -> Result<Setting, ParseError> {
        let line = self.line();
        let Some(Token::Setting(name)) = self.take() else { return Err(self.error("a setting")) };
        self.expect('=')?;
        let value = match self.peek() {
            Some(Token::Integer(value)) => value.to_string(),
            Some(Token::Word(value) | Token::Text(value)) => value.clone(),
            _ => return Err(self.error("the value of the setting")),
        };
        self.at += 1;
        Ok(Setting { line, name: name.clone(), value })
    }

    fn event(&mut self) -> Result<Event, ParseError> {
        let line = self.line();
        let time = self.time()?;
        let action = if self.skip('<') {
            Action::Inject(self.packet()?)
        } else if self.skip('>') {
            Action::Expect(self.packet()?)
        } else if let Some(Token::Code(code)) = self.peek() {
            let line = self.line();
            self.at += 1;
            Action::Assert(assertion::parse(code, line)?)
        } else {
            let call = self.call()?;
            if call.end.is_some() && !matches!(time, Time::Absolute(_) | Time::Relative(_)) {
                return Err(ParseError::new(line, "a call that blocks begins at one time"));
            }
            Action::Call(call)
        };
        if !matches!(action, Action::Expect(_)) && !matches!(time, Time::Absolute(_) | Time::Relative(_)) {
            return Err(ParseError::new(line, "only a packet that is expected may come at any time or in a range"));
        }
        Ok(Event { line, time, action })
    }

    fn time(&mut self) -> Result<Time, ParseError> {
        if self.skip('*') {
            return Ok(Time::Any);
        }
        let relative = self.skip('+');
        let from = self.duration()?;
        if self.skip('~') {
            if relative {
                self.expect('+')?;
            }
            let to = self.duration()?;
            if to < from {
                return Err(ParseError::new(self.line(), "the range ends before it begins"));
            }
            return Ok(Time::Range { from, to, relative });
        }
        Ok(if relative { Time::Relative(from) } else { Time::Absolute(from) })
    }

    fn duration(&mut self) -> Result<Duration, ParseError> {
        let duration = match self.peek() {
            Some(Token::Seconds(duration)) => *duration,
            Some(Token::Integer(seconds)) => {
                // A century: the sum of all times stays far within what the clock can say.
                let seconds = u64::try_from(*seconds).ok().filter(|seconds| *seconds < 3_000_000_000);
                Duration::from_secs(seconds.ok_or_else(|| self.error("a time"))?)
            }
            _ => return Err(self.error("a time")),
        };
        self.at += 1;
        Ok(duration)
    }

    fn packet(&mut self) -> Result<Packet, ParseError> {
        let mut ecn = None;
        if self.skip('[') {
            if let Some(Token::Word(_)) = self.peek() {
                ecn = Some(self.ecn()?);
            } else {
                let (seq, len) = self.range()?;
                self.expect(']')?;
                return self.icmp(seq, len).map(Packet::Icmp);
            }
            self.expect(']')?;
        }
        self.tcp(ecn).map(Packet::Tcp)
    }

    fn ecn(&mut self) -> Result<EcnMark, ParseError> {
        let line = self.line();
        let name = self.word("an ECN mark")?;
        let mark = EcnMark::ALL.into_iter().find(|mark| mark.name() == name);
        mark.ok_or_else(|| ParseError::new(line, format!("`{name}` is no ECN mark")))
    }

    fn icmp(&mut self, seq: u32, len: u32) -> Result<IcmpPacket, ParseError> {
        if !self.skip_word("icmp") {
            return Err(self.error("`icmp`"));
        }
        let kind = self.word("the type of the ICMP message")?;
        let code = match self.peek() {
            Some(Token::Word(word)) if word != "mtu" => Some(self.word("a code")?),
            _ => None,
        };
        let mtu = if self.skip_word("mtu") { Some(self.integer("an MTU")?) } else { None };
        Ok(IcmpPacket { seq, len, kind, code, mtu })
    }

    fn tcp(&mut self, ecn: Option<EcnMark>) -> Result<TcpPacket, ParseError> {
        let flags = self.flags()?;
        let (seq, len) = self.range()?;
        let ack = if self.skip_word("ack") { Some(self.integer("an acknowledgment number")?) } else { None };
        if ack.is_some() != flags.contains(Flags::ACK) {
            return Err(ParseError::new(self.line(), "`.` and `ack` go together"));
        }
        let window = if self.skip_word("win") { Some(self.integer("a window of 16 bits")?) } else { None };
        let urgent = if self.skip_word("urg") { Some(self.integer("an urgent pointer of 16 bits")?) } else { None };
        let options = self.options()?;
        Ok(TcpPacket { ecn, flags, seq, len, ack, window, urgent, options })
    }

    fn flags(&mut self) -> Result<Flags, ParseError> {
        let mut flags = Flags::NONE;
        if self.skip('-') {
            return Ok(flags);
        }
        if let Some(Token::Word(word)) = self.peek() {
            for letter in word.chars() {
                let known = TcpPacket::LETTERS.iter().find(|(name, _)| *name == letter);
                flags |= known.ok_or_else(|| self.error("flags"))?.1;
            }
            self.at += 1;
        } else if !self.is_mark('.') {
            return Err(self.error("flags"));
        }
        if self.skip('.') {
            flags |= Flags::ACK;
        }
        Ok(flags)
    }

    /// `first:behind(length)`
    fn range(&mut self) -> Result<(u32, u32), ParseError> {
        let line = self.line();
        let first: u32 = self.integer("a sequence number")?;
        self.expect(':')?;
        let behind: u32 = self.integer("a sequence number")?;
        self.expect('(')?;
        let len: u32 = self.integer("a length")?;
        self.expect(')')?;
        if first.wrapping_add(len) != behind {
            return Err(ParseError::new(line, format!("{first}:{behind} is not {len} bytes long")));
        }
        if len > 65_535 {
            return Err(ParseError::new(line, "a packet has at most 65535 bytes"));
        }
        Ok((first, len))
    }

    /// `<...>` is any, and nothing is none.
    fn options(&mut self) -> Result<Option<Vec<TcpOption>>, ParseError> {
        let mut options = vec![];
        // A packet that begins on the next line has a time before it, so a bracket here belongs to this one.
        if !self.skip('<') {
            return Ok(Some(options));
        }
        if self.peek() == Some(&Token::Ellipsis) {
            self.at += 1;
            self.expect('>')?;
            return Ok(None);
        }
        loop {
            options.push(self.option()?);
            if !self.skip(',') {
                self.expect('>')?;
                return Ok(Some(options));
            }
        }
    }

    fn option(&mut self) -> Result<TcpOption, ParseError> {
        let line = self.line();
        Ok(match self.word("an option")?.as_str() {
            "eol" => TcpOption::End,
            "nop" => TcpOption::Nop,
            "mss" => TcpOption::Mss(self.integer("a size of 16 bits")?),
            "wscale" => TcpOption::WindowScale(self.integer("a shift of 8 bits")?),
            "sackOK" => TcpOption::SackPermitted,
            "sack" => {
                let mut blocks = vec![];
                while let Some(Token::Integer(_)) = self.peek() {
                    let left = self.integer("a sequence number")?;
                    self.expect(':')?;
                    blocks.push((left, self.integer("a sequence number")?));
                }
                TcpOption::Sack(blocks)
            }
            "TS" => {
                if !self.skip_word("val") {
                    return Err(self.error("`val`"));
                }
                let value = self.integer("a timestamp")?;
                if !self.skip_word("ecr") {
                    return Err(self.error("`ecr`"));
                }
                TcpOption::Timestamps { value, echo: self.integer("a timestamp")? }
            }
            name => return Err(ParseError::new(line, format!("`{name}` is no option"))),
        })
    }

    fn call(&mut self) -> Result<Call, ParseError> {
        let end = if self.peek() == Some(&Token::Ellipsis) {
            self.at += 1;
            Some(self.duration()?)
        } else {
            None
        };
        let name = self.word("a packet, a system call or an assertion")?;
        let arguments = self.arguments(DEPTH)?;
        self.expect('=')?;
        let result = match self.peek() {
            Some(Token::Ellipsis) => {
                self.at += 1;
                None
            }
            _ => Some(self.integer("the result")?),
        };
        let errno = match self.peek() {
            Some(Token::Word(_)) => Some(self.word("an error")?),
            _ => None,
        };
        // The text of the error is for the reader.
        if self.skip('(') {
            while !self.skip(')') {
                self.take().ok_or_else(|| self.error("`)`"))?;
            }
        }
        Ok(Call { name, end, arguments, result, errno })
    }

    fn arguments(&mut self, depth: u32) -> Result<Vec<Expression>, ParseError> {
        self.expect('(')?;
        self.list(')', depth)
    }

    fn list(&mut self, end: char, depth: u32) -> Result<Vec<Expression>, ParseError> {
        let mut list = vec![];
        if self.skip(end) {
            return Ok(list);
        }
        loop {
            list.push(self.expression(depth)?);
            if !self.skip(',') {
                self.expect(end)?;
                return Ok(list);
            }
        }
    }

    fn expression(&mut self, depth: u32) -> Result<Expression, ParseError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error("less nesting"))?;
        Ok(match self.peek() {
            Some(Token::Ellipsis) => {
                self.at += 1;
                Expression::Ellipsis
            }
            Some(Token::Integer(value)) => {
                self.at += 1;
                Expression::Integer(*value)
            }
            Some(Token::Text(text)) => {
                self.at += 1;
                Expression::Text(text.clone())
            }
            Some(Token::Mark('[')) => {
                self.at += 1;
                Expression::Array(self.list(']', depth)?)
            }
            Some(Token::Mark('{')) => {
                self.at += 1;
                Expression::Struct(self.fields(depth)?)
            }
            Some(Token::Word(name)) if self.peek_at(1) == Some(&Token::Mark('(')) => {
                self.at += 1;
                Expression::Apply(name.clone(), self.arguments(depth)?)
            }
            Some(Token::Word(_)) => {
                let mut words = vec![self.word("a constant")?];
                while self.skip('|') {
                    words.push(self.word("a constant")?);
                }
                Expression::Words(words)
            }
            _ => return Err(self.error("an argument")),
        })
    }

    fn fields(&mut self, depth: u32) -> Result<Vec<(String, Expression)>, ParseError> {
        let mut fields = vec![];
        loop {
            let name = self.word("the name of a field")?;
            self.expect('=')?;
            fields.push((name, self.expression(depth)?));
            if !self.skip(',') {
                self.expect('}')?;
                return Ok(fields);
            }
        }
    }
}
