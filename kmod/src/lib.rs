// SPDX-License-Identifier: GPL-2.0
//! mymap: pages of the kernel in user space. All that the module decides is decided here.
//!
//! `entry → mapping, transfer → device → page → shim`; `request` and `uapi` stand alone.
//! Nothing here may panic: there is no panic handler, and a panic path shows as an undefined symbol
//! when the module is linked.
#![no_std]

mod device;
mod entry;
mod errno;
mod mapping;
mod page;
mod request;
mod shim;
mod transfer;
mod uapi;
