//! Assertions about a connection: `%{ assert tcpi_unacked == 2 }%`.
//!
//! The original hands them to a Python interpreter; here they are the few operators that such assertions use, over
//! integers.

use std::fmt;

use super::ParseError;
use super::lexer::{Token, tokens};

/// How deep an expression may be nested.
const DEPTH: u32 = 32;

/// What comes behind one `assert`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assertion {
    pub(super) line: u32,
    expression: Expression,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    Integer(i64),
    Name(String),
    Not(Box<Expression>),
    Binary(Box<Expression>, Operator, Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    Times,
}

impl Operator {
    const fn symbol(self) -> &'static str {
        match self {
            Self::Or => "or",
            Self::And => "and",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
        }
    }

    fn apply(self, left: i64, right: i64) -> Option<i64> {
        Some(match self {
            Self::Or => i64::from(left != 0 || right != 0),
            Self::And => i64::from(left != 0 && right != 0),
            Self::Equal => i64::from(left == right),
            Self::NotEqual => i64::from(left != right),
            Self::Less => i64::from(left < right),
            Self::LessOrEqual => i64::from(left <= right),
            Self::Greater => i64::from(left > right),
            Self::GreaterOrEqual => i64::from(left >= right),
            Self::Plus => left.checked_add(right)?,
            Self::Minus => left.checked_sub(right)?,
            Self::Times => left.checked_mul(right)?,
        })
    }
}

impl Assertion {
    /// Whether it holds, given the value of each name; an unknown name is an error.
    pub(super) fn check(&self, value: &impl Fn(&str) -> Option<i64>) -> Result<(), String> {
        match self.expression.value(value)? {
            0 => Err(format!("assert {} fails: {}", self.expression, self.expression.names(value))),
            _ => Ok(()),
        }
    }
}

impl Expression {
    fn value(&self, value: &impl Fn(&str) -> Option<i64>) -> Result<i64, String> {
        match self {
            Self::Integer(integer) => Ok(*integer),
            Self::Name(name) => value(name).ok_or_else(|| format!("`{name}` has no value here")),
            Self::Not(inner) => Ok(i64::from(inner.value(value)? == 0)),
            Self::Binary(left, operator, right) => {
                let result = operator.apply(left.value(value)?, right.value(value)?);
                result.ok_or_else(|| format!("{self} is too large"))
            }
        }
    }

    /// Each name with its value.
    fn names(&self, value: &impl Fn(&str) -> Option<i64>) -> String {
        match self {
            Self::Integer(_) => String::new(),
            Self::Name(name) => format!("{name} is {}", value(name).unwrap_or_default()),
            Self::Not(inner) => inner.names(value),
            Self::Binary(left, _, right) => {
                let both = [left.names(value), right.names(value)];
                both.into_iter().filter(|names| !names.is_empty()).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Name(name) => f.write_str(name),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Binary(left, operator, right) => write!(f, "{left} {} {right}", operator.symbol()),
        }
    }
}

/// Reads the statements between `%{` and `}%`, of which the first stands on `line`.
pub(super) fn parse(code: &str, line: u32) -> Result<Vec<Assertion>, ParseError> {
    let tokens = tokens(code).map_err(|error| error.moved_by(line - 1))?;
    let mut parser = Parser { tokens: &tokens, at: 0, line };
    let mut assertions = vec![];
    while parser.at < tokens.len() {
        assertions.push(parser.assertion()?);
    }
    if assertions.is_empty() { Err(ParseError::new(line, "nothing is asserted")) } else { Ok(assertions) }
}

struct Parser<'a> {
    tokens: &'a [(u32, Token)],
    at: usize,
    /// Of the first token.
    line: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn line(&self) -> u32 {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        self.line - 1 + token.map_or(1, |(line, _)| *line)
    }

    fn error(&self, expected: &str) -> ParseError {
        let found = self.peek().map_or("the end".to_owned(), ToString::to_string);
        ParseError::new(self.line(), format!("expected {expected}, found {found}"))
    }

    fn skip_word(&mut self, word: &str) -> bool {
        let is_next = self.peek().is_some_and(|token| is_word(token, word));
        self.at += usize::from(is_next);
        is_next
    }

    fn skip(&mut self, marks: &str) -> bool {
        let mut ahead = self.tokens[self.at.min(self.tokens.len())..].iter().map(|(_, token)| token);
        let is_next = marks.chars().all(|mark| ahead.next() == Some(&Token::Mark(mark)));
        self.at += if is_next { marks.len() } else { 0 };
        is_next
    }

