//! DEFLATE (RFC 1951) read in the plainest way, to see what a compressor really wrote.

/// What raw DEFLATE data holds.
#[derive(Debug, Default)]
pub struct Inflated {
    pub bytes: Vec<u8>,
    /// How far back the farthest reference goes.
    pub farthest: usize,
}

struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<usize> {
        let byte = *self.data.get(self.at / 8)?;
        let bit = byte >> (self.at % 8) & 1;
        self.at += 1;
        Some(usize::from(bit))
    }

    fn number(&mut self, bits: usize) -> Option<usize> {
        (0..bits).try_fold(0, |number, i| Some(number | self.bit()? << i))
    }
}

/// A Huffman code by its lengths (RFC 1951, 3.2.2): symbols of each length, in order.
struct Code(Vec<Vec<usize>>);

impl Code {
    fn new(lengths: &[usize]) -> Self {
        let by_length = |n| lengths.iter().enumerate().filter(|&(_, &l)| l == n).map(|(symbol, _)| symbol).collect();
        Self((1..=15).map(by_length).collect())
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (mut code, mut first) = (0, 0);
        for symbols in &self.0 {
            code |= bits.bit()?;
            if code - first < symbols.len() {
                return Some(symbols[code - first]);
            }
            first = (first + symbols.len()) << 1;
            code <<= 1;
        }
        None
    }
}

/// Reads blocks behind `inflated` until the data ends, which it must between two blocks.
pub fn inflate(data: &[u8], inflated: &mut Inflated) -> Option<()> {
    const LENGTHS: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ];
    let mut bits = Bits { data, at: 0 };
    while bits.at.div_ceil(8) < data.len() {
        assert_eq!(bits.bit()?, 0, "a compressor here never writes a final block");
        let (literals, distances) = match bits.number(2)? {
            0 => {
                bits.at = bits.at.next_multiple_of(8);
                let len = bits.number(16)?;
                assert_eq!(bits.number(16)?, len ^ 0xffff);
                for _ in 0..len {
                    inflated.bytes.push(u8::try_from(bits.number(8)?).unwrap());
                }
                continue;
            }
            1 => {
                let lengths: Vec<_> = (0..288)
                    .map(|symbol| match symbol {
                        0..144 => 8,
                        144..256 => 9,
                        256..280 => 7,
                        _ => 8,
                    })
                    .collect();
                (Code::new(&lengths), Code::new(&[5; 30]))
            }
            2 => dynamic(&mut bits)?,
            _ => return None,
        };
        loop {
            let symbol = literals.read(&mut bits)?;
            match symbol {
                0..256 => inflated.bytes.push(u8::try_from(symbol).unwrap()),
                256 => break,
                _ => {
                    let extra = if symbol < 265 || symbol == 285 { 0 } else { (symbol - 261) / 4 };
                    let length = LENGTHS[symbol - 257] + bits.number(extra)?;
                    let symbol = distances.read(&mut bits)?;
                    let extra = symbol.saturating_sub(2) / 2;
                    let base = if symbol < 4 { symbol + 1 } else { ((2 + symbol % 2) << extra) + 1 };
                    let distance = base + bits.number(extra)?;
                    inflated.farthest = inflated.farthest.max(distance);
                    for _ in 0..length {
                        inflated.bytes.push(inflated.bytes[inflated.bytes.len().checked_sub(distance)?]);
                    }
                }
            }
        }
    }
    Some(())
}

/// The codes at the front of a block of its own (RFC 1951, 3.2.7).
fn dynamic(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (bits.number(5)? + 257, bits.number(5)? + 1, bits.number(4)? + 4);
    let mut lengths = [0; 19];
    for &symbol in &ORDER[..codes] {
        lengths[symbol] = bits.number(3)?;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < literals + distances {
        let (length, times) = match code.read(bits)? {
            16 => (*lengths.last()?, 3 + bits.number(2)?),
            17 => (0, 3 + bits.number(3)?),
            18 => (0, 11 + bits.number(7)?),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(length, times));
    }
    Some((Code::new(&lengths[..literals]), Code::new(&lengths[literals..])))
}
