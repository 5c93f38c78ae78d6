//! Decodes the commonest kind of JPEG at 1/2, 1/4 or 1/8 of its size: sequential, with 8 bits, grey
//! or YCbCr, in one scan. Whatever else a file is, or whatever is wrong with it, is not for us to
//! say.
//!
//! The functions of the C interface are called one after the other, in one thread: `begin`, `take`
//! until it has enough, `decode`, and in any case `end`. Each thread has its own data.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bits;
mod colour;
mod decode;
mod header;
mod huffman;
mod idct;
mod kernels;
mod rows;
mod scan;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bits::Data;
use crate::decode::{Planes, decode};
use crate::header::{Header, NotMine};
use crate::rows::Rows;

/// Changes with the functions below.
const VERSION: u32 = 2;
const DONE: i32 = 0;
const PANICKED: i32 = 6;

static IS_PLAIN: AtomicBool = AtomicBool::new(false);

/// A picture that is being decoded, and memory that is kept for the next.
#[derive(Default)]
struct Room {
    wanted: Option<Wanted>,
    data: Data,
    planes: Planes,
}

struct Wanted {
    header: Header,
    scale: usize,
    /// The width, the height and the channels of the picture that the caller expects.
    size: (usize, usize, usize),
}

impl Room {
    fn begin(
        &mut self,
        head: &[u8],
        most: usize,
        scale: usize,
        size: (usize, usize, usize),
    ) -> Result<(), NotMine> {
        self.end();
        let header = Header::read(head)?;
        if !matches!(scale, 2 | 4 | 8) {
            return Err(NotMine::Unknown);
        }
        let channels = if header.components.len() == 1 { 1 } else { 4 };
        if size != (header.width.div_ceil(scale), header.height.div_ceil(scale), channels) {
            return Err(NotMine::Buffer);
        }
        self.data.reserve(most)?;
        self.wanted = Some(Wanted { header, scale, size });
        Ok(())
    }

    fn decode(&mut self, rows: *const *mut u8) -> Result<(), NotMine> {
        let Room { wanted, data, planes } = self;
        let Some(Wanted { header, scale, size: (width, height, channels) }) = wanted else {
            return Err(NotMine::Buffer);
        };
        // SAFETY: the caller of `imgbatch_jpeg_decode` promises so many rows and bytes.
        let mut rows =
            unsafe { Rows::new(slice::from_raw_parts(rows, *height), *width, *channels) };
        #[cfg(target_arch = "x86_64")]
        if let Some(kernels) = kernels::Avx2::detected()
            && !IS_PLAIN.load(Ordering::Relaxed)
        {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { decode_with_avx2(kernels, header, *scale, data, planes, &mut rows) };
        }
        decode(kernels::Plain, header, *scale, data, planes, &mut rows)
    }

    fn end(&mut self) {
        self.wanted = None;
        self.data.clear();
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn decode_with_avx2(
    kernels: kernels::Avx2,
    header: &Header,
    scale: usize,
    data: &Data,
    planes: &mut Planes,
    rows: &mut Rows,
) -> Result<(), NotMine> {
    decode(kernels, header, scale, data, planes, rows)
}

/// The version of this interface.
#[unsafe(no_mangle)]
pub extern "C" fn imgbatch_version() -> u32 {
    VERSION
}

/// Do without vector instructions from now on, or no longer.
#[unsafe(no_mangle)]
pub extern "C" fn imgbatch_plain(is_plain: bool) {
    IS_PLAIN.store(is_plain, Ordering::Relaxed);
}

/// Begin with a picture: `head` is all that precedes the data of its scan, which have `most` bytes
/// at most. Return 0 if it may be decoded to `width` by `height` pixels with so many `channels` (1
/// or 4) each, or why not (`NotMine`).
///
/// # Safety
///
/// `head` has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgbatch_jpeg_begin(
    head: *const u8,
    length: usize,
    most: usize,
    scale: usize,
    width: usize,
    height: usize,
    channels: usize,
) -> i32 {
    // SAFETY: as promised above.
    let head = unsafe { slice::from_raw_parts(head, length) };
    outcome(|room| room.begin(head, most, scale, (width, height, channels)))
}

/// Take the next piece of the data; return 1 if more is wanted, otherwise 0.
///
/// # Safety
///
/// `piece` has `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgbatch_jpeg_take(piece: *const u8, length: usize) -> i32 {
    // SAFETY: as promised above.
    let piece = unsafe { slice::from_raw_parts(piece, length) };
    in_room(|room| room.data.take(piece)).unwrap_or(false).into()
}

/// Decode the data that were taken; return 0, or why that is left to another decoder (`NotMine`).
///
/// # Safety
///
/// `rows` has as many pointers to rows, and these as many bytes, as `imgbatch_jpeg_begin` was told.
/// Nobody else uses them before this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn imgbatch_jpeg_decode(rows: *const *mut u8) -> i32 {
    if rows.is_null() {
        return NotMine::Buffer as i32;
    }
    outcome(|room| room.decode(rows))
}

/// Forget the picture.
#[unsafe(no_mangle)]
pub extern "C" fn imgbatch_jpeg_end() {
    in_room(Room::end);
}

fn outcome(body: impl FnOnce(&mut Room) -> Result<(), NotMine>) -> i32 {
    match in_room(body) {
        Some(Ok(())) => DONE,
        Some(Err(reason)) => reason as i32,
        None => PANICKED,
    }
}

/// The result of `body`, unless it panics, about which nothing is printed.
fn in_room<T>(body: impl FnOnce(&mut Room) -> T) -> Option<T> {
    thread_local! {
        static ROOM: RefCell<Room> = RefCell::default();
    }
    static SILENCE: Once = Once::new();
    // The hook is that of this library's own copy of std.
    SILENCE.call_once(|| panic::set_hook(Box::new(|_| {})));
    catch_unwind(AssertUnwindSafe(|| ROOM.with_borrow_mut(body))).ok()
}
