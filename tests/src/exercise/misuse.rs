//! Programs with one memory error each, over libc's malloc. What becomes of it: the program is ended, or goes on with
//! a heap in order ("tolerated"), or with one in which two blocks overlap or somebody's bytes changed ("corrupt").

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::table::Table;

/// Live blocks at the time of the error, and how many are taken after it.
const LIVE: usize = 200;
const LATER: usize = 3000;
/// Of larger blocks fewer are taken.
const LATER_BYTES: usize = 64 << 20;

/// No block of any allocator, and shaped like a list through freed blocks.
static ELSEWHERE: [AtomicUsize; 64] = [const { AtomicUsize::new(1) }; 64];

fn get(size: usize) -> *mut u8 {
    // SAFETY: no preconditions. The compiler must not see what becomes of the block.
    let block = black_box(unsafe { libc::malloc(size) }).cast::<u8>();
    assert!(!block.is_null(), "no memory for {size} bytes");
    block
}

/// Frees whatever it is given: that is what is tested.
fn free(block: *mut u8) {
    // SAFETY: none. The allocator has to bear it or to end the program.
    unsafe { libc::free(black_box(block).cast()) }
}

fn realloc(block: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: as for `free`.
    black_box(unsafe { libc::realloc(black_box(block).cast(), size) }).cast()
}

fn usable(block: *mut u8) -> usize {
    // SAFETY: as for `free`.
    unsafe { libc::malloc_usable_size(black_box(block).cast()) }
}

/// Has another thread free an address, and waits for it.
fn free_by_another(block: *mut u8) {
    free_all_by_another(&[block.expose_provenance()]);
}

fn free_all_by_another(addresses: &[usize]) {
    std::thread::scope(|scope| {
        scope.spawn(|| addresses.iter().for_each(|&one| free(std::ptr::with_exposed_provenance_mut(one))));
    });
}

/// Writes where nothing should be written.
fn write(at: *mut u8, bytes: usize) {
    for offset in 0..bytes {
        // SAFETY: none: that is what is tested. Volatile, or the compiler would see that nobody reads it.
        unsafe { at.wrapping_add(offset).write_volatile(0x41) };
    }
}

/// Blocks that are filled, and must stay so.
struct Filled {
    blocks: Table<*mut u8>,
    size: usize,
    seed: u64,
}

// SAFETY: the blocks are one thread's at a time.
unsafe impl Send for Filled {}

impl Filled {
    fn new(count: usize, size: usize, seed: u64) -> Filled {
        let mut filled = Filled { blocks: Table::new(count), size, seed };
        for at in 0..count {
            filled.blocks[at] = get(size);
            filled.fill(at);
        }
        filled
    }

    fn byte(&self, at: usize, offset: usize) -> u8 {
        (self.seed.wrapping_mul(31).wrapping_add(at as u64 * 7 + (at >> 8) as u64) as u8) ^ (offset as u8)
    }

    fn fill(&self, at: usize) {
        for offset in 0..self.size {
            // SAFETY: a block of this size, as far as the allocator is right.
            unsafe { self.blocks[at].add(offset).write(self.byte(at, offset)) };
        }
    }

    /// Takes a block out, which the test does wrong to.
    fn take(&mut self, at: usize) -> *mut u8 {
        std::mem::replace(&mut self.blocks[at], std::ptr::null_mut())
    }

    fn addresses(&self) -> Vec<usize> {
        self.blocks.iter().map(|one| one.expose_provenance()).collect()
    }

    fn are_whole(&self) -> bool {
        (0..self.blocks.len()).filter(|&at| !self.blocks[at].is_null()).all(|at| {
            // SAFETY: as in `fill`.
            (0..self.size)
                .all(|offset| unsafe { self.blocks[at].add(offset).read() } == self.byte(at, offset))
        })
    }

    fn free(&self) {
        self.blocks.iter().for_each(|&block| free(block));
    }
}

/// What one error is done to: a block among others that stay live.
struct Scene {
    live: Filled,
    block: *mut u8,
    size: usize,
}

