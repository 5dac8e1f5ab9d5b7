//! Whose functions the process's names of the family lead to.
//!
//! They are this library's where it was preloaded or linked. Not so where a program has a malloc of its own,
//! where another library of the kind comes first, or where this one was only opened, beside libc's.
//!
//! The loader searches the objects in their order, so it is this library's unless one that stands before it
//! defines the name. What the loader wrote into this library's global offset table would not tell: where a
//! program that is not position-independent takes a function's address, every object is told the program's
//! own jump to the function.

use crate::objects::{self, Dynamic, Object};
use crate::symbols::Symbols;
use brkmap_core::c_api::{NAMES, Name};
use core::arch::asm;
use core::ffi::{CStr, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};

/// The names, in the order of `Name`.
const STRINGS: [&CStr; NAMES] = [
    c"malloc",
    c"free",
    c"calloc",
    c"realloc",
    c"reallocarray",
    c"memalign",
    c"aligned_alloc",
    c"posix_memalign",
    c"valloc",
    c"pvalloc",
    c"malloc_usable_size",
    c"free_sized",
    c"free_aligned_sized",
    c"cfree",
    c"mallinfo",
    c"mallinfo2",
];

/// What was found out: a bit for each name that leads elsewhere, and the bits below. All in one word, so that
/// whoever reads it has all of it; those who find it empty find out the same. Relaxed for that reason.
static FOUND: AtomicU32 = AtomicU32::new(0);

/// It was found out.
const KNOWN: u32 = 1 << 31;
/// The process's malloc is this library's, and with it the break.
const IS_PROCESS_MALLOC: u32 = 1 << 30;

const _: () = assert!(NAMES <= 30);

#[inline]
fn found() -> u32 {
    match FOUND.load(Ordering::Relaxed) {
        0 => find_out(),
        found => found,
    }
}

#[cold]
#[inline(never)]
fn find_out() -> u32 {
    let found = KNOWN | look();
    FOUND.store(found, Ordering::Relaxed);
    found
}

fn look() -> u32 {
    // In another namespace of the loader's (dlmopen) the malloc is not the process's, whoever has it.
    let Some(before) = objects::before(own_section()) else { return 0 };
    let mut elsewhere = 0;
    for symbols in before.filter_map(Object::symbols) {
        for (name, string) in STRINGS.iter().enumerate() {
            elsewhere |= (symbols.define(string) as u32) << name;
        }
    }
    if elsewhere & 1 << Name::Malloc as u32 == 0 {
        return elsewhere | IS_PROCESS_MALLOC;
    }
    // Behind libc nobody comes here by a name: whoever does was given this library's function, and wants
    // that.
    if first_with(c"__libc_start_main").is_some() { 0 } else { elsewhere }
}

/// The symbols of the first of the objects before this one that defines a name.
fn first_with(name: &CStr) -> Option<Symbols> {
    objects::before(own_section())?.filter_map(Object::symbols).find(|symbols| symbols.define(name))
}

/// This library's dynamic section, at the address that the linker defines.
fn own_section() -> *const Dynamic {
    let at;
    // SAFETY: computes an address.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        asm!(
            ".hidden _DYNAMIC",
            "lea {at}, [rip + _DYNAMIC]",
            at = out(reg) at,
            options(nomem, nostack, preserves_flags),
        );
        #[cfg(target_arch = "aarch64")]
        asm!(
            ".hidden _DYNAMIC",
            "adrp {at}, _DYNAMIC",
            "add {at}, {at}, #:lo12:_DYNAMIC",
            at = out(reg) at,
            options(nomem, nostack, preserves_flags),
        );
        #[cfg(target_arch = "riscv64")]
        asm!(
            ".hidden _DYNAMIC",
            "lla {at}, _DYNAMIC",
            at = out(reg) at,
            options(nomem, nostack, preserves_flags),
        );
    }
    at
}

/// While the library is being opened, if nobody asked before: the loader's lock is held for this thread then.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    found();
}

pub fn is_process_malloc() -> bool {
    found() & IS_PROCESS_MALLOC != 0
}

#[inline]
pub fn elsewhere(name: Name) -> Option<NonNull<c_void>> {
    if found() & 1 << name as u32 == 0 { None } else { function_elsewhere(name) }
}

#[cold]
#[inline(never)]
fn function_elsewhere(name: Name) -> Option<NonNull<c_void>> {
    let name = STRINGS.get(name as usize)?;
    first_with(name)?.function(name)
}
