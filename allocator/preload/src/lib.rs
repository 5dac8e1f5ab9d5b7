//! libbrkmap.so: the exported symbols.
