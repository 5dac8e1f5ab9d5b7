//! The `override` feature on glibc: the names too that only glibc has.
#![allow(unsafe_code)]

crate::export_glibc_names!(crate::front::rust::StdWord);
