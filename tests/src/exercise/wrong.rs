//! Frees that either front has to refuse: each of these programs must be ended by it, at the latest when the block
//! leaves a magazine.

use std::alloc::GlobalAlloc;
use std::hint::black_box;
use std::sync::OnceLock;

use super::{KIB, get, put};

/// Enough frees of a class for every magazine to overflow.
const MANY: usize = 20_000;

/// No block of any allocator.
static NO_BLOCK: u64 = 0;

const SIZE: usize = 64;

/// Commits the error `kind`, and then allocates and frees for long enough for it to be seen.
pub fn free<A: GlobalAlloc + Sync>(alloc: &'static A, kind: &str, how: &[&str]) {
    if how.contains(&"handled") {
        handle_aborts(alloc);
    }
    let blocks: Vec<*mut u8> = (0..MANY).map(|_| get(alloc, SIZE)).collect();
    let wrong = match kind {
        "double" => {
            // SAFETY: none: that is what is tested. The block is freed again below.
            unsafe { put(alloc, blocks[0], SIZE) };
            blocks[0]
        }
        "interior" => blocks[0].wrapping_add(16),
        "misaligned" => blocks[0].wrapping_add(8),
        "static" => (&raw const NO_BLOCK).cast_mut().cast(),
        "freed-large" => {
            let large = get(alloc, 256 * KIB);
            // SAFETY: as above: freed here, and once more below.
            unsafe { put(alloc, large, 256 * KIB) };
            large
        }
        _ => panic!("no kind {kind}"),
    };
    let address = black_box(wrong).expose_provenance();
    let size = if kind == "freed-large" { 256 * KIB } else { SIZE };
    // SAFETY: none, as above: the allocator has to end the program, here or below.
    let free = move || unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(address), size) };
    if how.contains(&"by-another") {
        std::thread::spawn(free).join().expect("a thread that frees");
    } else {
        free();
    }
    for block in blocks {
        // SAFETY: got above; if one was freed already, that is what is tested.
        unsafe { put(alloc, block, SIZE) };
    }
}

static ALLOC: OnceLock<&'static (dyn GlobalAlloc + Sync)> = OnceLock::new();

/// Has a handler of SIGABRT use the allocator, as one does that makes a report, and end the program its own way.
pub fn handle_aborts<A: GlobalAlloc + Sync>(alloc: &'static A) {
    let _ = ALLOC.set(alloc);
    // SAFETY: the handler is a function for the life of the process.
    unsafe { libc::signal(libc::SIGABRT, on_abort as *const () as libc::sighandler_t) };
}

extern "C" fn on_abort(_: libc::c_int) {
    let work = || {
        let alloc = ALLOC.get().expect("set before the handler");
        for _ in 0..3 {
            let sizes = [16, SIZE, 96, 1000, 5000, 40 * KIB, 300 * KIB];
            // More than a magazine has, and as many again as it takes back.
            let blocks: Vec<_> = sizes
                .iter()
                .flat_map(|&size| (0..3000.min(32 * KIB * KIB / size)).map(move |_| size))
                .collect();
            let blocks: Vec<_> = blocks.into_iter().map(|size| (get(*alloc, size), size)).collect();
            for (block, size) in blocks {
                assert!(!block.is_null());
                // SAFETY: got a moment ago.
                unsafe { put(*alloc, block, size) };
            }
        }
    };
    work();
    // Other threads can go on, too.
    std::thread::spawn(work).join().expect("a thread that allocates");
    // SAFETY: a text on standard output, and the end of the process.
    unsafe {
        libc::write(1, c"handled\n".as_ptr().cast(), 8);
        libc::_exit(3);
    }
}
