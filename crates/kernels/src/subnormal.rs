use std::marker::PhantomData;

/// As long as it lives, this thread's vector instructions treat subnormal numbers as zero, as training frameworks do:
/// gradients that fade through a long sequence become subnormal, and the processor computes with those a hundred times
/// slower. The mode before comes back when it is dropped. On processors other than x86-64 it does nothing.
///
/// Held around loops of this workspace's own, operation by operation, so that no caller's thread is left in that mode and
/// the same loops give the same bits on any thread.
#[derive(Debug)]
pub struct FlushSubnormals {
    #[cfg(target_arch = "x86_64")]
    before: u32,
    /// Of one thread.
    not_send: PhantomData<*const ()>,
}

impl FlushSubnormals {
    /// Sets the mode.
    #[expect(clippy::new_without_default, reason = "it has an effect")]
    pub fn new() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            const FLUSH_TO_ZERO: u32 = 1 << 15;
            const DENORMALS_ARE_ZERO: u32 = 1 << 6;
            let before = control::read();
            control::write(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
            Self { before, not_send: PhantomData }
        }
        #[cfg(all(target_arch = "x86_64", miri))]
        return Self { before: 0, not_send: PhantomData };
        #[cfg(not(target_arch = "x86_64"))]
        Self { not_send: PhantomData }
    }
}

impl Drop for FlushSubnormals {
    fn drop(&mut self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        control::write(self.before);
    }
}

/// The SSE control register of this thread, MXCSR.
#[cfg(all(target_arch = "x86_64", not(miri)))]
mod control {
    pub(super) fn read() -> u32 {
        let mut control: u32 = 0;
        // SAFETY: stmxcsr writes the register to a live u32, and changes nothing else.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut control, options(nostack)) };
        control
    }

    /// Only with what [`read`] gave, and the two bits that flush.
    pub(super) fn write(control: u32) {
        // SAFETY: ldmxcsr reads a live u32, and both bits are defined on every x86-64 processor. That floating-point
        // operations follow under another control word than the default is what Rust calls undefined (`_mm_setcsr`): the
        // compiler may take the default for granted. What it does with that is to fold constants and to move operations
        // on registers, so the worst that can come of it is a subnormal result that was not flushed: other last bits, but
        // no access to memory, as no unsafe code in this workspace depends on the value of a floating-point number. The
        // assembly clobbers memory, so the loads and stores of the loops between two writes stay between them. The
        // alternative, a comparison and selection in every kernel, would not reach those of the libraries.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &control, options(nostack)) };
    }
}

#[cfg(all(test, target_arch = "x86_64", not(miri)))]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn the_mode_ends_with_the_guard() {
        let halved = || {
            let mut x = [f32::MIN_POSITIVE; 16];
            map(&mut x, |x| x * 0.5);
            x[15]
        };
        // Without the flags of what happened.
        let mode = || control::read() & !0x3f;
        let before = mode();
        assert!(halved() > 0.0);
        {
            let _flush = FlushSubnormals::new();
            assert_eq!(halved(), 0.0);
            drop(FlushSubnormals::new());
            assert_eq!(halved(), 0.0, "an inner one leaves the outer one's mode");
        }
        assert!(halved() > 0.0);
        let _ = std::panic::catch_unwind(|| {
            let _flush = FlushSubnormals::new();
            std::panic::resume_unwind(Box::new(()));
        });
        assert_eq!(mode(), before);
    }
}
