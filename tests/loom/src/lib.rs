//! The modules of allocator/src/sync with their loom models, from the allocator's own sources. They have a package of
//! their own so that the allocator does not depend on loom: whoever depends on the allocator would find loom and
//! forty packages more in their Cargo.lock.
//!
//! Without `--cfg brkmap_loom` there is nothing here.
#![cfg(brkmap_loom)]
#![allow(dead_code, unused_imports)]

#[path = "../../../allocator/src"]
mod allocator {
    pub mod sync;
}

use allocator::sync;
