//! From text to tokens.

use std::fmt;
use std::time::Duration;

use super::ParseError;

/// A word of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A number without a fraction, as it stands: `12`, `-1`, `0x10`.
    Integer(i64),
    /// A number with a fraction, in seconds: `.1`, `0.200`.
    Seconds(Duration),
    /// A name, a flag or a keyword.
    Word(String),
    /// A string in double quotes.
    Text(String),
    /// A setting: the name behind `--`.
    Setting(String),
    /// What stands between `%{` and `}%`.
    Code(String),
    /// `...`
    Ellipsis,
    /// Any other character.
    Mark(char),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "`{value}`"),
            Self::Seconds(value) => write!(f, "`{}`", value.as_secs_f64()),
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Setting(name) => write!(f, "`--{name}`"),
            Self::Code(_) => f.write_str("`%{`"),
            Self::Ellipsis => f.write_str("`...`"),
            Self::Mark(mark) => write!(f, "`{mark}`"),
        }
    }
}

/// Every token of `source` with its line, comments left out.
pub(super) fn tokens(source: &str) -> Result<Vec<(u32, Token)>, ParseError> {
    let mut lexer = Lexer { rest: source, line: 1 };
    let mut tokens = vec![];
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    rest: &'a str,
    line: u32,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<(u32, Token)>, ParseError> {
        self.skip_blank()?;
        let line = self.line;
        let Some(first) = self.rest.chars().next() else { return Ok(None) };
        let token = if self.rest.starts_with("...") {
            self.take(3);
            Token::Ellipsis
        } else if let Some(behind) = self.rest.strip_prefix("--") {
            let name = &behind[..word_len(behind)];
            self.take(2 + name.len());
            Token::Setting(name.to_owned())
        } else if self.rest.starts_with("%{") {
            let code = self.up_to("}%").ok_or_else(|| ParseError::new(line, "`%{` without `}%`"))?;
            Token::Code(code[2..].to_owned())
        } else if first == '"' {
            Token::Text(self.string()?.to_owned())
        } else if let Some(number) = self.number()? {
            number
        } else if word_len(self.rest) > 0 {
            Token::Word(self.take(word_len(self.rest)).to_owned())
        } else {
            self.take(first.len_utf8());
            Token::Mark(first)
        };
        Ok(Some((line, token)))
    }

    /// Skips white space and comments, counting lines.
    fn skip_blank(&mut self) -> Result<(), ParseError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.take(blank);
            if self.rest.starts_with("//") {
                self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                let line = self.line;
                self.up_to("*/").ok_or_else(|| ParseError::new(line, "`/*` without `*/`"))?;
            } else {
                return Ok(());
            }
        }
    }

    /// Takes `len` bytes.
    fn take(&mut self, len: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(len);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count() as u32;
        self.rest = rest;
        taken
    }

    /// Takes everything up to `end`, which is taken, too, but not returned.
    fn up_to(&mut self, end: &str) -> Option<&'a str> {
        // The opening mark has as many characters, and does not count as a part of the end.
        let at = end.len() + self.rest.get(end.len()..)?.find(end)?;
        let taken = self.take(at);
        self.take(end.len());
        Some(taken)
    }

    fn string(&mut self) -> Result<&'a str, ParseError> {
        let line = self.line;
        match self.rest[1..].find(['"', '\n']) {
            Some(len) if self.rest[1 + len..].starts_with('"') => Ok(&self.take(len + 2)[1..=len]),
            _ => Err(ParseError::new(line, "a string does not end on its line")),
        }
    }

    /// Takes a number, if one begins here. A word may begin with a digit, but never does in this language.
    fn number(&mut self) -> Result<Option<Token>, ParseError> {
        let line = self.line;
        let too_large = |_| ParseError::new(line, "the number is too large");
        if let Some(hex) = self.rest.strip_prefix("0x") {
            let digits = &hex[..word_len(hex)];
            self.take(2 + digits.len());
            let value = i64::from_str_radix(digits, 16);
            return value.map(|value| Some(Token::Integer(value))).map_err(|_| ParseError::new(line, "no hex number"));
        }
        let sign = usize::from(self.rest.starts_with('-'));
        let whole = digits(&self.rest[sign..]);
        let behind = &self.rest[sign + whole..];
        let fraction = behind.strip_prefix('.').map_or(0, digits);
        if whole == 0 && fraction == 0 {
            return Ok(None);
        }
        if fraction == 0 {
            return self.take(sign + whole).parse().map(|value| Some(Token::Integer(value))).map_err(too_large);
        }
        if sign > 0 || fraction > 9 {
            return Err(ParseError::new(line, "a time is neither negative nor finer than a nanosecond"));
        }
        let seconds = if whole > 0 { self.take(whole).parse().map_err(too_large)? } else { 0 };
        self.take(1);
        let nanos: u32 = format!("{:0<9}", self.take(fraction)).parse().map_err(too_large)?;
        Ok(Some(Token::Seconds(Duration::new(seconds, nanos))))
    }
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn word_len(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(source: &str) -> Vec<Token> {
        tokens(source).unwrap().into_iter().map(|(_, token)| token).collect()
    }

    fn mark(mark: char) -> Token {
        Token::Mark(mark)
    }

    fn word(word: &str) -> Token {
        Token::Word(word.to_owned())
    }

    #[test]
    fn times_packets_and_ellipses_are_told_apart() {
        assert_eq!(
            lex("+.1 > S. 0:1(1)"),
            [
                mark('+'),
                Token::Seconds(Duration::from_millis(100)),
                mark('>'),
                word("S"),
                mark('.'),
                Token::Integer(0),
                mark(':'),
                Token::Integer(1),
                mark('('),
                Token::Integer(1),
                mark(')'),
            ]
        );
        assert_eq!(lex("0...0.25"), [Token::Integer(0), Token::Ellipsis, Token::Seconds(Duration::from_millis(250))]);
        assert_eq!(lex("= -1 - 0x1f"), [mark('='), Token::Integer(-1), mark('-'), Token::Integer(31)]);
        assert_eq!(lex("--mss=9"), [Token::Setting("mss".to_owned()), mark('='), Token::Integer(9)]);
    }

    #[test]
    fn comments_and_code_count_their_lines() {
        let source = "// one\n/* two\n*/ a %{ x\n}% b \"c\" //";
        let expected =
            [(3, word("a")), (3, Token::Code(" x\n".to_owned())), (4, word("b")), (4, Token::Text("c".to_owned()))];
        assert_eq!(tokens(source).unwrap(), expected);
    }

    #[test]
    fn what_does_not_end_is_an_error_with_its_line() {
        for source in
            ["\n/* a\n", "\n%{ a\n", "\n\"a\n\"", "\n/*/", "\n1.0000000001", "\n99999999999999999999", "\n0xz"]
        {
            assert_eq!(tokens(source).unwrap_err().line(), 2, "{source}");
        }
    }
}
