//! Pointers that free has to refuse: each of these programs must be ended by it.

use std::alloc::GlobalAlloc;
use std::hint::black_box;

use super::{KIB, get, put};

/// Enough frees of a class for every magazine to overflow.
const MANY: usize = 20_000;

/// No block of any allocator.
static NO_BLOCK: u64 = 0;

const SIZE: usize = 64;

/// Commits the error `kind`, and then allocates and frees for long enough for it to be seen.
pub fn free<A: GlobalAlloc>(alloc: &A, kind: &str, by_another: bool) {
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
    // SAFETY: none, as above: the allocator has to end the program, here or below.
    let free = move || unsafe { libc::free(std::ptr::with_exposed_provenance_mut(address)) };
    if by_another {
        std::thread::spawn(free).join().expect("a thread that frees");
    } else {
        free();
    }
    for block in blocks {
        // SAFETY: got above; if one was freed already, that is what is tested.
        unsafe { put(alloc, block, SIZE) };
    }
}
