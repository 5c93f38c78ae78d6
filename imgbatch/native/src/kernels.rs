//! What takes most of the time besides Huffman codes, as a processor does it best.

use crate::scan::{Block, Steps};
use crate::{colour, idct};

/// Arithmetic with the same results everywhere.
pub trait Kernels: Copy {
    /// See `idct::plain`.
    fn transform<const A: usize, const D: usize>(
        self,
        block: &Block,
        steps: &Steps,
        plane: &mut [u8],
        at: usize,
        stride: usize,
    );
    /// See `colour::row`.
    fn colours(self, luma: &[u8], blue: &[u8], red: &[u8], pixels: &mut [u8]);
}

/// For any processor.
#[derive(Clone, Copy)]
pub struct Plain;

impl Kernels for Plain {
    #[inline(always)]
    fn transform<const A: usize, const D: usize>(
        self,
        block: &Block,
        steps: &Steps,
        plane: &mut [u8],
        at: usize,
        stride: usize,
    ) {
        idct::plain::<A, D>(block, steps, plane, at, stride);
    }

    #[inline(always)]
    fn colours(self, luma: &[u8], blue: &[u8], red: &[u8], pixels: &mut [u8]) {
        colour::row(luma, blue, red, pixels);
    }
}

/// For processors with AVX2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub struct Avx2(());

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    /// This, if the processor has it, and what comes with it.
    pub fn detected() -> Option<Avx2> {
        let all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt");
        all.then_some(Avx2(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Kernels for Avx2 {
    #[inline(always)]
    fn transform<const A: usize, const D: usize>(
        self,
        block: &Block,
        steps: &Steps,
        plane: &mut [u8],
        at: usize,
        stride: usize,
    ) {
        // SAFETY: there is no `Avx2` unless the processor has it.
        unsafe { crate::avx2::transform::<A, D>(block, steps, plane, at, stride) }
    }

    #[inline(always)]
    fn colours(self, luma: &[u8], blue: &[u8], red: &[u8], pixels: &mut [u8]) {
        // SAFETY: as above.
        unsafe { crate::avx2::colours(luma, blue, red, pixels) }
    }
}
