//! Memory in huge pages: fewer page faults where it is first written to, and fewer page walks where it is read.

/// The smallest memory that it is worth it for: what a huge page takes beyond the end is small beside it.
const MIN_BYTES: usize = 16 << 20;
/// Of the pages that memory lies in without advice, or a multiple of it.
#[cfg(target_os = "linux")]
const PAGE: usize = 1 << 16;

/// Asks for huge pages for memory that was not written to yet, where it is large. It is advice: the system may not follow it, and what the memory
/// holds stays.
pub(crate) fn advise_huge_pages<T>(memory: &mut [T]) {
    if size_of_val(memory) < MIN_BYTES {
        return;
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::mm::{Advice, madvise};
        let range = memory.as_mut_ptr_range();
        let start = range.start.addr().next_multiple_of(PAGE);
        let end = range.end.addr() / PAGE * PAGE;
        let first = range.start.with_addr(start).cast();
        // SAFETY: the pages lie within `memory`, which is borrowed for writing, and this advice changes nothing that can be read.
        let _advised = unsafe { madvise(first, end - start, Advice::LinuxHugepage) };
    }
}
