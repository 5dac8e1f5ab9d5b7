//! Programs that a heap profile is taken of. What they did they print, for the test to compare.

use std::alloc::GlobalAlloc;
use std::collections::VecDeque;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;

use brkmap::profile::{self, Packing};

use super::{KIB, get, put};

const SIZE: usize = 200;

/// A site whose blocks are freed at once.
#[inline(never)]
fn short_lives<A: GlobalAlloc>(alloc: &A) -> *mut u8 {
    std::hint::black_box(get(alloc, SIZE))
}

/// A site whose blocks stay.
#[inline(never)]
fn long_lives<A: GlobalAlloc>(alloc: &A) -> *mut u8 {
    // Not the same code as the other's, or the linker makes one function of both.
    let block = std::hint::black_box(get(alloc, SIZE));
    // SAFETY: a fresh block.
    unsafe { block.write(7) };
    block
}

/// Both sites in turns, in either order. Prints where they are, and how many blocks each allocated and kept.
pub fn sites<A: GlobalAlloc>(alloc: &A, order: &str, rounds: usize) {
    let mut kept = VecDeque::new();
    for _ in 0..rounds {
        for site in order.bytes() {
            if site == b's' {
                // SAFETY: got here.
                unsafe { put(alloc, short_lives(alloc), SIZE) };
            } else {
                kept.push_back(long_lives(alloc));
            }
            if kept.len() > 3000
                && let Some(block) = kept.pop_front()
            {
                // SAFETY: got above.
                unsafe { put(alloc, block, SIZE) };
            }
        }
    }
    let [short, long] = [short_lives::<A> as *const () as usize, long_lives::<A> as *const () as usize];
    println!("{short} {long} {rounds} {}", kept.len());
}

/// The same by the crate's own functions: in this process the Rust front is the allocator. Writes the three files.
pub fn by_functions<A: GlobalAlloc>(alloc: &A, folder: &str) {
    let create = |name: &str| std::fs::File::create(format!("{folder}/{name}")).expect("a file");
    assert!(profile::start_seeded(4096, 11));
    let kept: Vec<_> = (0..5000).map(|_| long_lives(alloc)).collect();
    for _ in 0..5000 {
        // SAFETY: got here.
        unsafe { put(alloc, short_lives(alloc), SIZE) };
    }
    assert!(profile::stop());
    // SAFETY: got above. Nobody looks any more.
    kept.into_iter().for_each(|block| unsafe { put(alloc, block, SIZE) });
    for _ in 0..5000 {
        // SAFETY: got here.
        unsafe { put(alloc, short_lives(alloc), SIZE) };
    }
    profile::write_pprof(create("plain.pb"), Packing::Plain).expect("written");
    profile::write_pprof(create("packed.pb.gz"), Packing::Gzip).expect("written");
    profile::write_dhat(create("dhat.json")).expect("written");
    let full = profile::write_pprof(std::fs::File::create("/dev/full").expect("a device"), Packing::Plain);
    assert!(full.is_err(), "a device that is full");
    let [short, long] = [short_lives::<A> as *const () as usize, long_lives::<A> as *const () as usize];
    println!("{short} {long} 5000 5000");
}

/// Threads that hand blocks round, while profiles begin and end. At last one begins, all is freed, and it is written.
pub fn threads<A: GlobalAlloc + Sync>(alloc: &'static A, folder: &str) {
    const THREADS: usize = 4;
    let (done, counted) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| sync_channel::<usize>(64)).unzip();
        for (at, receiver) in receivers.into_iter().enumerate() {
            let next = senders[(at + 1) % THREADS].clone();
            let (done, counted) = (&done, &counted);
            scope.spawn(move || {
                let mut held = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    for _ in 0..50 {
                        let block = get(alloc, SIZE);
                        if let Err(back) = next.try_send(block.expose_provenance()) {
                            let (std::sync::mpsc::TrySendError::Full(back)
                            | std::sync::mpsc::TrySendError::Disconnected(back)) = back;
                            held.push(back);
                        }
                    }
                    held.extend(receiver.try_iter());
                    counted.fetch_add(held.len(), Ordering::Relaxed);
                    for block in held.drain(..) {
                        // SAFETY: got by one of these threads, and given to this one.
                        unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(block), SIZE) };
                    }
                }
                drop(next);
                for block in receiver {
                    // SAFETY: as above.
                    unsafe { put(alloc, std::ptr::with_exposed_provenance_mut(block), SIZE) };
                }
            });
        }
        drop(senders);
        for rate in [1, 4096, 512 * 1024].into_iter().cycle().take(60) {
            assert!(profile::start(rate));
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert!(profile::stop());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        assert!(profile::start(4096));
        std::thread::sleep(std::time::Duration::from_millis(100));
        done.store(true, Ordering::Relaxed);
    });
    assert!(counted.load(Ordering::Relaxed) > 10_000);
    let file = std::fs::File::create(format!("{folder}/threads.pb")).expect("a file");
    profile::write_pprof(file, Packing::Plain).expect("written");
}

