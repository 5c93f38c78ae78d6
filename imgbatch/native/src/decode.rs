//! A whole picture, one row of MCUs after the other.

use crate::bits::{Bits, Data};
use crate::header::{Header, NotMine};
use crate::idct;
use crate::kernels::Kernels;
use crate::rows::Rows;
use crate::scan::{Block, Coder};

/// Rows of samples of each component.
pub type Planes = [Vec<u8>; 3];

/// Decode the data of a picture at 1/2, 1/4 or 1/8 of its size.
#[inline(always)]
pub fn decode(
    kernels: impl Kernels,
    header: &Header,
    scale: usize,
    data: &Data,
    planes: &mut Planes,
    rows: &mut Rows,
) -> Result<(), NotMine> {
    match scale {
        2 => run::<4, 8>(kernels, header, data, planes, rows),
        4 => run::<2, 4>(kernels, header, data, planes, rows),
        8 => run::<1, 2>(kernels, header, data, planes, rows),
        _ => Err(NotMine::Unknown),
    }
}

/// Decode it with `N` samples in a row of a block of luma; `T` is twice that.
#[inline(always)]
fn run<const N: usize, const T: usize>(
    kernels: impl Kernels,
    header: &Header,
    data: &Data,
    planes: &mut Planes,
    rows: &mut Rows,
) -> Result<(), NotMine> {
    let (h, v) = header.sampling();
    let (across, down) = (header.width.div_ceil(8 * h), header.height.div_ceil(8 * v));
    let (stride, high) = (across * h * N, v * N);
    let (plain, mut intervals) = Intervals::of(data, header.restart_interval, across * down)?;
    let mut coders = coders(header, N)?;
    prepare(&mut planes[..coders.len()], stride * high)?;
    let [luma, chroma @ ..] = &mut coders[..] else { return Err(NotMine::Unknown) };
    let [light, colours @ ..] = &mut *planes;
    // Where the samples of the luma of an MCU go, block by block (A.2.3).
    let places: Vec<usize> =
        (0..v).flat_map(|y| (0..h).map(move |x| (y * stride + x) * N)).collect();
    let mut bits = Bits::new(plain);
    let mut block = [0; 128];
    for first in (0..down).map(|row| row * high) {
        for mcu in 0..across {
            if intervals.begins(&mut bits)? {
                luma.restart();
                chroma.iter_mut().for_each(Coder::restart);
            }
            for &at in &places {
                let at = at + mcu * h * N;
                transformed::<N, N>(kernels, luma, &mut bits, &mut block, light, at, stride)?;
            }
            for (coder, plane) in chroma.iter_mut().zip(&mut *colours) {
                let at = mcu * h * N;
                samples::<N, T>(kernels, coder, &mut bits, &mut block, plane, at, stride)?;
            }
            intervals.check(&bits)?;
        }
        let numbers = first..(first + high).min(rows.height());
        write(kernels, [&*light, &colours[0], &colours[1]], stride, numbers, rows);
    }
    intervals.end(&bits)
}

/// Restart intervals: a whole picture without restarts is a single one.
struct Intervals<'a> {
    /// Where in the data they stop, and the current one does.
    stops: std::slice::Iter<'a, usize>,
    stop: usize,
    /// How many MCUs each has, and the current one still has.
    each: usize,
    left: usize,
}

impl<'a> Intervals<'a> {
    /// The data, and their intervals, if there are as many as a picture of so many MCUs has.
    fn of(data: &'a Data, each: usize, mcus: usize) -> Result<(&'a [u8], Self), NotMine> {
        let each = if each == 0 { mcus } else { each };
        let (plain, stops) = data.whole()?;
        if stops.len() != mcus.div_ceil(each) {
            return Err(NotMine::Data);
        }
        Ok((plain, Intervals { stops: stops.iter(), stop: 0, each, left: 0 }))
    }

    /// Count an MCU; return whether an interval begins with it, to which `bits` go then.
    #[inline(always)]
    fn begins(&mut self, bits: &mut Bits) -> Result<bool, NotMine> {
        let is_first = self.left == 0;
        if is_first {
            self.end(bits)?;
            bits.go_to(self.stop);
            self.stop = *self.stops.next().ok_or(NotMine::Data)?;
            self.left = self.each;
        }
        self.left -= 1;
        Ok(is_first)
    }

    /// Whether no bits were taken behind the current one.
    #[inline(always)]
    fn check(&self, bits: &Bits) -> Result<(), NotMine> {
        if bits.taken() > self.stop * 8 { Err(NotMine::Data) } else { Ok(()) }
    }

    /// Whether the current one was taken to its end.
    fn end(&self, bits: &Bits) -> Result<(), NotMine> {
        if bits.is_at_end(self.stop) { Ok(()) } else { Err(NotMine::Data) }
    }
}

/// Have so many bytes in each plane.
fn prepare(planes: &mut [Vec<u8>], bytes: usize) -> Result<(), NotMine> {
    for plane in planes {
        plane.clear();
        plane.try_reserve_exact(bytes).map_err(|_| NotMine::Memory)?;
        plane.resize(bytes, 0);
    }
    Ok(())
}

/// How the blocks of each component are decoded, if those of luma become `size` samples wide.
fn coders(header: &Header, size: usize) -> Result<Vec<Coder<'_>>, NotMine> {
    let (h, v) = header.sampling();
    let components = header.components.iter();
    components
        // Where chroma has fewer blocks, it becomes as many samples nevertheless.
        .map(|one| Coder::new(header, one, size * h / one.across, size * v / one.down))
        .collect()
}

/// Decode the next block of chroma into `plane` at `at`, in rows of `stride`.
#[inline(always)]
fn samples<const N: usize, const T: usize>(
    kernels: impl Kernels,
    coder: &mut Coder,
    bits: &mut Bits,
    block: &mut Block,
    plane: &mut [u8],
    at: usize,
    stride: usize,
) -> Result<(), NotMine> {
    match (coder.size.0 == N, coder.size.1 == N) {
        (true, true) => transformed::<N, N>(kernels, coder, bits, block, plane, at, stride),
        (true, false) => transformed::<N, T>(kernels, coder, bits, block, plane, at, stride),
        (false, true) => transformed::<T, N>(kernels, coder, bits, block, plane, at, stride),
        (false, false) => transformed::<T, T>(kernels, coder, bits, block, plane, at, stride),
    }
}

#[inline(always)]
fn transformed<const A: usize, const D: usize>(
    kernels: impl Kernels,
    coder: &mut Coder,
    bits: &mut Bits,
    block: &mut Block,
    plane: &mut [u8],
    at: usize,
    stride: usize,
) -> Result<(), NotMine> {
    if coder.block::<D>(bits, block)? {
        kernels.transform::<A, D>(block, &coder.steps, plane, at, stride);
    } else {
        idct::flat::<A, D>(block, &coder.steps, plane, at, stride);
    }
    Ok(())
}

/// Write the samples of these rows of the picture as its pixels.
#[inline(always)]
fn write(
    kernels: impl Kernels,
    [luma, blue, red]: [&[u8]; 3],
    stride: usize,
    numbers: std::ops::Range<usize>,
    rows: &mut Rows,
) {
    for (number, at) in numbers.zip((0..).step_by(stride)) {
        let samples = at..at + stride;
        let is_grey = rows.channels() == 1;
        let row = rows.row(number);
        if is_grey {
            row.copy_from_slice(&luma[samples][..row.len()]);
        } else {
            kernels.colours(&luma[samples.clone()], &blue[samples.clone()], &red[samples], row);
        }
    }
}
