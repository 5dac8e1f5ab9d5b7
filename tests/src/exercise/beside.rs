//! Two mallocs in one process: the one under test, and libc's own, by its own name or by the loader's answer.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{KIB, MIB, get, put, touch};
use crate::measure;
use crate::shadow::{self, Block};
use crate::table::Table;

pub fn main<A: GlobalAlloc + Sync>(alloc: &'static A, words: &[&str]) {
    match words {
        ["turns"] => turns(alloc),
        ["threads"] => threads(alloc),
        ["left", size] => left(alloc, super::number(size), false),
        ["left", size, "among-ours"] => left(alloc, super::number(size), true),
        ["raw-break"] => raw_break(alloc, false),
        ["raw-break", "and-sbrk"] => raw_break(alloc, true),
        _ => panic!("no scenario of two mallocs {words:?}"),
    }
}

/// libc's own malloc, whoever the process's is: as what was opened with RTLD_DEEPBIND has it.
struct Libc {
    malloc: unsafe extern "C" fn(usize) -> *mut u8,
    free: unsafe extern "C" fn(*mut u8),
    trim: Option<unsafe extern "C" fn(usize) -> i32>,
}

impl Libc {
    fn find() -> Libc {
        // SAFETY: libc is there already; the names are malloc(3)'s, with its types.
        unsafe {
            let library = libc::dlopen(c"libc.so.6".as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null(), "dlopen");
            let find = |name: &std::ffi::CStr| libc::dlsym(library, name.as_ptr());
            let (malloc, free) = (find(c"malloc"), find(c"free"));
            assert!(!malloc.is_null() && !free.is_null(), "dlsym");
            Libc {
                malloc: std::mem::transmute::<*mut _, unsafe extern "C" fn(usize) -> *mut u8>(malloc),
                free: std::mem::transmute::<*mut _, unsafe extern "C" fn(*mut u8)>(free),
                trim: std::mem::transmute::<*mut _, Option<unsafe extern "C" fn(usize) -> i32>>(find(
                    c"malloc_trim",
                )),
            }
        }
    }

    fn trim(&self) {
        if let Some(trim) = self.trim {
            // SAFETY: malloc_trim has no preconditions.
            unsafe { trim(0) };
        }
    }
}

// SAFETY: it is libc's malloc, asked for no more than the alignment that it gives.
unsafe impl GlobalAlloc for Libc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        assert!(layout.align() <= 16);
        // SAFETY: malloc takes any size.
        unsafe { (self.malloc)(layout.size()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: as the caller promises.
        unsafe { (self.free)(block) }
    }
}

/// So many blocks of a size, written to at both ends, checked, and given back.
fn some<A: GlobalAlloc>(alloc: &A, size: usize, count: usize, fill: u8) {
    let mut last: *mut u8 = null_mut();
    for _ in 0..count {
        let block = get(alloc, size);
        assert!(!block.is_null(), "memory");
        // SAFETY: live and of this size; the blocks are chained through themselves.
        unsafe {
            block.cast::<*mut u8>().write(last);
            block.add(size_of::<*mut u8>()).write(fill);
            block.add(size - 1).write(fill);
        }
        last = block;
    }
    while !last.is_null() {
        // SAFETY: the chain written above; each block is read before it is given up.
        unsafe {
            let (next, both) = (
                last.cast::<*mut u8>().read(),
                [last.add(size_of::<*mut u8>()).read(), last.add(size - 1).read()],
            );
            assert_eq!(both, [fill; 2], "a block was written to by another");
            put(alloc, last, size);
            last = next;
        }
    }
}

/// Blocks of three in turn, of all sizes: of the one under test, of the process's malloc, and of libc's own. With
/// more threads as time goes on.
fn turns<A: GlobalAlloc + Sync>(alloc: &'static A) {
    let libcs = Libc::find();
    let body = |owner: u64| {
        let mut blocks = Vec::new();
        let mut random = crate::random::Random::new(owner);
        for turn in 0..12_000 {
            let layout = Layout::from_size_align(random.size(256 * KIB), 16).expect("sizes here are small");
            let block = match turn % 3 {
                0 => Block::new(alloc, layout, owner, false),
                1 => Block::new(&std::alloc::System, layout, owner, false),
                _ => Block::new(&libcs, layout, owner, false),
            };
            blocks.push((turn % 3, block.expect("memory")));
            if blocks.len() > 300 {
                let (whose, block) = blocks.swap_remove(random.below(300));
                give(alloc, &libcs, whose, block);
            }
        }
        blocks.into_iter().for_each(|(whose, block)| give(alloc, &libcs, whose, block));
    };
    for threads in [1, 3] {
        std::thread::scope(|scope| {
            (1..threads).for_each(|owner| _ = scope.spawn(move || body(owner)));
            body(0);
        });
    }
}