    /// `assert <expression>`, then perhaps a comma and what is to be printed, which this printer does by itself.
    fn assertion(&mut self) -> Result<Assertion, ParseError> {
        let line = self.line();
        if !self.skip_word("assert") {
            return Err(self.error("`assert`"));
        }
        let expression = self.expression(0, DEPTH)?;
        if self.skip(",") {
            while self.peek().is_some_and(|token| *token != Token::Mark(';') && !is_word(token, "assert")) {
                self.at += 1;
            }
        }
        while self.skip(";") {}
        Ok(Assertion { line, expression })
    }

    /// Operators of at least this level, by precedence climbing.
    fn expression(&mut self, level: usize, depth: u32) -> Result<Expression, ParseError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.error("less nesting"))?;
        let mut left = self.operand(depth)?;
        while let Some((operator, found)) = self.operator(level) {
            let right = self.expression(found + 1, depth)?;
            left = Expression::Binary(Box::new(left), operator, Box::new(right));
        }
        Ok(left)
    }

    /// Takes the next operator if its level is high enough.
    fn operator(&mut self, level: usize) -> Option<(Operator, usize)> {
        const WORDS: [(&str, Operator, usize); 2] = [("or", Operator::Or, 0), ("and", Operator::And, 1)];
        // What begins like another comes behind it.
        const MARKS: [(&str, Operator, usize); 9] = [
            ("==", Operator::Equal, 3),
            ("!=", Operator::NotEqual, 3),
            ("<=", Operator::LessOrEqual, 3),
            (">=", Operator::GreaterOrEqual, 3),
            ("<", Operator::Less, 3),
            (">", Operator::Greater, 3),
            ("+", Operator::Plus, 4),
            ("-", Operator::Minus, 4),
            ("*", Operator::Times, 5),
        ];
        let word = WORDS.iter().find(|(word, _, at)| *at >= level && self.skip_word(word));
        let found = word.or_else(|| MARKS.iter().find(|(marks, _, at)| *at >= level && self.skip(marks)));
        found.map(|(_, operator, at)| (*operator, *at))
    }

    fn operand(&mut self, depth: u32) -> Result<Expression, ParseError> {
        if self.skip_word("not") {
            // Binds looser than comparisons.
            return Ok(Expression::Not(Box::new(self.expression(2, depth)?)));
        }
        if self.skip("(") {
            let inner = self.expression(0, depth)?;
            return if self.skip(")") { Ok(inner) } else { Err(self.error("`)`")) };
        }
        let operand = match self.peek() {
            Some(Token::Integer(value)) => Expression::Integer(*value),
            Some(Token::Word(name)) => Expression::Name(name.clone()),
            _ => return Err(self.error("a name or a number")),
        };
        self.at += 1;
        Ok(operand)
    }
}

fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(it) if it == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str) -> Result<(), String> {
        let value = |name: &str| match name {
            "one" => Some(1),
            "ten" => Some(10),
            _ => None,
        };
        parse(code, 1).unwrap().iter().try_for_each(|assertion| assertion.check(&value))
    }

    #[test]
    fn operators_bind_as_in_python() {
        for code in [
            "assert one == 1",
            "assert one + 2 * 3 == 7 and ten != one",
            "assert not one == 2 or one == 3, one",
            "assert one < ten <= 1 + 0 * ten; assert (one + 1) * ten == 20, 'twenty'",
            "assert ten - one - 1 == 8, one\nassert ten >= 10",
        ] {
            assert_eq!(check(code), Ok(()), "{code}");
        }
    }

    #[test]
    fn what_fails_tells_the_values() {
        assert_eq!(check("assert one == ten"), Err("assert one == ten fails: one is 1, ten is 10".to_owned()));
        assert_eq!(check("assert two == 2"), Err("`two` has no value here".to_owned()));
    }

    #[test]
    fn errors_have_their_line() {
        for code in
            ["assert one\nassert +", "assert one\nprint", "assert one\nassert (one", "assert one\nassert 1 == \"1\""]
        {
            assert_eq!(parse(code, 5).unwrap_err().line(), 6, "{code}");
        }
        let deep = format!("assert {}1", "(".repeat(10_000));
        assert!(parse(&deep, 1).unwrap_err().to_string().contains("less nesting"));
        assert_eq!(parse(" ", 5).unwrap_err().line(), 5);
    }
}
