//! The kernels of `idct` and `colour` for processors with AVX2; the results are the same.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm_mullo_epi16, _mm_unpackhi_epi16, _mm_unpacklo_epi16,
    _mm256_add_epi16, _mm256_add_epi32, _mm256_broadcastsi128_si256, _mm256_castsi256_si128,
    _mm256_cvtepu8_epi16, _mm256_extract_epi32, _mm256_extract_epi64, _mm256_extracti128_si256,
    _mm256_madd_epi16, _mm256_mulhrs_epi16, _mm256_packs_epi32, _mm256_packus_epi16,
    _mm256_permute2x128_si256, _mm256_permutevar8x32_epi32, _mm256_set_m128i, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_setr_epi32, _mm256_shuffle_epi32, _mm256_slli_epi16,
    _mm256_srai_epi16, _mm256_srai_epi32, _mm256_srli_si256, _mm256_storeu_si256, _mm256_sub_epi16,
    _mm256_sub_epi32, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8, _mm256_unpacklo_epi16,
};

use crate::colour::{BLUE, GREEN_OF_BLUE, GREEN_OF_RED, RED, SUM_BITS};
use crate::idct::{self, BETWEEN_BITS, WEIGHT_BITS};
use crate::scan::{Block, Steps};

const FIRST_SHIFT: i32 = (WEIGHT_BITS - BETWEEN_BITS) as i32;
const SECOND_SHIFT: i32 = (WEIGHT_BITS + BETWEEN_BITS) as i32;
const FIRST_HALF: i32 = 1 << (FIRST_SHIFT - 1);
const SECOND_HALF: i32 = (1 << (SECOND_SHIFT - 1)) + (128 << SECOND_SHIFT);

/// See `idct::plain`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn transform<const A: usize, const D: usize>(
    block: &Block,
    steps: &Steps,
    plane: &mut [u8],
    at: usize,
    stride: usize,
) {
    match (A, D) {
        (4, 4) => {
            rows4(columns4(block, steps), plane, at, stride);
        }
        (8, 4) => {
            let rows = columns_of_four(block, steps);
            rows8(&rows, plane, at, stride);
        }
        (8, 8) => {
            let rows = columns_of_eight(block, steps);
            rows8(&rows[..4], plane, at, stride);
            rows8(&rows[4..], plane, at + 4 * stride, stride);
        }
        _ => idct::plain::<A, D>(block, steps, plane, at, stride),
    }
}

/// Two weights, as one number of 32 bits.
const fn pair(low: i16, high: i16) -> i32 {
    (low as u16 as u32 | (high as u16 as u32) << 16) as i32
}

const W4: [[i16; 4]; 4] = idct::weights::<4>();
const W8: [[i16; 8]; 8] = idct::weights::<8>();

/// A row of coefficients, dequantised.
#[target_feature(enable = "avx2")]
#[inline]
fn coefficients(block: &Block, steps: &Steps, row: usize) -> __m128i {
    _mm_mullo_epi16(eight(&block[8 * row..8 * row + 8]), eight(&steps[8 * row..8 * row + 8]))
}

#[target_feature(enable = "avx2")]
#[inline]
fn eight(numbers: &[i16]) -> __m128i {
    let numbers: &[i16; 8] = numbers.try_into().expect("these are 8");
    // SAFETY: a read of the 16 bytes of `numbers`, which need not be aligned.
    unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) }
}

/// Two rows of eight, in pairs, from left to right.
#[target_feature(enable = "avx2")]
#[inline]
fn paired(one: __m128i, other: __m128i) -> __m256i {
    _mm256_set_m128i(_mm_unpackhi_epi16(one, other), _mm_unpacklo_epi16(one, other))
}