fn give<A: GlobalAlloc>(alloc: &A, libcs: &Libc, whose: usize, block: Block) {
    match whose {
        0 => block.free(alloc),
        1 => block.free(&std::alloc::System),
        _ => block.free(libcs),
    }
}

/// libc's own malloc in one thread, growing and trimming all the time, and the one under test in others.
fn threads<A: GlobalAlloc + Sync>(alloc: &'static A) {
    let libcs = Libc::find();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for fill in 1..3 {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    some(alloc, 60_000, 60, fill);
                    // SAFETY: no preconditions. The process's malloc, which is the one under test in C's front.
                    unsafe { super::c_api::malloc_trim(0) };
                }
            });
        }
        for _ in 0..3000 {
            some(&libcs, 100_000, 20, 9);
            libcs.trim();
        }
        stop.store(true, Ordering::Relaxed);
    });
    shadow::storm(alloc, 2, 5000, 3);
}

/// What of 300 MiB of the process's malloc is resident once all of it was freed, with blocks of the allocator
/// under test got and freed among them, or none. Prints the bytes.
fn left<A: GlobalAlloc>(alloc: &A, size: usize, among_ours: bool) {
    const TOTAL: usize = 300 * MIB;
    const OURS: usize = 3000;
    let count = TOTAL / size;
    // One for each 64 KiB of theirs.
    let every = if among_ours { (64 * KIB).div_ceil(size) } else { usize::MAX };
    let before = measure::resident();
    let (mut theirs, mut own) = (Table::<*mut u8>::new(count), Table::<*mut u8>::new(count));
    for at in 0..count {
        // SAFETY: malloc takes any size.
        theirs[at] = unsafe { libc::malloc(size) }.cast();
        assert!(!theirs[at].is_null());
        // SAFETY: live and of this size.
        unsafe { touch(theirs[at], size) };
        if at % every == every - 1 {
            own[at] = get(alloc, OURS);
            assert!(!own[at].is_null());
        }
    }
    let peak = measure::resident() - before;
    assert!(peak >= TOTAL, "{} MiB at the peak: this test measures nothing", peak / MIB);
    for block in own.iter().filter(|block| !block.is_null()) {
        // SAFETY: got above, given up here.
        unsafe { put(alloc, *block, OURS) };
    }
    for block in theirs.iter() {
        // SAFETY: got above, given up here.
        unsafe { libc::free(block.cast()) };
    }
    drop((theirs, own));
    println!("{}", measure::resident().saturating_sub(before));
}

/// The program moves the break by the system call, or by sbrk too, between two growths of the allocator: what it
/// got stays its own, and is not taken with what is given back.
fn raw_break<A: GlobalAlloc + Sync>(alloc: &'static A, and_sbrk: bool) {
    const LEN: usize = MIB;
    let mut own = [null_mut::<u8>(); 12];
    let mut blocks = Vec::new();
    for (turn, own) in own.iter_mut().enumerate() {
        let at = measure::real_break();
        *own = if and_sbrk && turn % 3 == 2 {
            // SAFETY: new memory at the break.
            unsafe { libc::sbrk(LEN as libc::intptr_t) }.cast()
        } else {
            // SAFETY: as above.
            let moved = unsafe { libc::syscall(libc::SYS_brk, at + LEN) };
            assert_eq!(moved as usize, at + LEN, "the break can be moved");
            std::ptr::with_exposed_provenance_mut(at)
        };
        assert_ne!(own.addr(), usize::MAX, "sbrk");
        // SAFETY: the program's own memory.
        unsafe { own.write_bytes(0x5a, LEN) };
        for _ in 0..40 {
            let layout = Layout::from_size_align(100 * KIB, 16).expect("sizes here are small");
            blocks.push(Block::new(alloc, layout, turn as u64, false).expect("memory"));
        }
    }
    blocks.into_iter().for_each(|block| block.free(alloc));
    // SAFETY: no preconditions.
    unsafe { super::c_api::malloc_trim(0) };
    shadow::storm(alloc, 1, 20_000, 5);
    for (turn, own) in own.iter().enumerate() {
        // SAFETY: the program's own, which it has not given back.
        let bytes = unsafe { std::slice::from_raw_parts(*own, LEN) };
        assert!(bytes.iter().all(|byte| *byte == 0x5a), "memory of the program's was changed (turn {turn})");
    }
}
