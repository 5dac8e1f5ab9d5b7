//! What a program reads about itself, without allocating: the reading must not move what it reads.

/// Resident bytes of this process.
pub fn resident() -> usize {
    pages_of_statm(1) * page_size()
}

/// Address space of this process, in bytes.
pub fn address_space() -> usize {
    pages_of_statm(0) * page_size()
}

/// What RLIMIT_DATA counts: private writable mappings and the break.
pub fn data() -> usize {
    pages_of_statm(5) * page_size()
}

/// Bytes of this process that are locked into memory (mlock(2)).
pub fn locked() -> usize {
    const NAME: &[u8] = b"VmLck:";
    let mut text = [0u8; 4096];
    let read = read_file(c"/proc/self/status", &mut text);
    let line = text[..read].split(|b| *b == b'\n').find(|line| line.starts_with(NAME)).unwrap_or_default();
    let digits = line.iter().position(u8::is_ascii_digit).map_or(&line[..0], |at| &line[at..]);
    number(digits) * 1024
}

fn pages_of_statm(field: usize) -> usize {
    let mut text = [0u8; 256];
    let read = read_file(c"/proc/self/statm", &mut text);
    number(text[..read].split(|b| *b == b' ').nth(field).unwrap_or_default())
}

/// Threads of this process that have not ended.
pub fn threads() -> usize {
    let mut text = [0u8; 4096];
    let read = read_file(c"/proc/self/status", &mut text);
    let word = b"\nThreads:";
    let at = text[..read].windows(word.len()).position(|window| window == word).expect("Threads");
    number(text[at + word.len()..read].trim_ascii_start())
}

/// Lines of /proc/self/maps.
pub fn mappings() -> usize {
    // SAFETY: opens a file, writes no memory.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    assert!(file >= 0, "no /proc/self/maps");
    let mut lines = 0;
    let mut text = [0u8; 4096];
    loop {
        // SAFETY: at most the buffer's length is written into the buffer.
        let read = unsafe { libc::read(file, text.as_mut_ptr().cast(), text.len()) };
        if read <= 0 {
            break;
        }
        lines += text[..read as usize].iter().filter(|b| **b == b'\n').count();
    }
    // SAFETY: the descriptor opened above, used by nobody else.
    unsafe { libc::close(file) };
    lines
}

/// Mappings that the kernel lets a process have, but for one or two.
pub fn mappings_allowed() -> usize {
    let mut text = [0u8; 64];
    let read = read_file(c"/proc/sys/vm/max_map_count", &mut text);
    number(&text[..read])
}

/// The kernel's break, asked for directly: libc's own answer is a cached copy.
pub fn real_break() -> usize {
    // SAFETY: brk(0) only asks.
    unsafe { libc::syscall(libc::SYS_brk, 0) as usize }
}

/// Page faults of this process that needed no I/O.
pub fn minor_faults() -> usize {
    // SAFETY: all-zero bytes are a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: writes one `rusage` into the one given.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage.ru_minflt as usize
}

pub fn page_size() -> usize {
    // SAFETY: reads the auxiliary vector.
    unsafe { libc::getauxval(libc::AT_PAGESZ) as usize }
}

fn read_file(path: &std::ffi::CStr, into: &mut [u8]) -> usize {
    // SAFETY: opens a file, writes no memory.
    let file = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    assert!(file >= 0, "no {path:?}");
    // SAFETY: at most the buffer's length is written into the buffer.
    let read = unsafe { libc::read(file, into.as_mut_ptr().cast(), into.len()) };
    // SAFETY: the descriptor opened above, used by nobody else.
    unsafe { libc::close(file) };
    read.max(0) as usize
}

fn number(digits: &[u8]) -> usize {
    digits.iter().take_while(|b| b.is_ascii_digit()).fold(0, |sum, b| sum * 10 + usize::from(b - b'0'))
}

/// Thread heaps that the process's brkmap has made: of the one that is linked in, or of the malloc that is preloaded,
/// which says it in `malloc_stats`.
pub fn heaps() -> u32 {
    unsafe extern "C" {
        fn malloc_stats();
    }
    let linked = brkmap::Stats::read().heaps;
    if linked > 0 {
        return linked;
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
    number(said[at + word.len()..].trim_ascii_start()) as u32
}
