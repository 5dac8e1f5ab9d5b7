//! The program that this process runs, as the kernel described it: no loader is asked, so no lock is taken,
//! but by `shares_namespace`.
#![allow(unsafe_code)]

/// Whether an address lies in the executable itself, and not in a library that was loaded.
pub fn contains(addr: usize) -> bool {
    let Some(headers) = headers() else { return false };
    let Some(bias) = bias(headers) else { return false };
    loaded(headers)
        .any(|header| addr.wrapping_sub(bias.wrapping_add(header.p_vaddr as usize)) < header.p_memsz as usize)
}

/// Whether the calling library is in the program's own namespace (dlmopen(3)): the loader names the program
/// first there. One in another has a libc of its own, which is not told of the program's end. The loader's
/// list is locked for as long as it takes to look at its first entry.
pub fn shares_namespace() -> bool {
    const OURS: libc::c_int = 1;
    const ANOTHER: libc::c_int = 2;
    unsafe extern "C" fn look(
        info: *mut libc::dl_phdr_info,
        _len: usize,
        program: *mut core::ffi::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader's own entry, there while this is called.
        let first = unsafe { (*info).dlpi_phdr };
        if first.addr() == program.addr() { OURS } else { ANOTHER }
    }
    let Some(headers) = headers() else { return false };
    // SAFETY: the function reads what it is given and ends the iteration.
    unsafe { libc::dl_iterate_phdr(Some(look), headers.as_ptr().cast_mut().cast()) == OURS }
}

/// The segments that are mapped.
fn loaded(headers: &[libc::Elf64_Phdr]) -> impl Iterator<Item = &libc::Elf64_Phdr> {
    headers.iter().filter(|header| header.p_type == libc::PT_LOAD)
}

/// The executable's program headers.
fn headers() -> Option<&'static [libc::Elf64_Phdr]> {
    // SAFETY: getauxval reads the vector the kernel left on the stack; no preconditions.
    let (at, count) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    let at: *const libc::Elf64_Phdr = core::ptr::with_exposed_provenance(at as usize);
    // SAFETY: the kernel's own word for where it mapped them; they stay mapped and are not written.
    (!at.is_null()).then(|| unsafe { core::slice::from_raw_parts(at, count as usize) })
}

/// What is to be added to the addresses in the headers: what the headers themselves are away from theirs.
fn bias(headers: &[libc::Elf64_Phdr]) -> Option<usize> {
    /// Where the headers are in a file, as linkers write it: behind the ELF header.
    const OFFSET: u64 = size_of::<libc::Elf64_Ehdr>() as u64;
    let named = headers.iter().find(|header| header.p_type == libc::PT_PHDR).map(|header| header.p_vaddr);
    let found = || {
        let holder = loaded(headers)
            .find(|header| (header.p_offset..header.p_offset + header.p_filesz).contains(&OFFSET));
        holder.map(|header| header.p_vaddr + OFFSET - header.p_offset)
    };
    let address = named.or_else(found)?;
    Some((headers.as_ptr().addr()).wrapping_sub(address as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri runs no executable")]
    fn a_static_of_the_program_is_in_it_and_a_library_and_a_block_are_not() {
        static HERE: u8 = 0;
        assert!(contains(&raw const HERE as usize) && contains(contains as *const () as usize));
        let libc_is_linked_in = cfg!(target_feature = "crt-static");
        assert_eq!(contains(libc::getpid as *const () as usize), libc_is_linked_in);
        assert!(!contains(0) && !contains(Box::new(0u8).as_ref() as *const u8 as usize));
    }
}
