//! `Allocator` of the standard library, as nightly has it.
#![allow(unsafe_code)]

use crate::front::by_layout::{self, ByLayout, implement};
use crate::front::heap::Heap;
use crate::front::heap::shared::SharedHeap;
use crate::front::rust::BrkMap;
use core::alloc::{AllocError, Allocator, Layout};
use core::ptr::NonNull;

implement!(BrkMap, Heap, SharedHeap);