impl Scene {
    fn new(size: usize) -> Scene {
        let mut live = Filled::new(LIVE, size, 1);
        let block = live.take(LIVE / 2);
        Scene { live, block, size }
    }

    /// Takes many blocks, here and in another thread, and looks whether all that is live is as it was filled.
    fn is_corrupt(&self) -> bool {
        let (later, size) = (LATER.min(LATER_BYTES / self.size), self.size);
        let here = Filled::new(later, size, 2);
        let there = std::thread::scope(|scope| {
            let thread = scope.spawn(move || Filled::new(later / 3, size, 3));
            thread.join().expect("a thread that allocates")
        });
        let whole = [&self.live, &here, &there].iter().all(|filled| filled.are_whole());
        if !whole || ELSEWHERE.iter().any(|word| word.load(Ordering::Relaxed) != 1) {
            return true;
        }
        // The error may show when they come back.
        [&self.live, &here, &there].iter().for_each(|filled| filled.free());
        false
    }
}

/// Commits the error `name` on blocks of a size, and says what became of the heap if the program still runs.
pub fn commit(name: &str, size: usize) {
    let scene = Scene::new(size);
    let block = scene.block;
    match name.split_once('-') {
        Some(("double", how)) => free_twice(&scene, how),
        Some(("free", how)) => free_none(&scene, how),
        Some(("written", how)) => write_to_free(&scene, how),
        Some(("overflow", how)) => write_beyond(&scene, how),
        Some(("realloc", "freed")) => {
            free(block);
            realloc(block, size * 3);
        }
        Some(("realloc", "interior")) => _ = realloc(block.wrapping_add(16), size * 3),
        Some(("realloc", "static")) => _ = realloc(ELSEWHERE.as_ptr().cast_mut().cast(), size * 3),
        Some(("usable", "interior")) => _ = black_box(usable(block.wrapping_add(16))),
        Some(("no", "error")) => free(block),
        _ => panic!("no error {name}"),
    }
    println!("{}", if scene.is_corrupt() { "corrupt" } else { "tolerated" });
}

fn free_twice(scene: &Scene, how: &str) {
    let Scene { block, size, .. } = *scene;
    let many = |count| Filled::new(count, size, 4);
    match how {
        "at-once" => free(block),
        "one-between" => {
            let others = many(1);
            free(block);
            others.free();
        }
        "many-between" => {
            let others = many(LATER.min(LATER_BYTES / size));
            free(block);
            others.free();
        }
        "by-another" => {
            // The thread is there before: to start one takes blocks, and maybe this one.
            let (freed, address) = (AtomicBool::new(false), block.expose_provenance());
            return std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !freed.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    free(std::ptr::with_exposed_provenance_mut(address));
                });
                free(block);
                freed.store(true, Ordering::Release);
            });
        }
        "by-two-others" => {
            free_by_another(block);
            return free_by_another(block);
        }
        "first-by-another" => free_by_another(block),
        "many-by-another" => {
            let others = many(600.min(LATER_BYTES / size));
            free_all_by_another(&[&[block.expose_provenance()], &others.addresses()[..]].concat());
        }
        "of-ended-thread" => {
            let made = std::thread::scope(|scope| {
                scope.spawn(move || get(size).expose_provenance()).join().expect("a thread that allocates")
            });
            let made = std::ptr::with_exposed_provenance_mut(made);
            free(made);
            return free(made);
        }
        "in-child" => {
            free(block);
            // SAFETY: the child does nothing but free and exit.
            match unsafe { libc::fork() } {
                0 => {
                    free(block);
                    // SAFETY: ends the child and nothing else.
                    unsafe { libc::_exit(0) }
                }
                child => return end_as(child),
            }
        }
        "cleared" => {
            // SAFETY: no preconditions.
            let cleared = black_box(unsafe { libc::calloc(1, size) }).cast();
            free(cleared);
            return free(cleared);
        }
        "aligned" => {
            // SAFETY: the alignment is a power of two, the size a multiple of it.
            let aligned = black_box(unsafe { libc::aligned_alloc(64, size.next_multiple_of(64)) }).cast();
            free(aligned);
            return free(aligned);
        }
        "after-realloc" => {
            let moved = realloc(block, size * 4 + 64);
            if moved == block {
                // It grew where it was: no error to be had.
                free(moved);
            }
        }
        "large" => {
            let large = get(1 << 20);
            free(large);
            return free(large);
        }
        _ => panic!("no way {how}"),
    }
    free(block);
}

