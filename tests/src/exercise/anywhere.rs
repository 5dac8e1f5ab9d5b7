//! Requests at the odd moments of a program's life.

use std::alloc::GlobalAlloc;
use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{KIB, MIB, get, put};

/// Blocks a thread still holds when its destructors run; they allocate too.
struct Late<A: GlobalAlloc + 'static> {
    alloc: &'static A,
    blocks: Vec<(*mut u8, usize)>,
}

static DESTROYED: AtomicUsize = AtomicUsize::new(0);

impl<A: GlobalAlloc> Drop for Late<A> {
    fn drop(&mut self) {
        for (block, size) in self.blocks.drain(..) {
            let other = get(self.alloc, size / 2 + 1);
            assert!(!other.is_null());
            // SAFETY: both got from `get` with these sizes, given up here.
            unsafe {
                put(self.alloc, block, size);
                put(self.alloc, other, size / 2 + 1);
            }
        }
        DESTROYED.fetch_add(1, Ordering::Relaxed);
    }
}

fn late<A: GlobalAlloc>(alloc: &'static A) -> Box<Late<A>> {
    let sizes = [16, 100, KIB, 9 * KIB, 60 * KIB, 200 * KIB, MIB];
    Box::new(Late { alloc, blocks: sizes.iter().map(|size| (get(alloc, *size), *size)).collect() })
}

thread_local! {
    static LATE: RefCell<Option<Box<dyn std::any::Any>>> = const { RefCell::new(None) };
}

/// Two kinds of destructor: Rust's own, and those of pthread keys, which come later and come again for as
/// long as the key is set; by then the allocator's own exit hook has run for this thread.
pub fn tls_destructors<A: GlobalAlloc + Sync>(alloc: &'static A) {
    static KEY: AtomicUsize = AtomicUsize::new(0);
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn again<A: GlobalAlloc + 'static>(value: *mut libc::c_void) {
        // SAFETY: the value is the box leaked for this key, and each is taken up once.
        let late = unsafe { Box::from_raw(value.cast::<Late<A>>()) };
        let alloc = late.alloc;
        drop(late);
        if TURNS.fetch_add(1, Ordering::Relaxed) % 3 != 2 {
            let next = Box::into_raw(self::late(alloc));
            // SAFETY: the key exists; its destructor takes the box up.
            unsafe {
                libc::pthread_setspecific(KEY.load(Ordering::Relaxed) as libc::pthread_key_t, next.cast())
            };
        }
    }
    // The first keys are the allocator's and libc's; one past 32 makes pthread_setspecific itself allocate.
    for _ in 0..40 {
        let mut key = 0;
        // SAFETY: makes a key whose destructor expects what `tls_destructors` stores.
        assert_eq!(unsafe { libc::pthread_key_create(&mut key, Some(again::<A>)) }, 0);
        KEY.store(key as usize, Ordering::Relaxed);
    }
    for _ in 0..50 {
        let thread = std::thread::spawn(move || {
            LATE.with_borrow_mut(|slot| *slot = Some(late(alloc)));
            let value = Box::into_raw(late(alloc));
            // SAFETY: the key exists; its destructor takes the box up.
            unsafe {
                libc::pthread_setspecific(KEY.load(Ordering::Relaxed) as libc::pthread_key_t, value.cast())
            };
        });
        thread.join().expect("the thread");
    }
    // Each thread: one of Rust's, and three turns of the key's.
    assert_eq!(DESTROYED.load(Ordering::Relaxed), 50 * 4);
}

/// Frees and requests from `atexit`, after main has returned. The test looks for the line it prints.
pub fn exit_time<A: GlobalAlloc + Sync>(alloc: &'static A) {
    static BLOCK: AtomicUsize = AtomicUsize::new(0);
    static FREE: std::sync::OnceLock<Box<dyn Fn() + Send + Sync>> = std::sync::OnceLock::new();
    extern "C" fn last() {
        if let Some(free) = FREE.get() {
            free();
        }
        let text = b"freed at exit\n";
        // SAFETY: writes the bytes above.
        unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
    }
    BLOCK.store(get(alloc, 5000).expose_provenance(), Ordering::Relaxed);
    let free = move || {
        let block = std::ptr::with_exposed_provenance_mut(BLOCK.load(Ordering::Relaxed));
        let other = get(alloc, 300 * KIB);
        assert!(!other.is_null());
        // SAFETY: both got from `get` with these sizes, given up here.
        unsafe {
            put(alloc, block, 5000);
            put(alloc, other, 300 * KIB);
        }
    };
    assert!(FREE.set(Box::new(free)).is_ok());
    // SAFETY: registers a function that lives as long as the program.
    assert_eq!(unsafe { libc::atexit(last) }, 0);
}

/// All sizes on the smallest stack libc gives a thread, or so many times that.
pub fn small_stack<A: GlobalAlloc + Sync>(alloc: &'static A, times: usize) {
    extern "C" fn body<A: GlobalAlloc + 'static>(alloc: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: the reference handed to pthread_create, which is 'static.
        let alloc: &'static A = unsafe { &*alloc.cast::<A>() };
        for size in [10, 1000, 5000, 40 * KIB, 200 * KIB, 10 * MIB] {
            for _ in 0..300 {
                let block = get(alloc, size);
                // SAFETY: got above, given up here.
                unsafe { put(alloc, block, size) };
            }
        }
        std::ptr::null_mut()
    }
    // SAFETY: the attributes are initialised before use, the stack size is the least allowed, the thread is
    // joined.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        let least =
            usize::try_from(libc::sysconf(libc::_SC_THREAD_STACK_MIN)).unwrap_or(libc::PTHREAD_STACK_MIN);
        assert_eq!(libc::pthread_attr_setstacksize(&mut attributes, times * least), 0);
        let mut thread = std::mem::zeroed();
        let alloc: *const A = alloc;
        let made = libc::pthread_create(&mut thread, &attributes, body::<A>, alloc.cast_mut().cast());
        assert_eq!(made, 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}

/// Signals that interrupt requests, with handlers that do not allocate: calls the kernel cut short are made
/// again.
pub fn signals<A: GlobalAlloc + Sync>(alloc: &'static A) {
    static SEEN: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(_signal: libc::c_int) {
        SEEN.fetch_add(1, Ordering::Relaxed);
    }
    let tick = libc::timeval { tv_sec: 0, tv_usec: 200 };
    let timer = libc::itimerval { it_interval: tick, it_value: tick };
    // SAFETY: the handler only counts, without SA_RESTART; the timer sends it.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
    while SEEN.load(Ordering::Relaxed) < 500 {
        crate::shadow::storm(alloc, 2, 2000, 7);
    }
}
