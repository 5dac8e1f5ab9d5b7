//! What a program reads about itself, without allocating: the reading must not move what it reads.

pub use brkmap_witness::memory::{
    address_space, anonymous, data, locked, mappings, mappings_allowed, resident, threads,
};
pub use brkmap_witness::{page_size, program_break as real_break};

/// Page faults of this process that needed no I/O.
pub fn minor_faults() -> usize {
    brkmap_witness::Faults::now().minor as usize
}

/// Thread heaps that the process's brkmap has made: of the one that is linked in, or of the malloc that is preloaded,
/// which says it in `malloc_stats`.
pub fn heaps() -> u32 {
    match brkmap::Stats::read().heaps {
        0 => heaps_of_malloc(),
        linked => linked,
    }
}

#[cfg(not(target_env = "gnu"))]
fn heaps_of_malloc() -> u32 {
    panic!("this libc has no malloc_stats")
}

#[cfg(target_env = "gnu")]
fn heaps_of_malloc() -> u32 {
    unsafe extern "C" {
        fn malloc_stats();
    }
    let (mut pipe, mut text) = ([0; 2], [0u8; 4096]);
    // SAFETY: standard error is a pipe of this function's for as long as malloc_stats writes, which is less than a pipe
    // holds; at most the buffer's length is read into the buffer.
    let read = unsafe {
        assert_eq!(libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC), 0);
        let stderr = libc::dup(2);
        libc::dup2(pipe[1], 2);
        malloc_stats();
        libc::dup2(stderr, 2);
        let read = libc::read(pipe[0], text.as_mut_ptr().cast(), text.len());
        _ = [stderr, pipe[0], pipe[1]].map(|file| libc::close(file));
        read
    };
    let said = &text[..read.max(0) as usize];
    let word = b"heaps";
    let at = said.windows(word.len()).position(|window| window == word).expect("malloc_stats says no heaps");
    let digits = said[at + word.len()..].trim_ascii_start();
    digits.iter().take_while(|b| b.is_ascii_digit()).fold(0, |sum, b| sum * 10 + u32::from(b - b'0'))
}
