//! The inverse DCT of the low frequencies of a block, at a fraction of its size.
//!
//! `A` by `D` samples are the inverse transform of so many columns and rows of coefficients, scaled
//! to the same mean: the picture without the frequencies that it could not show at that size.

use crate::scan::{Block, Steps};

/// Bits of fraction of the weights, and of the values between the two passes.
pub const WEIGHT_BITS: u32 = 14;
pub const BETWEEN_BITS: u32 = 3;

pub const fn weights<const N: usize>() -> [[i16; N]; N] {
    // Of 0.5 cos(i pi / 16) by i, and the square root of 1/8 for the mean.
    const COSINES: [i32; 9] = [8192, 8035, 7568, 6811, 5793, 4551, 3135, 1598, 0];
    let mut found = [[0; N]; N];
    let mut x = 0;
    while x < N {
        found[x][0] = 5793;
        let mut u = 1;
        while u < N {
            // (2 x + 1) u pi / (2 N), as a multiple of pi / 16 in a circle of 32.
            let turn = (2 * x + 1) * u * (8 / N) % 32;
            let half = if turn > 16 { 32 - turn } else { turn };
            let cosine = if half > 8 { -COSINES[16 - half] } else { COSINES[half] };
            found[x][u] = cosine as i16;
            u += 1;
        }
        x += 1;
    }
    found
}

/// Write the samples of a block into `plane` at `at`, in rows of `stride`.
#[inline(always)]
pub fn plain<const A: usize, const D: usize>(
    block: &Block,
    steps: &Steps,
    plane: &mut [u8],
    at: usize,
    stride: usize,
) {
    let (across, down) = (const { weights::<A>() }, const { weights::<D>() });
    let mut between = [[0_i32; A]; D];
    for (y, row) in between.iter_mut().enumerate() {
        for (u, value) in row.iter_mut().enumerate() {
            // Hostile files overflow here; libjpeg's vector code does, too.
            let of = |v: usize| i32::from(block[8 * v + u].wrapping_mul(steps[8 * v + u]));
            let sum = (0..D).map(|v| i32::from(down[y][v]) * of(v)).sum();
            *value = rounded(sum, WEIGHT_BITS - BETWEEN_BITS).clamp(-32768, 32767);
        }
    }
    for (y, row) in between.iter().enumerate() {
        let samples = &mut plane[at + y * stride..][..A];
        for (x, sample) in samples.iter_mut().enumerate() {
            let sum = (0..A).map(|u| i32::from(across[x][u]) * row[u]).sum();
            *sample = (rounded(sum, WEIGHT_BITS + BETWEEN_BITS) + 128).clamp(0, 255) as u8;
        }
    }
}

/// The same for a block that has nothing but its mean.
#[inline(always)]
pub fn flat<const A: usize, const D: usize>(
    block: &Block,
    steps: &Steps,
    plane: &mut [u8],
    at: usize,
    stride: usize,
) {
    let value = (rounded(i32::from(block[0].wrapping_mul(steps[0])), 3) + 128).clamp(0, 255) as u8;
    for y in 0..D {
        plane[at + y * stride..][..A].fill(value);
    }
}

#[inline(always)]
fn rounded(value: i32, bits: u32) -> i32 {
    (value + (1 << (bits - 1))) >> bits
}
