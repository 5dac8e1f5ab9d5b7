//! The objects that the loader has mapped, in the order in which it searches them for a name.
//!
//! Read from the list that debuggers read, without the loader's lock and without a call into it: who holds
//! that lock may be waiting for malloc. What stands before this library in the list does not go while it is
//! read: what the program was started with never goes, and while this library is being opened the loader is
//! at work for the thread that reads.

use crate::symbols::{Hash, Symbol, Symbols};
use core::ffi::{c_char, c_int};

/// What a debugger finds at DT_DEBUG (struct r_debug of link.h).
#[repr(C)]
struct Rendezvous {
    version: c_int,
    first: *const Object,
}

/// A mapped object (struct link_map of link.h).
#[repr(C)]
pub struct Object {
    /// What is added to the addresses in its file.
    bias: usize,
    name: *const c_char,
    dynamic: *const Dynamic,
    next: *const Object,
}

/// An entry of an object's dynamic section (elf.h).
#[repr(C)]
pub struct Dynamic {
    tag: isize,
    value: usize,
}

const DT_NULL: isize = 0;
const DT_HASH: isize = 4;
const DT_STRTAB: isize = 5;
const DT_SYMTAB: isize = 6;
const DT_DEBUG: isize = 21;
const DT_GNU_HASH: isize = 0x6fff_fef5;

/// The entries of a dynamic section.
///
/// # Safety
/// It is one, of a mapped object.
unsafe fn entries(section: *const Dynamic) -> impl Iterator<Item = &'static Dynamic> {
    // SAFETY: the section ends with a DT_NULL, and so does the iteration.
    (0..).map(move |at| unsafe { &*section.add(at) }).take_while(|entry| entry.tag != DT_NULL)
}

/// The objects that stand before the one with this dynamic section, the program first. None where that one is
/// not listed: the list is of the program's own namespace.
pub fn before(section: *const Dynamic) -> Option<impl Iterator<Item = &'static Object>> {
    let is_other = move |object: &&Object| !core::ptr::eq(object.dynamic, section);
    let first = first()?;
    following(first).any(|object| !is_other(&object)).then(|| following(first).take_while(is_other))
}

/// The program. None where the loader shows no list.
fn first() -> Option<&'static Object> {
    // SAFETY: the program's own section, and what the loader wrote there, which lives as long as the process.
    unsafe {
        let debug = entries(program_section()?).find(|entry| entry.tag == DT_DEBUG)?;
        (debug.value as *const Rendezvous).as_ref()?.first.as_ref()
    }
}

fn following(first: &'static Object) -> impl Iterator<Item = &'static Object> {
    // SAFETY: null, or an object of the list; see the module's head.
    core::iter::successors(Some(first), |object| unsafe { object.next.as_ref() })
}

/// The program's dynamic section, by the headers that the kernel tells of (or a loader that was run as a
/// program).
fn program_section() -> Option<*const Dynamic> {
    // SAFETY: getauxval has no preconditions.
    let (at, count) = unsafe { (libc::getauxval(libc::AT_PHDR), libc::getauxval(libc::AT_PHNUM)) };
    if at == 0 {
        return None;
    }
    // SAFETY: the program's headers, which stay mapped.
    let headers = unsafe { core::slice::from_raw_parts(at as *const libc::Elf64_Phdr, count as usize) };
    let address =
        |kind| headers.iter().find(|header| header.p_type == kind).map(|header| header.p_vaddr as usize);
    // Without the first the program is where its file says.
    let bias = address(libc::PT_PHDR).map_or(0, |file| (at as usize).wrapping_sub(file));
    Some(address(libc::PT_DYNAMIC)?.wrapping_add(bias) as *const Dynamic)
}

impl Object {
    /// Its table of symbols. None where it lacks one that can be searched.
    pub fn symbols(&self) -> Option<Symbols> {
        let (mut table, mut strings, mut old, mut gnu) = (0, 0, 0, 0);
        // SAFETY: an object's dynamic section.
        for entry in unsafe { entries(self.dynamic) } {
            let kept = match entry.tag {
                DT_SYMTAB => &mut table,
                DT_STRTAB => &mut strings,
                DT_HASH => &mut old,
                DT_GNU_HASH => &mut gnu,
                _ => continue,
            };
            // glibc has added the bias where it can write, musl never has.
            *kept = if entry.value < self.bias { entry.value + self.bias } else { entry.value };
        }
        let hash = match (gnu, old) {
            (0, 0) => return None,
            (0, old) => Hash::Old(old as *const u32),
            (gnu, _) => Hash::Gnu(gnu as *const u32),
        };
        if table == 0 || strings == 0 {
            return None;
        }
        // SAFETY: as its dynamic section says; see the module's head.
        Some(unsafe { Symbols::at(self.bias, table as *const Symbol, strings as *const c_char, hash) })
    }
}
