//! Huffman codes (ITU-T T.81, annex C and F.2.2), looked up with many bits at once.

use crate::bits::number;

/// How many bits are looked up at once.
const BITS: usize = 11;
const LONGEST: usize = 16;

/// The last coefficient of a block.
pub const LAST: usize = 63;

/// What a table's symbols mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The symbol is the number of bits of a difference, at most 11.
    Dc,
    /// The symbol is a run of zeros, and the number of bits of a coefficient, at most 10.
    Ac,
}

/// What a code says, or several codes and the numbers behind them.
#[derive(Clone, Copy)]
pub struct Entry(u32);

impl Entry {
    /// Nothing is known with so few bits: an end that takes none.
    pub const NONE: Entry = Entry(END << 8);

    fn new(total: usize, advance: usize, value: i16) -> Entry {
        Entry(total as u32 | (advance as u32) << 8 | u32::from(value as u16) << 16)
    }

    /// How many bits it takes.
    #[inline(always)]
    pub fn total(self) -> u32 {
        self.0 & 0xFF
    }

    /// How many coefficients to go on, and at the end of a block END more, which is beyond it.
    #[inline(always)]
    pub fn advance(self) -> usize {
        (self.0 >> 8 & 0xFF) as usize
    }

    /// The number behind the code.
    #[inline(always)]
    pub fn value(self) -> i16 {
        (self.0 >> 16) as i16
    }

    /// How many coefficients to go on before the block ends; None if it does not, or not known.
    #[inline(always)]
    pub fn end(self) -> Option<usize> {
        let end = END as usize;
        (self.total() > 0 && self.advance() >= end).then(|| self.advance() - end)
    }
}

const END: u32 = 64;

/// A code: its bits, what it advances, and how many bits of a number follow.
#[derive(Clone, Copy)]
struct Code {
    length: u8,
    advance: u8,
    size: u8,
}

const NO_CODE: Code = Code { length: 0, advance: 0, size: 0 };

/// A table of codes.
pub struct Table {
    /// The symbols that are whole in so many bits, with their numbers.
    symbols: [Entry; 1 << BITS],
    /// As many symbols as are whole in so many bits, up to the end of a block, without numbers.
    skips: [Entry; 1 << BITS],
    codes: [Code; 1 << BITS],
    /// The longer codes: of each length the first one and the first beyond, left-aligned in 16
    /// bits, and the place of the first among all.
    long: [(u32, u32, usize); LONGEST + 1],
    all: Vec<Code>,
}

impl Table {
    /// The table of these codes; None if they are not a prefix code, or one of them is all ones
    /// (annex C), or they say what libjpeg refuses.
    pub fn new(counts: &[u8; 16], symbols: &[u8], kind: Kind) -> Option<Box<Table>> {
        let is_wrong = |&symbol: &u8| kind == Kind::Dc && symbol > 15;
        if symbols.is_empty() || symbols.len() > 256 || symbols.iter().any(is_wrong) {
            return None;
        }
        let mut table = Box::new(Table {
            symbols: [Entry::NONE; 1 << BITS],
            skips: [Entry::NONE; 1 << BITS],
            codes: [NO_CODE; 1 << BITS],
            long: [(0, 0, 0); LONGEST + 1],
            all: Vec::with_capacity(symbols.len()),
        });
        let mut next = 0_usize;
        let mut symbols = symbols.iter();
        for length in 1..=LONGEST {
            let count = usize::from(counts[length - 1]);
            let (aligned, stop) = (LONGEST - length, next + count);
            if stop >= 1 << length {
                return None;
            }
            table.long[length] =
                ((next << aligned) as u32, (stop << aligned) as u32, table.all.len());
            for symbol in symbols.by_ref().take(count) {
                let code = meaning(kind, *symbol, length as u8);
                table.all.push(code);
                if length <= BITS {
                    let spread = BITS - length;
                    table.codes[next << spread..(next + 1) << spread].fill(code);
                }
                next += 1;
            }
            next <<= 1;
        }
        for bits in 0..1 << BITS {
            table.symbols[bits] = table.symbol(bits);
        }
        if kind == Kind::Ac {
            for bits in 0..1 << BITS {
                table.skips[bits] = table.skip(bits);
            }
        }
        Some(table)
    }

    fn symbol(&self, bits: usize) -> Entry {
        let code = self.codes[bits];
        let total = usize::from(code.length + code.size);
        if code.length == 0 || total > BITS {
            return Entry::NONE;
        }
        let value = number((bits as u64) << (64 - BITS), code.length.into(), code.size.into());
        Entry::new(total, code.advance.into(), value as i16)
    }

    fn skip(&self, bits: usize) -> Entry {
        let (mut taken, mut advance) = (0, 0);
        let mut found = Entry::NONE;
        loop {
            let entry = self.symbols[(bits << taken) & ((1 << BITS) - 1)];
            let (total, further) = (taken + entry.total() as usize, advance + entry.advance());
            if entry.total() == 0 || total > BITS {
                return found;
            }
            if entry.end().is_some() {
                return Entry::new(total, further, 0);
            }
            if further > LAST {
                return found;
            }
            (taken, advance) = (total, further);
            found = Entry::new(taken, advance, 0);
        }
    }

    /// The symbol at the top of `bits`, unless it is too long.
    #[inline(always)]
    pub fn at(&self, bits: u64) -> Entry {
        self.symbols[(bits >> (64 - BITS)) as usize]
    }

    /// The symbols at the top of `bits`, without their numbers.
    #[inline(always)]
    pub fn skip_at(&self, bits: u64) -> Entry {
        self.skips[(bits >> (64 - BITS)) as usize]
    }

    /// The symbol at the top of `bits`, however long it is; None if there is none.
    #[inline]
    pub fn any_at(&self, bits: u64) -> Option<Entry> {
        let mut code = self.codes[(bits >> (64 - BITS)) as usize];
        if code.length == 0 {
            code = self.long_at(bits)?;
        }
        let value = number(bits, code.length.into(), code.size.into());
        let total = usize::from(code.length + code.size);
        Some(Entry::new(total, code.advance.into(), value as i16))
    }

    #[cold]
    fn long_at(&self, bits: u64) -> Option<Code> {
        let top = (bits >> (64 - LONGEST)) as u32;
        for length in BITS + 1..=LONGEST {
            let (first, stop, place) = self.long[length];
            if (first..stop).contains(&top) {
                let code = self.all[place + ((top - first) >> (LONGEST - length)) as usize];
                return (code.length > 0).then_some(code);
            }
        }
        None
    }
}

fn meaning(kind: Kind, symbol: u8, length: u8) -> Code {
    let (run, size) = (symbol >> 4, symbol & 15);
    match (kind, run, size) {
        (Kind::Dc, 0, 0..=11) => Code { length, advance: 1, size },
        (Kind::Ac, 0, 0) => Code { length, advance: END as u8, size },
        // Sixteen zeros.
        (Kind::Ac, 15, 0) | (Kind::Ac, _, 1..=10) => Code { length, advance: run + 1, size },
        // Some tables have symbols that mean nothing, and do not occur.
        _ => NO_CODE,
    }
}
