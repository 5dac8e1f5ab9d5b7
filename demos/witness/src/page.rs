//! The size of a page, as the kernel tells it.

pub fn page_size() -> usize {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_PAGESZ) as usize }
}
