//! The `override` feature on glibc: the names too that only glibc has.

crate::export_glibc_names!(crate::front::rust::StdWord);