/// The columns of 4 by 4: rows 0 and 3, and rows 1 and 2, as numbers of 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn columns4(block: &Block, steps: &Steps) -> __m256i {
    let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|row| coefficients(block, steps, row));
    let even = _mm256_broadcastsi128_si256(_mm_unpacklo_epi16(r0, r2));
    let odd = _mm256_broadcastsi128_si256(_mm_unpacklo_epi16(r1, r3));
    let (a, b) = (pair(W4[0][0], W4[0][2]), pair(W4[1][0], W4[1][2]));
    let even = _mm256_madd_epi16(even, _mm256_setr_epi32(a, a, a, a, b, b, b, b));
    let (a, b) = (pair(W4[0][1], W4[0][3]), pair(W4[1][1], W4[1][3]));
    let odd = _mm256_madd_epi16(odd, _mm256_setr_epi32(a, a, a, a, b, b, b, b));
    let even = _mm256_add_epi32(even, _mm256_set1_epi32(FIRST_HALF));
    let near = _mm256_srai_epi32::<FIRST_SHIFT>(_mm256_add_epi32(even, odd));
    let far = _mm256_srai_epi32::<FIRST_SHIFT>(_mm256_sub_epi32(even, odd));
    // Rows 0 and 3 in the lower lane, rows 1 and 2 in the upper.
    _mm256_packs_epi32(near, far)
}

#[target_feature(enable = "avx2")]
#[inline]
fn rows4(all: __m256i, plane: &mut [u8], at: usize, stride: usize) {
    let weights = |u: usize| {
        let of = |x: usize| pair(W4[x][u], W4[x][u + 1]);
        _mm256_setr_epi32(of(0), of(1), of(2), of(3), of(0), of(1), of(2), of(3))
    };
    let half = _mm256_set1_epi32(SECOND_HALF);
    let near = _mm256_add_epi32(
        _mm256_madd_epi16(_mm256_shuffle_epi32::<0x00>(all), weights(0)),
        _mm256_madd_epi16(_mm256_shuffle_epi32::<0x55>(all), weights(2)),
    );
    let far = _mm256_add_epi32(
        _mm256_madd_epi16(_mm256_shuffle_epi32::<0xAA>(all), weights(0)),
        _mm256_madd_epi16(_mm256_shuffle_epi32::<0xFF>(all), weights(2)),
    );
    let near = _mm256_srai_epi32::<SECOND_SHIFT>(_mm256_add_epi32(near, half));
    let far = _mm256_srai_epi32::<SECOND_SHIFT>(_mm256_add_epi32(far, half));
    let words = _mm256_packs_epi32(near, far);
    let bytes = _mm256_packus_epi16(words, words);
    put4(plane, at, _mm256_extract_epi32::<0>(bytes));
    put4(plane, at + stride, _mm256_extract_epi32::<4>(bytes));
    put4(plane, at + 2 * stride, _mm256_extract_epi32::<5>(bytes));
    put4(plane, at + 3 * stride, _mm256_extract_epi32::<1>(bytes));
}

#[inline(always)]
fn put4(plane: &mut [u8], at: usize, samples: i32) {
    plane[at..at + 4].copy_from_slice(&samples.to_le_bytes());
}

#[inline(always)]
fn put8(plane: &mut [u8], at: usize, samples: i64) {
    plane[at..at + 8].copy_from_slice(&samples.to_le_bytes());
}

/// Four rows from eight columns of four.
#[target_feature(enable = "avx2")]
#[inline]
fn columns_of_four(block: &Block, steps: &Steps) -> [__m128i; 4] {
    let [r0, r1, r2, r3] = [0, 1, 2, 3].map(|row| coefficients(block, steps, row));
    let (even, odd) = (paired(r0, r2), paired(r1, r3));
    let half = _mm256_set1_epi32(FIRST_HALF);
    let both = |y: usize| {
        let even = _mm256_madd_epi16(even, _mm256_set1_epi32(pair(W4[y][0], W4[y][2])));
        let odd = _mm256_madd_epi16(odd, _mm256_set1_epi32(pair(W4[y][1], W4[y][3])));
        let even = _mm256_add_epi32(even, half);
        (_mm256_add_epi32(even, odd), _mm256_sub_epi32(even, odd))
    };
    let ((y0, y3), (y1, y2)) = (both(0), both(1));
    let ([y0, y1], [y2, y3]) = (narrowed(y0, y1), narrowed(y2, y3));
    [y0, y1, y2, y3]
}

