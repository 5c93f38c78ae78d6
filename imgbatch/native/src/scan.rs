//! From the coded data to blocks of coefficients.

use crate::bits::Bits;
use crate::header::{Component, Header, NATURAL, NotMine};
use crate::huffman::{Entry, LAST, Table};

/// Where coefficients go that are not needed.
const NOWHERE: u8 = 64;
const MASK: u8 = 127;

/// The coefficients of a block, row by row. What lies beyond them is never read.
pub type Block = [i16; MASK as usize + 1];

/// Quantisation steps, row by row.
pub type Steps = [i16; 64];

/// How the blocks of a component are decoded.
pub struct Coder<'a> {
    dc: &'a Table,
    ac: &'a Table,
    /// Of each place in the zigzag order that in a block.
    places: [u8; 64],
    /// The last one that is needed.
    needed: usize,
    /// How many samples a block becomes, across and down.
    pub size: (usize, usize),
    pub steps: Steps,
    before: i32,
    /// The highest mean, quantised, that libjpeg knows how to clip.
    highest: i32,
}

/// Four times the highest that a picture has: samples of 8 bits, times 8.
const HIGHEST: i32 = 4 * 8 * 128 - 8;

impl<'a> Coder<'a> {
    /// For blocks of which the first `across` columns and `down` rows are needed.
    pub fn new(
        header: &'a Header,
        component: &Component,
        across: usize,
        down: usize,
    ) -> Result<Self, NotMine> {
        let (dc, ac) = header.tables(component)?;
        let (mut places, mut steps, mut needed) = ([NOWHERE; 64], [0; 64], 0);
        for (place, &step) in header.steps(component)?.iter().enumerate() {
            let natural = NATURAL[place];
            steps[usize::from(natural)] = step;
            if usize::from(natural % 8) < across && usize::from(natural / 8) < down {
                (places[place], needed) = (natural, place);
            }
        }
        let (size, highest) = ((across, down), HIGHEST / i32::from(steps[0]));
        Ok(Coder { dc, ac, places, needed, size, steps, before: 0, highest })
    }

    /// Begin anew, as at the start of a restart interval.
    pub fn restart(&mut self) {
        self.before = 0;
    }

    /// Decode a block, `D` rows of which are needed; return whether they may have more than its
    /// mean.
    #[inline(always)]
    pub fn block<const D: usize>(
        &mut self,
        bits: &mut Bits,
        block: &mut Block,
    ) -> Result<bool, NotMine> {
        for row in block.chunks_exact_mut(8).take(D) {
            row.fill(0);
        }
        bits.refill();
        let mut entry = self.dc.at(bits.next());
        if entry.total() == 0 {
            entry = self.dc.any_at(bits.next()).ok_or(NotMine::Data)?;
        }
        bits.take(entry.total());
        self.before += i32::from(entry.value());
        if self.before.abs() > self.highest {
            return Err(NotMine::Data);
        }
        block[0] = self.before as i16;
        // A difference takes 27 bits at most, and any other symbol 26, of the 56 that are there.
        let mut place = 0;
        if self.needed > 0 {
            loop {
                let entry = self.symbol(bits)?;
                place += entry.advance();
                if place > self.needed {
                    return self.end(bits, place, entry);
                }
                block[usize::from(self.places[place] & MASK)] = entry.value();
                if D == 8 && place == LAST {
                    return Ok(true);
                }
                bits.refill();
                let entry = self.symbol(bits)?;
                place += entry.advance();
                if place > self.needed {
                    return self.end(bits, place, entry);
                }
                block[usize::from(self.places[place] & MASK)] = entry.value();
                if D == 8 && place == LAST {
                    return Ok(true);
                }
            }
        }
        self.skip(bits, 0)?;
        Ok(false)
    }

    #[inline(always)]
    fn symbol(&self, bits: &mut Bits) -> Result<Entry, NotMine> {
        let mut entry = self.ac.at(bits.next());
        if entry.total() == 0 {
            entry = self.ac.any_at(bits.next()).ok_or(NotMine::Data)?;
        }
        bits.take(entry.total());
        Ok(entry)
    }

    /// Go on to the end of a block after a symbol that led beyond what is needed.
    #[inline(always)]
    fn end(&self, bits: &mut Bits, place: usize, entry: Entry) -> Result<bool, NotMine> {
        if let Some(further) = entry.end() {
            debug_assert_eq!(further, 0);
            return Ok(place != entry.advance());
        }
        self.skip(bits, place)?;
        Ok(true)
    }

    /// Go from a place to the end of the block.
    #[inline(always)]
    fn skip(&self, bits: &mut Bits, mut place: usize) -> Result<(), NotMine> {
        while place < LAST {
            bits.refill();
            let mut entry = self.ac.skip_at(bits.next());
            if place + entry.advance() >= LAST {
                match entry.end() {
                    Some(further) if place + further < LAST => {
                        bits.take(entry.total());
                        return Ok(());
                    }
                    _ => entry = self.ac.any_at(bits.next()).ok_or(NotMine::Data)?,
                }
                bits.take(entry.total());
                if entry.end().is_some() {
                    return Ok(());
                }
            } else {
                bits.take(entry.total());
            }
            place += entry.advance();
        }
        if place == LAST { Ok(()) } else { Err(NotMine::Data) }
    }
}
