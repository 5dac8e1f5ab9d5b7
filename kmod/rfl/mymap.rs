// SPDX-License-Identifier: GPL-2.0
//! mymap as a pure Rust-for-Linux module, for kernels with CONFIG_RUST. No C of ours is in it.
//!
//! ```text
//!   mymap ── file ──┐                         this folder: what the C shim and entry.rs are to ../src
//!     │             ▼
//!     └────────▶  shim ──▶ kernel::bindings
//!                   ▲
//!   mapping, transfer, device, page, request   ../src, the same files: they see a `shim`, not whose
//! ```
//!
//! `file` is written in the kernel crate's safe terms. `shim` holds every use of `kernel::bindings`.

// The shared files say `pub` for "to the other modules", whatever crate they are in.
#![allow(unreachable_pub)]

use core::sync::atomic::Ordering::Relaxed;

use kernel::prelude::*;

use crate::device::{MYMAP, MYMAP_FAULT};
use crate::shim::Registration;

#[path = "../src/device.rs"]
mod device;
#[path = "../src/errno.rs"]
mod errno;
mod file;
#[path = "../src/mapping.rs"]
mod mapping;
#[path = "../src/page.rs"]
mod page;
#[path = "../src/request.rs"]
mod request;
mod shim;
#[path = "../src/transfer.rs"]
mod transfer;
#[path = "../src/uapi.rs"]
mod uapi;

module! {
    type: Mymap,
    name: "mymap",
    authors: ["The brkmap developers"],
    description: "Pages of the kernel in user space: remap_pfn_range and a fault handler, compared",
    license: "GPL",
}

/// The loaded module. Unload drops the fields from top to bottom: load, backwards.
#[pin_data]
struct Mymap {
    #[pin]
    fault: Registration<{ uapi::WAY_FAULT }>,
    #[pin]
    remap: Registration<{ uapi::WAY_REMAP }>,
    pages: Pages,
}

impl kernel::InPlaceModule for Mymap {
    /// The page first, the device after: once registered, a device may be mapped at once. What fails drops
    /// what came before it.
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            pages: Pages::made()?,
            remap <- Registration::new(),
            fault <- Registration::new(),
            _: {
                file::READY.store(true, Relaxed);
                pr_info!(
                    "loaded: /dev/mymap {} page, /dev/mymap_fault {} pages\n",
                    MYMAP.pages(),
                    MYMAP_FAULT.pages()
                );
            },
        })
    }
}

/// The pages of both devices. Dropped last, so that nobody can ask for them any more.
struct Pages(());

impl Pages {
    /// With /dev/mymap's made; those of /dev/mymap_fault come when they are touched.
    fn made() -> Result<Pages> {
        let pages = Pages(());
        for index in 0..MYMAP.pages() {
            MYMAP.page(index as u64).ok_or(ENXIO)??;
        }
        Ok(pages)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        for device in [&MYMAP, &MYMAP_FAULT] {
            // SAFETY: neither device is registered: the registrations are dropped before this, or never were
            // made. No file and so no mapping is left: each holds the module, and the kernel drops it only
            // once nobody does. After a failed load there never was one: READY is still false.
            unsafe { device.take_all() }
        }
        let (allocated, freed) = page::totals();
        let mappings = MYMAP.mappings() + MYMAP_FAULT.mappings();
        pr_info!("unloaded: {allocated} pages allocated, {freed} freed\n");
        if allocated != freed || mappings != 0 {
            pr_err!("leak: {} pages and {mappings} mappings are left\n", allocated - freed);
        }
    }
}
