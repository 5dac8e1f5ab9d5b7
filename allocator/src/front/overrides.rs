//! The `override` feature: malloc and its family in the Rust program itself, so that its C
//! dependencies are served too and the break is owned.
#![allow(unsafe_code)]

use crate::front::c::Front;
use crate::front::rust::StdWord;

/// The program's own definitions come before all others.
impl Front for StdWord {}

crate::export_c_api!(StdWord);
