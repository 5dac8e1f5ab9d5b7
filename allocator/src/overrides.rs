//! The `override` feature: malloc and its family in the Rust program itself, so that its C
//! dependencies are served too and the break is owned.

crate::export_c_api!(crate::global::StdWord);
