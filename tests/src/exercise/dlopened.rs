//! The library opened by a running program, beside the malloc the program has: used, closed, used on.

use std::alloc::GlobalAlloc;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{KIB, get, put_chain};

type Malloc = unsafe extern "C" fn(usize) -> *mut u8;
type Free = unsafe extern "C" fn(*mut u8);

/// Blocks of ours and of libc's in turn, each filled with its number.
fn both(malloc: Malloc, free: Free, count: usize) {
    let mut blocks = Vec::with_capacity(count);
    for k in 0..count {
        let size = 16 + k % 3000;
        // SAFETY: sizes are not zero; both blocks are written over their whole length.
        let (ours, libcs) = unsafe { (malloc(size), libc::malloc(size).cast::<u8>()) };
        assert!(!ours.is_null() && !libcs.is_null());
        for block in [ours, libcs] {
            // SAFETY: as above.
            unsafe { block.write_bytes(k as u8, size) };
        }
        blocks.push((ours, libcs, size));
    }
    for (k, (ours, libcs, size)) in blocks.into_iter().enumerate() {
        for block in [ours, libcs] {
            // SAFETY: live and of this size.
            let bytes = unsafe { std::slice::from_raw_parts(block, size) };
            assert!(bytes.iter().all(|&byte| byte == k as u8), "block {k} of {size} bytes was overwritten");
        }
        // SAFETY: each goes back where it came from, once.
        unsafe {
            free(ours);
            libc::free(libcs.cast());
        }
    }
}

/// With a second thread alive nobody may move the break under libc's malloc; a closed library's blocks live on.
pub fn all(path: &str) {
    let path = CString::new(path).expect("a path");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let second = std::thread::spawn(move || stopped.recv().is_err());
    // SAFETY: the library's initialisers do nothing to this program.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "dlopen");
    // SAFETY: the names are malloc(3)'s, with its types.
    let (malloc, free) = unsafe {
        let malloc = libc::dlsym(library, c"malloc".as_ptr());
        let free = libc::dlsym(library, c"free".as_ptr());
        assert!(!malloc.is_null() && malloc != libc::malloc as *mut libc::c_void, "the library's own malloc");
        (std::mem::transmute::<*mut _, Malloc>(malloc), std::mem::transmute::<*mut _, Free>(free))
    };
    // SAFETY: asks only.
    let brk = || unsafe { libc::sbrk(0) };
    let before = brk();
    // SAFETY: the block goes back at once.
    unsafe { free(malloc(10)) };
    assert_eq!(brk(), before, "the library moved a break that is not its own");
    both(malloc, free, 20_000);
    // SAFETY: its functions are used on: the library promises to stay.
    assert_eq!(unsafe { libc::dlclose(library) }, 0);
    both(malloc, free, 20_000);
    std::thread::spawn(move || both(malloc, free, 1000)).join().expect("a thread after dlclose");
    drop(stop);
    assert!(second.join().expect("the second thread"));
}

/// A Rust library whose global allocator is brkmap, closed while a thread that allocated in it goes on: the
/// code that would end the thread's heap goes with the library.
pub fn plugin(path: &str) {
    let path = CString::new(path).expect("a path");
    // SAFETY: the library's initialisers do nothing to this program.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    assert!(!library.is_null(), "dlopen");
    // SAFETY: the library's own function, of this type.
    let sum = unsafe {
        let sum = libc::dlsym(library, c"sum_below".as_ptr());
        assert!(!sum.is_null(), "dlsym");
        std::mem::transmute::<*mut _, extern "C" fn(u64) -> u64>(sum)
    };
    let (worked, closed) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(sum(1000), 499_500);
            worked.wait();
            closed.wait();
        });
        worked.wait();
        // SAFETY: nothing of it is used from here on.
        assert_eq!(unsafe { libc::dlclose(library) }, 0);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("/proc/self/maps");
        assert!(!maps.contains("libplugin"), "the library is there still: the test shows nothing");
        // SAFETY: the child ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the process and nothing else.
            unsafe { libc::_exit(0) };
        }
        let mut status = -1;
        // SAFETY: the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "a fork called what went with the library");
        closed.wait();
    });
}

/// Two threads make the allocator grow: one of them in a constructor, under the loader's lock. Who holds a lock of the
/// allocator must not wait for that.
pub fn constructor<A: GlobalAlloc + Sync>(alloc: &'static A, path: &str) {
    static ALLOC: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
    fn grow<A: GlobalAlloc>(alloc: &A) {
        const SIZE: usize = 40 * KIB;
        let mut last: *mut u8 = std::ptr::null_mut();
        for _ in 0..1500 {
            let block = get(alloc, SIZE);
            assert!(!block.is_null());
            // SAFETY: live and of this size; the blocks are chained through themselves.
            unsafe { block.cast::<*mut u8>().write(last) };
            last = block;
        }
        // SAFETY: the chain written above.
        unsafe { put_chain(alloc, last, SIZE) };
    }
    extern "C" fn called<A: GlobalAlloc + 'static>() {
        // SAFETY: the reference stored below, which is 'static.
        grow::<A>(unsafe { &*ALLOC.load(Ordering::Relaxed).cast::<A>() });
    }
    let shared: *const A = alloc;
    ALLOC.store(shared.cast_mut().cast(), Ordering::Relaxed);
    let call: extern "C" fn() = called::<A>;
    // SAFETY: no other thread reads the environment yet.
    unsafe { std::env::set_var("CONSTRUCTOR_CALLS", (call as *const ()).expose_provenance().to_string()) };
    let path = CString::new(path).expect("a path");
    let opened = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: the library's constructor does what is tried here.
            assert!(!unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) }.is_null(), "dlopen");
            opened.store(true, Ordering::Relaxed);
        });
        while !opened.load(Ordering::Relaxed) {
            grow(alloc);
        }
    });
}
