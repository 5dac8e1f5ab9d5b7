//! With the feature `override` a program's C side is served too:
//! `cargo run --features override --example c_side`

use std::ffi::{c_char, c_void};

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

unsafe extern "C" {
    fn strdup(text: *const c_char) -> *mut c_char;
    fn malloc_usable_size(block: *mut c_void) -> usize;
    fn free(block: *mut c_void);
}

fn main() {
    let before = brkmap::Stats::read().large_bytes;
    let text = vec![b'x'; 1 << 20];
    let text = std::ffi::CString::new(text).expect("no byte of it is zero");
    // SAFETY: strdup takes a C string, and what it returns is freed once.
    unsafe {
        // libc's own function asks malloc, which is brkmap's here.
        let copy = strdup(text.as_ptr());
        assert!(!copy.is_null() && malloc_usable_size(copy.cast()) > 1 << 20);
        let stats = brkmap::Stats::read();
        println!("strdup's copy: {} KiB of brkmap's are large blocks", (stats.large_bytes - before) >> 10);
        assert!(stats.large_bytes - before >= 2 << 20, "the text, and its copy");
        free(copy.cast());
    }
}
