//! Whether the fences of an edge are there, so that its models can leave them out and see it fail.
#![forbid(unsafe_code)]

pub trait Fences {
    const FENCES: bool;
}

pub struct Strong;
impl Fences for Strong {
    const FENCES: bool = true;
}

#[cfg(all(test, brkmap_loom))]
pub struct Without;
#[cfg(all(test, brkmap_loom))]
impl Fences for Without {
    const FENCES: bool = false;
}
