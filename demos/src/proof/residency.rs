//! Which pages of a mapped file are in the page cache, as mincore says.

use crate::mapping::Mapping;
use brkmap_base::error::{During, Error};
use brkmap_witness::page_size;

/// One entry a page: is it in memory, whether mapped by us or not?
///
/// Since Linux 5.2 the kernel says yes to everything unless we own the file or may write it.
pub fn resident<M: Mapping>(mapping: &M) -> Result<Vec<bool>, Error> {
    let mut pages = vec![0_u8; mapping.len().div_ceil(page_size())];
    let start = std::ptr::with_exposed_provenance_mut(mapping.addr());
    // SAFETY: the range is the mapping's, and the vector has a byte for each of its pages.
    let failed = unsafe { libc::mincore(start, mapping.len(), pages.as_mut_ptr()) };
    if failed != 0 {
        return Err(std::io::Error::last_os_error()).during("ask mincore");
    }
    Ok(pages.into_iter().map(|page| page & 1 == 1).collect())
}

pub fn count(pages: &[bool]) -> usize {
    pages.iter().filter(|&&page| page).count()
}
