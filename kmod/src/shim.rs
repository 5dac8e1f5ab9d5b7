// SPDX-License-Identifier: GPL-2.0
//! What the C shim gives: kernel macros, inline functions and struct members behind plain functions.
//! `mymap_shim.h` holds the same list for C.

use crate::request::Request;

/// The only target is x86-64, and the shim asserts it. A constant, so that no division can be by zero.
pub const PAGE_SIZE: usize = 4096;

/// `struct page`. Never looked into here.
#[repr(C)]
pub struct RawPage {
    _opaque: [u8; 0],
}

/// `struct vm_area_struct`. Never looked into here.
#[repr(C)]
pub struct Vma {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    /// A zeroed page with one reference, or null.
    pub safe fn shim_page_alloc() -> *mut RawPage;
    /// Takes one more reference to a live page, and gives it back.
    pub fn shim_page_get(page: *mut RawPage) -> *mut RawPage;
    /// Drops one reference.
    pub fn shim_page_put(page: *mut RawPage);
    /// Where the kernel sees the page; valid as long as the page is.
    pub fn shim_page_address(page: *mut RawPage) -> *mut u8;
    /// The page frame number.
    pub fn shim_page_pfn(page: *mut RawPage) -> u64;

    /// What the VMA asks for.
    pub fn shim_vma_request(vma: *mut Vma) -> Request;
    /// Takes away what mprotect could add later: execution always, writing unless `may_write`.
    pub fn shim_vma_limit(vma: *mut Vma, may_write: bool);
    /// `remap_pfn_range` with the VMA's own protection.
    pub fn shim_vma_remap(vma: *mut Vma, start: u64, pfn: u64, size: usize) -> i32;

    /// Copies to the process; returns the number of bytes that did *not* fit its memory.
    pub fn shim_copy_to_user(to: u64, from: *const u8, len: usize) -> usize;
    /// Copies from the process; returns the number of bytes that could not be read.
    pub fn shim_copy_from_user(to: *mut u8, from: u64, len: usize) -> usize;

    /// Makes /dev/mymap or /dev/mymap_fault appear. From here on every callback may come.
    pub safe fn shim_register(way: u32) -> i32;
    /// Takes it away again.
    pub safe fn shim_deregister(way: u32);

    pub safe fn shim_log_loaded(remap_pages: u32, fault_pages: u32);
    pub safe fn shim_log_unloaded(allocated: u32, freed: u32, mappings: u32);
}
