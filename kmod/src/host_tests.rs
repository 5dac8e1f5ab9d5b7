// SPDX-License-Identifier: GPL-2.0
//! Crate root for `rustc --test` on the host: the modules that need no kernel. `vm/test` runs it.
#![allow(dead_code)]

mod errno;
mod request;
mod uapi;
