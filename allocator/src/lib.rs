//! brkmap: a memory allocator for Linux. **brk** for the small, m**map** for the large.