/// Eight rows from eight columns of eight.
#[target_feature(enable = "avx2")]
#[inline]
fn columns_of_eight(block: &Block, steps: &Steps) -> [__m128i; 8] {
    let r = [0, 1, 2, 3, 4, 5, 6, 7].map(|row| coefficients(block, steps, row));
    let even = [paired(r[0], r[2]), paired(r[4], r[6])];
    let odd = [paired(r[1], r[3]), paired(r[5], r[7])];
    let half = _mm256_set1_epi32(FIRST_HALF);
    let both = |y: usize| {
        let w = &W8[y];
        let even = _mm256_add_epi32(
            _mm256_madd_epi16(even[0], _mm256_set1_epi32(pair(w[0], w[2]))),
            _mm256_madd_epi16(even[1], _mm256_set1_epi32(pair(w[4], w[6]))),
        );
        let odd = _mm256_add_epi32(
            _mm256_madd_epi16(odd[0], _mm256_set1_epi32(pair(w[1], w[3]))),
            _mm256_madd_epi16(odd[1], _mm256_set1_epi32(pair(w[5], w[7]))),
        );
        let even = _mm256_add_epi32(even, half);
        (_mm256_add_epi32(even, odd), _mm256_sub_epi32(even, odd))
    };
    let ((y0, y7), (y1, y6), (y2, y5), (y3, y4)) = (both(0), both(1), both(2), both(3));
    let ([y0, y1], [y2, y3]) = (narrowed(y0, y1), narrowed(y2, y3));
    let ([y4, y5], [y6, y7]) = (narrowed(y4, y5), narrowed(y6, y7));
    [y0, y1, y2, y3, y4, y5, y6, y7]
}

/// Two rows of eight sums, as numbers of 16 bits.
#[target_feature(enable = "avx2")]
#[inline]
fn narrowed(one: __m256i, other: __m256i) -> [__m128i; 2] {
    let one = _mm256_srai_epi32::<FIRST_SHIFT>(one);
    let other = _mm256_srai_epi32::<FIRST_SHIFT>(other);
    let mixed = _mm256_packs_epi32(one, other);
    let order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7);
    let sorted = _mm256_permutevar8x32_epi32(mixed, order);
    [_mm256_castsi256_si128(sorted), _mm256_extracti128_si256::<1>(sorted)]
}

/// The samples of four rows of eight.
#[target_feature(enable = "avx2")]
#[inline]
fn rows8(rows: &[__m128i], plane: &mut [u8], at: usize, stride: usize) {
    let weights = |u: usize| {
        let of = |x: usize| pair(W8[x][u], W8[x][u + 1]);
        _mm256_setr_epi32(of(0), of(1), of(2), of(3), of(4), of(5), of(6), of(7))
    };
    let weights = [weights(0), weights(2), weights(4), weights(6)];
    let half = _mm256_set1_epi32(SECOND_HALF);
    let sums = |row: __m128i| {
        let row = _mm256_broadcastsi128_si256(row);
        let first = _mm256_add_epi32(
            _mm256_madd_epi16(_mm256_shuffle_epi32::<0x00>(row), weights[0]),
            _mm256_madd_epi16(_mm256_shuffle_epi32::<0x55>(row), weights[1]),
        );
        let second = _mm256_add_epi32(
            _mm256_madd_epi16(_mm256_shuffle_epi32::<0xAA>(row), weights[2]),
            _mm256_madd_epi16(_mm256_shuffle_epi32::<0xFF>(row), weights[3]),
        );
        let sum = _mm256_add_epi32(_mm256_add_epi32(first, second), half);
        _mm256_srai_epi32::<SECOND_SHIFT>(sum)
    };
    let upper = _mm256_packs_epi32(sums(rows[0]), sums(rows[1]));
    let lower = _mm256_packs_epi32(sums(rows[2]), sums(rows[3]));
    let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    let bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(upper, lower), order);
    put8(plane, at, _mm256_extract_epi64::<0>(bytes));
    put8(plane, at + stride, _mm256_extract_epi64::<1>(bytes));
    put8(plane, at + 2 * stride, _mm256_extract_epi64::<2>(bytes));
    put8(plane, at + 3 * stride, _mm256_extract_epi64::<3>(bytes));
}