/// A thread allocates through a library that another one opens and closes all the time.
pub fn dlopened<A: GlobalAlloc + Sync>(alloc: &'static A, path: &str, times: usize) {
    static AT_WORK: AtomicBool = AtomicBool::new(true);
    extern "C" fn deep(levels: usize) -> usize {
        if levels > 0 {
            return std::hint::black_box(deep(std::hint::black_box(levels - 1))) + 1;
        }
        let boxed = std::hint::black_box(vec![0u8; 300]);
        boxed.len()
    }
    let path = CString::new(path).expect("a path");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while AT_WORK.load(Ordering::Relaxed) {
                    deep(20);
                    // SAFETY: got here.
                    unsafe { put(alloc, short_lives(alloc), SIZE) };
                }
            });
        }
        for _ in 0..times {
            // SAFETY: the library does nothing when it is opened or closed, and its function is of this type.
            unsafe {
                let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
                assert!(!library.is_null(), "dlopen");
                let function = libc::dlsym(library, c"call_back".as_ptr());
                assert!(!function.is_null());
                let call: extern "C" fn(extern "C" fn(usize) -> usize, usize) -> usize =
                    std::mem::transmute(function);
                call(deep, 3);
                assert_eq!(libc::dlclose(library), 0);
            }
        }
        AT_WORK.store(false, Ordering::Relaxed);
    });
}

/// A profiler of the processor's time takes stacks in a handler, in the middle of samples too.
pub fn beside_sigprof<A: GlobalAlloc>(alloc: &A) {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    unsafe extern "C" {
        #[cfg(target_env = "gnu")]
        fn backtrace(into: *mut *mut libc::c_void, count: libc::c_int) -> libc::c_int;
    }
    extern "C" fn on_signal(_: libc::c_int) {
        let mut stack = [std::ptr::null_mut::<libc::c_void>(); 40];
        // SAFETY: room for so many.
        #[cfg(target_env = "gnu")]
        unsafe {
            backtrace(stack.as_mut_ptr(), 40);
        }
        std::hint::black_box(&mut stack);
        TAKEN.fetch_add(1, Ordering::Relaxed);
    }
    // Its first call loads a library.
    on_signal(0);
    // SAFETY: a handler of this type; the timer is this process's.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGPROF, &action, std::ptr::null_mut()), 0);
        let each = libc::timeval { tv_sec: 0, tv_usec: 500 };
        let timer = libc::itimerval { it_interval: each, it_value: each };
        assert_eq!(libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()), 0);
    }
    while TAKEN.load(Ordering::Relaxed) < 200 {
        for _ in 0..100 {
            // SAFETY: got here.
            unsafe { put(alloc, short_lives(alloc), SIZE) };
        }
    }
}

/// Waits for a line of input, a signal's handler at work meanwhile.
pub fn waiting<A: GlobalAlloc>(alloc: &A) {
    let block = long_lives(alloc);
    println!("ready");
    // SAFETY: a signal of this process's own.
    unsafe { libc::raise(libc::SIGUSR2) };
    // SAFETY: as above.
    unsafe { libc::raise(libc::SIGUSR2) };
    // SAFETY: got above.
    unsafe { put(alloc, block, SIZE) };
}

/// Allocates so much at once, frees it, and ends with little.
pub fn peak<A: GlobalAlloc>(alloc: &A) {
    let many: Vec<_> = (0..20_000).map(|_| long_lives(alloc)).collect();
    // SAFETY: got above.
    many.into_iter().for_each(|block| unsafe { put(alloc, block, SIZE) });
}

/// Allocates until a tracer has a profile begin, and says so. When it has left no block is a sample any more.
pub fn until_traced<A: GlobalAlloc>(alloc: &A) {
    let samples = || {
        let mut text = Vec::new();
        profile::write_dhat(&mut text).expect("memory");
        let text = String::from_utf8_lossy(&text).into_owned();
        text.split("\"tbk\":")
            .skip(1)
            .filter_map(|rest| rest.split(',').next()?.parse::<u64>().ok())
            .sum::<u64>()
    };
    let work = || {
        for _ in 0..20_000 {
            // SAFETY: got here.
            unsafe { put(alloc, short_lives(alloc), SIZE) };
        }
    };
    let work = || {
        work();
        // By slow paths, where tracers are looked for.
        let long = get(alloc, 100 * KIB);
        // SAFETY: got here.
        unsafe { put(alloc, long, 100 * KIB) };
    };
    work();
    assert_eq!(samples(), 0);
    println!("ready");
    while samples() == 0 {
        work();
    }
    println!("sampled");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("a line");
    // The slow path that sees that the tracer has left.
    work();
    let before = samples();
    (0..200).for_each(|_| work());
    assert_eq!(samples(), before, "it has left");
    println!("quiet");
}
