//! What a small program does, without the scenarios that it does not do: what an allocator maps shows beside what the
//! program is.

use std::alloc::GlobalAlloc;

use super::{get, own_limits};
use crate::measure;

/// Runs what the command line names.
pub fn main<A: GlobalAlloc>(alloc: &A) {
    match std::env::args().nth(1).as_deref() {
        Some("one-block") => one_block(alloc),
        Some("lock-all-until-refused") => own_limits::lock_until_refused(alloc),
        other => panic!("nothing small is {other:?}"),
    }
}

/// Takes a small block, and prints its address space.
fn one_block<A: GlobalAlloc>(alloc: &A) {
    let block = get(alloc, 24);
    assert!(!block.is_null());
    println!("{}", measure::address_space());
}