/// See `colour::row`.
#[target_feature(enable = "avx2")]
#[inline]
pub fn colours(luma: &[u8], blue: &[u8], red: &[u8], pixels: &mut [u8]) {
    const BITS: i32 = SUM_BITS as i32;
    let whole = pixels.len() / 64 * 16;
    let (head, tail) = pixels.split_at_mut(4 * whole);
    let samples = luma.chunks_exact(16).zip(blue.chunks_exact(16)).zip(red.chunks_exact(16));
    for (pixels, ((y, cb), cr)) in head.chunks_exact_mut(64).zip(samples) {
        let y = _mm256_slli_epi16::<BITS>(samples16(y));
        let y = _mm256_add_epi16(y, _mm256_set1_epi16(1 << (BITS - 1)));
        let middle = _mm256_set1_epi16(128);
        let cb = _mm256_slli_epi16::<7>(_mm256_sub_epi16(samples16(cb), middle));
        let cr = _mm256_slli_epi16::<7>(_mm256_sub_epi16(samples16(cr), middle));
        let times =
            |value: __m256i, weight: i16| _mm256_mulhrs_epi16(value, _mm256_set1_epi16(weight));
        let r = _mm256_srai_epi16::<BITS>(_mm256_add_epi16(y, times(cr, RED)));
        let b = _mm256_srai_epi16::<BITS>(_mm256_add_epi16(y, times(cb, BLUE)));
        let g = _mm256_add_epi16(times(cb, GREEN_OF_BLUE), times(cr, GREEN_OF_RED));
        let g = _mm256_srai_epi16::<BITS>(_mm256_add_epi16(y, g));
        let rg = _mm256_packus_epi16(r, g);
        let bx = _mm256_packus_epi16(b, _mm256_set1_epi16(255));
        let rg = _mm256_unpacklo_epi8(rg, _mm256_srli_si256::<8>(rg));
        let bx = _mm256_unpacklo_epi8(bx, _mm256_srli_si256::<8>(bx));
        let low = _mm256_unpacklo_epi16(rg, bx);
        let high = _mm256_unpackhi_epi16(rg, bx);
        let (first, second) = pixels.split_at_mut(32);
        store(first, _mm256_permute2x128_si256::<0x20>(low, high));
        store(second, _mm256_permute2x128_si256::<0x31>(low, high));
    }
    crate::colour::row(&luma[whole..], &blue[whole..], &red[whole..], tail);
}

#[target_feature(enable = "avx2")]
#[inline]
fn samples16(samples: &[u8]) -> __m256i {
    let samples: &[u8; 16] = samples.try_into().expect("these are 16");
    // SAFETY: a read of the 16 bytes of `samples`, which need not be aligned.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(samples.as_ptr().cast()) })
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(pixels: &mut [u8], value: __m256i) {
    let pixels: &mut [u8; 32] = pixels.try_into().expect("these are 32");
    // SAFETY: a write of the 32 bytes of `pixels`, which need not be aligned.
    unsafe { _mm256_storeu_si256(pixels.as_mut_ptr().cast(), value) };
}