/// Ends as a child ended.
fn end_as(child: libc::pid_t) {
    let mut status = 0;
    // SAFETY: the status is this function's; the child is this process's.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) {
        // SAFETY: a signal to this process itself.
        unsafe { libc::raise(libc::WTERMSIG(status)) };
    }
}

fn free_none(scene: &Scene, how: &str) {
    let Scene { block, size, .. } = *scene;
    let on_stack = [0usize; 64];
    let of = |address: usize| std::ptr::with_exposed_provenance_mut(address);
    // Blocks of a size stand in pieces of 64 KiB, of which the newest is not handed out whole.
    let end = (scene.live.blocks[LIVE - 1].addr() | 0xffff) + 1;
    free(match how {
        "interior" => block.wrapping_add(16),
        "misaligned" => block.wrapping_add(8),
        "odd" => block.wrapping_add(1),
        "end" => block.wrapping_add(usable(block) - 8),
        "next" => block.wrapping_add(usable(block)),
        "never" => of(end - 65536 + (65536 / size.next_multiple_of(16) - 1) * size.next_multiple_of(16)),
        "tail" => of(end - 16),
        "stack" => black_box(&on_stack).as_ptr().cast_mut().cast(),
        "static" => ELSEWHERE.as_ptr().cast_mut().cast(),
        "wild" => of(0x4141_4141_4141_4140),
        "low" => of(16),
        _ => panic!("no place {how}"),
    });
}

fn write_to_free(scene: &Scene, how: &str) {
    let Scene { block, size, .. } = *scene;
    let pointer = ELSEWHERE.as_ptr().expose_provenance();
    let write_pointer = |at: *mut u8| {
        // SAFETY: none, as in `write`.
        unsafe { at.cast::<usize>().write_volatile(pointer) }
    };
    match how {
        "pointer" => {
            free(block);
            write_pointer(block);
        }
        "all" => {
            free(block);
            write(block, size);
        }
        "reused" => {
            free(block);
            // Whoever got it is not the one that writes.
            let others = Filled::new(2, size, 5);
            let reused = others.blocks.contains(&block);
            write(block, size);
            assert!(reused, "another block was handed out");
            if !others.are_whole() {
                println!("corrupt");
                std::process::exit(0);
            }
        }
        _ => {
            let others = Filled::new(600.min(LATER_BYTES / size), size, 5);
            free_all_by_another(&others.addresses());
            for &other in others.blocks.iter() {
                match how {
                    "pointer-of-another" => write_pointer(other),
                    "all-of-another" => write(other, size),
                    "counted-of-another" => {
                        for word in (0..size.min(128) / 4).map(|at| other.wrapping_add(at * 4).cast::<u32>())
                        {
                            // SAFETY: none, as in `write`: a count of references that falls.
                            unsafe { word.write_volatile(word.read_volatile().wrapping_sub(1)) };
                        }
                    }
                    _ => panic!("no write {how}"),
                }
            }
            black_box(block);
        }
    }
}

fn write_beyond(scene: &Scene, how: &str) {
    let Scene { block, size, .. } = *scene;
    let end = block.wrapping_add(usable(block));
    match how {
        "slack" => {
            let slack = get(size - 3);
            write(slack.wrapping_add(size - 3), 1);
            free(slack);
        }
        "1" => write(end, 1),
        "8" => write(end, 8),
        "64" => write(end, 64),
        "before-1" => write(block.wrapping_sub(1), 1),
        "before-8" => write(block.wrapping_sub(8), 8),
        _ => panic!("no place {how}"),
    }
    free(block);
}
