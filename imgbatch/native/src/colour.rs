//! From YCbCr to RGB (JFIF, ITU-T T.871).

/// Bits of fraction of the sums: as many as 16 bits have room for.
pub const SUM_BITS: u32 = 6;
pub const RED: i16 = 22970; // 1.402 of 16384
pub const BLUE: i16 = 29032; // 1.772
pub const GREEN_OF_BLUE: i16 = -5638; // -0.344136
pub const GREEN_OF_RED: i16 = -11700; // -0.714136

/// Convert a row into pixels of four bytes, the last of which is 255.
#[inline(always)]
pub fn row(luma: &[u8], blue: &[u8], red: &[u8], pixels: &mut [u8]) {
    let samples = luma.iter().zip(blue).zip(red);
    for (pixel, ((&y, &cb), &cr)) in pixels.chunks_exact_mut(4).zip(samples) {
        let y = (i16::from(y) << SUM_BITS) + (1 << (SUM_BITS - 1));
        let cb = (i16::from(cb) - 128) << 7;
        let cr = (i16::from(cr) - 128) << 7;
        let r = y + times(cr, RED);
        let g = y + times(cb, GREEN_OF_BLUE) + times(cr, GREEN_OF_RED);
        let b = y + times(cb, BLUE);
        pixel[0] = (r >> SUM_BITS).clamp(0, 255) as u8;
        pixel[1] = (g >> SUM_BITS).clamp(0, 255) as u8;
        pixel[2] = (b >> SUM_BITS).clamp(0, 255) as u8;
        pixel[3] = 255;
    }
}

/// A product with a weight, rounded to SUM_BITS of fraction.
#[inline(always)]
fn times(value: i16, weight: i16) -> i16 {
    ((i32::from(value) * i32::from(weight) + (1 << 14)) >> 15) as i16
}
