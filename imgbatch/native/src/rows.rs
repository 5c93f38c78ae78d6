//! The caller's memory, into which pixels are written.

use std::slice;

/// Rows of pixels that belong to the caller.
pub struct Rows<'a> {
    rows: &'a [*mut u8],
    width: usize,
    channels: usize,
}

impl<'a> Rows<'a> {
    /// # Safety
    ///
    /// Each of `rows` points to `width` pixels of so many bytes (`channels`), no two of them to the
    /// same. Nobody else uses these bytes as long as this lives.
    pub unsafe fn new(rows: &'a [*mut u8], width: usize, channels: usize) -> Self {
        Rows { rows, width, channels }
    }

    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// How many bytes a pixel has: of grey pictures one, of the others four.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The bytes of a row.
    pub fn row(&mut self, number: usize) -> &mut [u8] {
        // SAFETY: whoever made `self` promised that so many bytes are there, and that nobody else
        // uses them; and `self` is borrowed as long as the slice lives.
        unsafe { slice::from_raw_parts_mut(self.rows[number], self.width * self.channels) }
    }
}
