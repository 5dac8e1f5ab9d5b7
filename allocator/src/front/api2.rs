//! `Allocator` of the crate allocator-api2, on any Rust. With `allocator-api` it is the standard library's.
#![allow(unsafe_code)]

use crate::front::by_layout::{self, ByLayout, implement};
use crate::front::heap::Heap;
use crate::front::heap::shared::SharedHeap;
use crate::front::rust::BrkMap;
use allocator_api2::alloc::{AllocError, Allocator};
use core::alloc::Layout;
use core::ptr::NonNull;

implement!(BrkMap, Heap, SharedHeap);
