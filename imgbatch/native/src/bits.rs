//! The coded data of a scan, without stuffing (ITU-T T.81, B.1.1.5 and F.1.2.3), bit by bit.

use crate::header::NotMine;

/// So many bytes follow the data, so that nobody has to look for the end within an MCU: with six
/// blocks of 64 coefficients of 27 bits it has at most 1,296, and 8 are read at once.
const SLACK: usize = 1_400;
/// The memory that is kept for the next picture. Most photographs have fewer bytes.
const KEPT_BYTES: usize = 8 << 20;
/// A file that has more restart intervals takes too much memory.
const MOST_INTERVALS: usize = 1 << 18;
const STUFFED: u8 = 0x00;
const END_OF_IMAGE: u8 = 0xD9;

/// The data of a scan as they come from a file, without stuffing.
#[derive(Default)]
pub struct Data {
    plain: Vec<u8>,
    /// Where each restart interval stops.
    stops: Vec<usize>,
    after_ff: bool,
    ended: bool,
    wrong: bool,
}

impl Data {
    /// Forget everything but some memory.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.plain.shrink_to(KEPT_BYTES);
        self.stops.clear();
        (self.after_ff, self.ended, self.wrong) = (false, false, false);
    }

    /// Have room for so many bytes, as there may be. A Vec that grows would take twice as much, and
    /// end the process where there is none.
    pub fn reserve(&mut self, most: usize) -> Result<(), NotMine> {
        self.plain.try_reserve_exact(most.saturating_add(1 + SLACK)).map_err(|_| NotMine::Memory)
    }

    /// Take the next piece of the file; return whether more is wanted.
    ///
    /// The data end with the marker for the end of the image. Nothing behind that is looked at.
    pub fn take(&mut self, mut piece: &[u8]) -> bool {
        while !self.ended && !self.wrong && !piece.is_empty() {
            if self.after_ff {
                self.after_ff = false;
                self.mark(piece[0]);
                piece = &piece[1..];
                continue;
            }
            let stop = find_ff(piece);
            if self.plain.try_reserve(stop + 1 + SLACK).is_err() {
                self.wrong = true;
                break;
            }
            self.plain.extend_from_slice(&piece[..stop]);
            self.after_ff = stop < piece.len();
            piece = &piece[piece.len().min(stop + 1)..];
        }
        !self.ended && !self.wrong
    }

    fn mark(&mut self, marker: u8) {
        match marker {
            STUFFED => self.plain.push(0xFF),
            0xD0..=0xD7
                if usize::from(marker & 7) == self.stops.len() % 8
                    && self.stops.len() < MOST_INTERVALS =>
            {
                self.stops.push(self.plain.len());
            }
            END_OF_IMAGE => {
                self.stops.push(self.plain.len());
                self.plain.resize(self.plain.len() + SLACK, 0);
                self.ended = true;
            }
            _ => self.wrong = true,
        }
    }

    /// The bytes, with some more behind them, and where each restart interval stops.
    pub fn whole(&self) -> Result<(&[u8], &[usize]), NotMine> {
        if self.ended { Ok((&self.plain, &self.stops)) } else { Err(NotMine::Data) }
    }
}

fn find_ff(data: &[u8]) -> usize {
    let words = data.chunks_exact(32);
    let mut at = 0;
    for word in words {
        if word.iter().fold(false, |found, &byte| found | (byte == 0xFF)) {
            break;
        }
        at += 32;
    }
    at + data[at..].iter().position(|&byte| byte == 0xFF).unwrap_or(data.len() - at)
}

/// A place in the data.
pub struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, from the top; at least `left` of them are there.
    next: u64,
    left: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Bits { data, at: 0, next: 0, left: 0 }
    }

    /// Go to a byte.
    pub fn go_to(&mut self, at: usize) {
        (self.at, self.next, self.left) = (at, 0, 0);
    }

    /// Make sure that at least 56 bits are in `next`.
    #[inline(always)]
    pub fn refill(&mut self) {
        let word = self.data[self.at..self.at + 8].try_into().expect("these are 8");
        self.next |= u64::from_be_bytes(word) >> self.left;
        self.at += ((63 - self.left) >> 3) as usize;
        self.left |= 56;
    }

    #[inline(always)]
    pub fn next(&self) -> u64 {
        self.next
    }

    #[inline(always)]
    pub fn take(&mut self, count: u32) {
        self.next <<= count;
        self.left -= count;
    }

    /// How many bits were taken since the beginning of the data.
    pub fn taken(&self) -> usize {
        self.at * 8 - self.left as usize
    }

    /// Whether the data up to `stop` were taken but for less than a byte of padding: ones, or zeros
    /// as some encoders write.
    pub fn is_at_end(&self, stop: usize) -> bool {
        let taken = self.taken();
        let Some(left) = (stop * 8).checked_sub(taken) else { return false };
        if left == 0 {
            return true;
        }
        let mask = (1_u32 << left.min(8)) - 1;
        let last = u32::from(self.data[stop - 1]) & mask;
        left < 8 && (last == mask || last == 0)
    }
}

/// The number that `size` bits after a code of `length` bits mean (table F.1 and figure F.12).
#[inline(always)]
pub fn number(bits: u64, length: u32, size: u32) -> i32 {
    let after = bits << length;
    let value = ((after >> 1) >> (63 - size)) as i32;
    let negative = !((after as i64) >> 63) as i32;
    value + (negative & (1 - (1 << size)))
}
