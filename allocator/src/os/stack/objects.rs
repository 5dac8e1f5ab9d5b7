//! Which mapped object an address is in, and where its unwind table is.
//!
//! glibc answers from 2.35 on, without a lock (`_dl_find_object`). Elsewhere the loader was asked before the
//! first sample, and what it said is kept: on musl of all objects, since none ever goes; on an older glibc of
//! those that cannot go, which are the program, libc, and what this code is in.
#![allow(unsafe_code)]

use crate::base::checked::Checked;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicUsize, Ordering};

/// A mapped object.
#[derive(Clone, Copy)]
pub struct Object {
    start: usize,
    pub end: usize,
    /// Where its `.eh_frame_hdr` is.
    pub header: usize,
    /// What tells it from another that may be at the same place later.
    pub identity: usize,
}

impl Object {
    /// The object that an address is in. None where there is none, or it has no table.
    pub fn of(pc: usize) -> Option<Object> {
        match loader::find_object() {
            Some(find) => asked(find, pc),
            None => kept(pc),
        }
    }

    pub fn contains(&self, pc: usize) -> bool {
        (self.start..self.end).contains(&pc)
    }
}

/// glibc's struct dl_find_object (dlfcn.h).
#[repr(C)]
struct Found {
    flags: u64,
    start: usize,
    end: usize,
    link_map: usize,
    header: usize,
    reserved: [u64; 9],
}

fn asked(find: loader::Find, pc: usize) -> Option<Object> {
    let mut found = Found { flags: 0, start: 0, end: 0, link_map: 0, header: 0, reserved: [0; 9] };
    // SAFETY: glibc's own function, which takes any address and writes its answer.
    let known = unsafe { find(core::ptr::without_provenance_mut(pc), (&raw mut found).cast()) } == 0;
    let object =
        Object { start: found.start, end: found.end, header: found.header, identity: found.link_map };
    (known && object.header != 0).then_some(object)
}

/// Objects that are kept at most.
const MOST: usize = 128;

/// Start, end and header of each; a start of 0 ends them.
static KEPT: [Checked<AtomicUsize, MOST>; 3] = [const { Checked([const { AtomicUsize::new(0) }; MOST]) }; 3];

fn kept(pc: usize) -> Option<Object> {
    let [starts, ends, headers] = &KEPT;
    // Acquire: of a start that is there the end and the header are.
    let starts = starts.0.iter().map(|start| start.load(Ordering::Acquire)).take_while(|&start| start != 0);
    let (at, start) =
        starts.enumerate().find(|&(at, start)| (start..ends[at].load(Ordering::Relaxed)).contains(&pc))?;
    let (end, header) = (ends[at].load(Ordering::Relaxed), headers[at].load(Ordering::Relaxed));
    Some(Object { start, end, header, identity: start })
}

/// Asks the loader, where it does not answer while a sample is taken.
pub fn prepare() {
    if loader::find_object().is_none() {
        // SAFETY: the function reads what it is given. The caller holds no lock.
        unsafe { libc::dl_iterate_phdr(Some(keep), core::ptr::null_mut()) };
    }
}

unsafe extern "C" fn keep(info: *mut libc::dl_phdr_info, _len: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader's own entry, there while this is called.
    let info = unsafe { &*info };
    // SAFETY: as above.
    let headers = unsafe { core::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let at = |address: u64| (info.dlpi_addr as usize).wrapping_add(address as usize);
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let start = loaded().map(|header| at(header.p_vaddr)).min();
    let end = loaded().map(|header| at(header.p_vaddr + header.p_memsz)).max();
    let table = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME);
    let (Some(start), Some(end), Some(table)) = (start, end, table) else { return 0 };
    let stays = |function: *const ()| (start..end).contains(&function.addr());
    let may_go = cfg!(target_env = "gnu")
        && ![libc::dl_iterate_phdr as *const (), keep as *const ()].into_iter().any(stays)
        && !crate::os::executable::contains(start);
    if !may_go {
        enter([start, end, at(table.p_vaddr)]);
    }
    0
}

fn enter(words: [usize; 3]) {
    let [starts, ends, headers] = &KEPT;
    let [start, end, header] = words;
    // Threads that begin a profile one behind the other: nobody else enters any.
    let free = |(_, kept): &(usize, &AtomicUsize)| [0, start].contains(&kept.load(Ordering::Relaxed));
    if let Some((at, place)) = starts.0.iter().enumerate().find(free) {
        ends[at].store(end, Ordering::Relaxed);
        headers[at].store(header, Ordering::Relaxed);
        // Release: behind the other two.
        place.store(start, Ordering::Release);
    }
}

#[cfg(target_env = "gnu")]
mod loader {
    use crate::os::weak::weak;
    use core::ffi::{c_int, c_void};

    /// glibc's function, which writes its answer to where the second argument leads.
    pub type Find = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;

    /// glibc's function, if it has one (2.35).
    pub fn find_object() -> Option<Find> {
        let function = weak!("_dl_find_object");
        // SAFETY: null, or a function of this type: glibc promises it for the name.
        unsafe { core::mem::transmute::<*const (), Option<Find>>(function) }
    }
}

#[cfg(not(target_env = "gnu"))]
mod loader {
    use core::ffi::{c_int, c_void};

    /// glibc's function, which writes its answer to where the second argument leads.
    pub type Find = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;

    pub fn find_object() -> Option<Find> {
        None
    }
}
