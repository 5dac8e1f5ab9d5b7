//! Children that come to the world in other ways than by `fork` and a handler of the allocator's: forked past libc, in
//! somebody's handler that runs before, below a signal handler, beside threads of their parent.

use std::alloc::GlobalAlloc;
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::fork::{check_and_put, forks, new, replace_blocks, wait_for};
use super::{KIB, get, put};
use crate::measure;
use crate::random::Random;

const SLOTS: usize = 64;

/// How a child is made.
#[derive(Clone, Copy)]
enum Way {
    /// libc's, with handlers.
    Fork,
    /// libc's, without (POSIX 2024).
    BareFork,
    Clone,
    Clone3,
}

impl Way {
    fn named(name: &str) -> Way {
        match name {
            "fork" => Way::Fork,
            "_Fork" => Way::BareFork,
            "clone" => Way::Clone,
            "clone3" => Way::Clone3,
            _ => panic!("no way {name}"),
        }
    }

    /// The child's number, or 0 in it. None where this libc or kernel has no such way.
    fn go(self) -> Option<libc::pid_t> {
        let signal = libc::SIGCHLD as libc::c_long;
        // SAFETY: the child does what it is promised to be able to, and leaves by _exit.
        let child = unsafe {
            match self {
                Way::Fork => libc::fork(),
                Way::BareFork => {
                    let bare = libc::dlsym(libc::RTLD_DEFAULT, c"_Fork".as_ptr());
                    if bare.is_null() {
                        return None;
                    }
                    std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> libc::pid_t>(bare)()
                }
                Way::Clone => libc::syscall(libc::SYS_clone, signal, 0, 0, 0, 0) as libc::pid_t,
                Way::Clone3 => {
                    let mut arguments: libc::clone_args = std::mem::zeroed();
                    arguments.exit_signal = signal as u64;
                    let size = size_of::<libc::clone_args>();
                    libc::syscall(libc::SYS_clone3, &raw mut arguments, size) as libc::pid_t
                }
            }
        };
        if child < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
            return None;
        }
        assert!(child >= 0, "no child");
        Some(child)
    }

    /// A child that does `work`, waited for. False where there is no such way.
    fn child(self, turn: usize, work: impl FnOnce()) -> bool {
        match self.go() {
            None => return false,
            Some(0) => {
                work();
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            Some(child) => wait_for(child, turn),
        }
        true
    }
}

/// Says why the scenario did not run, for the test to say it.
fn absent(name: &str) {
    println!("absent: {name}");
}

/// All sizes, and what is inherited goes too.
fn live_on<A: GlobalAlloc>(alloc: &A, seed: u64) {
    // SAFETY: only sets a timer; the signal's default action ends the process.
    unsafe { libc::alarm(240) };
    let mut random = Random::new(seed);
    let mut held = [(0, 0); SLOTS];
    for _ in 0..700 {
        let (slot, kind) = (random.below(SLOTS), random.below(64));
        if held[slot].0 != 0 {
            check_and_put(alloc, held[slot].1, held[slot].0);
        }
        held[slot] = (new(alloc, kind), kind);
    }
    for (block, kind) in held.into_iter().filter(|held| held.0 != 0) {
        check_and_put(alloc, kind, block);
    }
}

/// While other threads are at work, children of a thread that has a heap, or of one that never asked for anything; and
/// children of children.
pub fn ways<A: GlobalAlloc + Sync>(alloc: &'static A, name: &str, count: usize) {
    let (way, stop) = (Way::named(name), AtomicBool::new(false));
    let forks = || {
        for turn in 0..count {
            let there = way.child(turn, || {
                if turn % 3 == 0 {
                    way.child(turn, || live_on(alloc, turn as u64));
                }
                live_on(alloc, turn as u64);
            });
            if !there {
                return absent(name);
            }
        }
    };
    super::fork::fill_shared(alloc);
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let stop = &stop;
            scope.spawn(move || replace_blocks(alloc, seed, stop));
        }
        forks();
        scope.spawn(forks).join().expect("the forking thread");
        stop.store(true, Ordering::Relaxed);
    });
}

/// What `handler` does in each child, for a program that says so: `armed` is the allocator to ask.
static ARMED: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());
static WORK: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());

/// A handler that was registered before anything was allocated, so that it is called before the allocator's.
#[used]
#[unsafe(link_section = ".init_array")]
static REGISTER: extern "C" fn() = register;

extern "C" fn register() {
    extern "C" fn handler() {
        let (work, alloc) = (WORK.load(Ordering::Relaxed), ARMED.load(Ordering::Relaxed));
        if !work.is_null() {
            // SAFETY: `arm` stored both, which belong together.
            unsafe {
                std::mem::transmute::<*mut libc::c_void, extern "C" fn(*mut libc::c_void)>(work)(alloc)
            };
        }
    }
    // SAFETY: registers a function that lives as long as the program.
    unsafe { libc::pthread_atfork(None, None, Some(handler)) };
}

/// Has the handlers of the program allocate in each child from now on, the early one and one more, which is called
/// behind the allocator's.
fn arm<A: GlobalAlloc + 'static>(alloc: &'static A) {
    extern "C" fn work<A: GlobalAlloc + 'static>(alloc: *mut libc::c_void) {
        // SAFETY: the reference that `arm` stored, which is 'static.
        let alloc: &'static A = unsafe { &*alloc.cast::<A>() };
        // Of other classes than the program's own blocks: what a handler asks for below a signal that interrupted a
        // request of the same class in its first instructions no allocator can tell from that.
        let sizes = [10, 2500, 5 * KIB, 40 * KIB, 300 * KIB];
        let blocks = [(); 20].map(|()| sizes.map(|size| get(alloc, size)));
        for (block, size) in blocks.iter().flat_map(|blocks| blocks.iter().zip(sizes)) {
            assert!(!block.is_null());
            // SAFETY: live, of this size, given up here.
            unsafe {
                block.write_bytes(7, size);
                put(alloc, *block, size);
            }
        }
    }
    let alloc: *const A = alloc;
    ARMED.store(alloc.cast_mut().cast(), Ordering::Relaxed);
    WORK.store(work::<A> as *mut libc::c_void, Ordering::Relaxed);
    register();
}

/// Handlers that allocate, in children of a program whose other threads are at work.
pub fn handlers<A: GlobalAlloc + Sync>(alloc: &'static A) {
    arm(alloc);
    ways(alloc, "fork", forks());
}

/// Forks in a signal handler that interrupts this thread wherever it is; the child returns from it and goes on, until
/// it has done as much again. With other threads at work or without, with handlers that allocate or without.
pub fn in_signal_handler<A: GlobalAlloc + Sync>(alloc: &'static A, threads: usize, with_handlers: bool) {
    static CHILD: AtomicBool = AtomicBool::new(false);
    static LEFT: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn fork(_signal: libc::c_int) {
        // Behind the last turn the program waits for its threads, which a child does not have.
        if CHILD.load(Ordering::Relaxed) || LEFT.load(Ordering::Relaxed) == 0 {
            return;
        }
        LEFT.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: what the child may do is what is tried here.
        match unsafe { libc::fork() } {
            0 => {
                CHILD.store(true, Ordering::Relaxed);
                // SAFETY: only sets a timer; the signal's default action ends the process.
                unsafe { libc::alarm(240) };
            }
            child => {
                let mut status = 0;
                // SAFETY: writes the status of our own child.
                unsafe { libc::waitpid(child, &mut status, 0) };
                if libc::WIFSIGNALED(status) {
                    end("a child of the signal handler was ended by signal ", libc::WTERMSIG(status));
                }
                if status != 0 {
                    end("a child of the signal handler failed with ", libc::WEXITSTATUS(status));
                }
            }
        }
    }
    LEFT.store(forks(), Ordering::Relaxed);
    if with_handlers {
        arm(alloc);
    }
    super::fork::fill_shared(alloc);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Threads begin with the mask of the one that makes them, and are not to be interrupted.
        mask_signal(libc::SIG_BLOCK);
        for seed in 0..threads as u64 {
            let stop = &stop;
            scope.spawn(move || replace_blocks(alloc, seed, stop));
        }
        mask_signal(libc::SIG_UNBLOCK);
        let tick = libc::timeval { tv_sec: 0, tv_usec: 1000 };
        let timer = libc::itimerval { it_interval: tick, it_value: tick };
        // SAFETY: the handler forks, which is what is tried; the timer sends it to a thread that does not block it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = fork as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGVTALRM, &action, std::ptr::null_mut()), 0);
            assert_eq!(libc::setitimer(libc::ITIMER_VIRTUAL, &timer, std::ptr::null_mut()), 0);
        }
        let mut random = Random::new(5);
        let mut held = [(0, 0); SLOTS];
        let mut left = 2000;
        // In this order: the last turn may come between the two.
        while LEFT.load(Ordering::Relaxed) > 0 || CHILD.load(Ordering::Relaxed) {
            // Mostly what takes locks: blocks of other sizes than the last ones, spans, mappings.
            let (slot, kind) = (random.below(SLOTS), random.below(64));
            if held[slot].0 != 0 {
                check_and_put(alloc, held[slot].1, held[slot].0);
            }
            held[slot] = (new(alloc, kind), kind);
            if CHILD.load(Ordering::Relaxed) {
                left -= 1;
                if left == 0 {
                    // SAFETY: ends the child.
                    unsafe { libc::_exit(0) };
                }
            }
        }
        // SAFETY: stops the timer.
        unsafe { libc::setitimer(libc::ITIMER_VIRTUAL, &std::mem::zeroed(), std::ptr::null_mut()) };
        stop.store(true, Ordering::Relaxed);
    });
}

/// Ends the program from a signal handler, where a panic's message would ask for memory.
fn end(why: &str, number: libc::c_int) -> ! {
    let mut line = [0; 80];
    let mut rest = &mut line[..];
    _ = writeln!(rest, "{why}{number}");
    let len = 80 - rest.len();
    // SAFETY: writes the text, and ends the process.
    unsafe {
        libc::write(2, line.as_ptr().cast(), len);
        libc::_exit(101)
    }
}

/// Blocks the timer's signal in the calling thread, or lets it come.
fn mask_signal(how: libc::c_int) {
    // SAFETY: changes this thread's mask.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGVTALRM);
        assert_eq!(libc::pthread_sigmask(how, &set, std::ptr::null_mut()), 0);
    }
}

/// Children that share the memory of their parent, whose other threads go on: nothing of theirs is to be repaired.
pub fn sharing_memory<A: GlobalAlloc + Sync>(alloc: &'static A) {
    super::fork::fill_shared(alloc);
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let stop = &stop;
            scope.spawn(move || replace_blocks(alloc, seed, stop));
        }
        for turn in 0..forks() {
            // The parent's thread waits until the child, which has its stack, has ended.
            let flags = (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as libc::c_long;
            let mut stack = vec![0u128; 16 * KIB];
            let child = clone_onto(&mut stack, flags, || {
                live_on(alloc, turn as u64);
                done.fetch_add(1, Ordering::Relaxed);
            });
            wait_for(child, turn);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(done.into_inner(), forks(), "the memory was not shared");
}

/// `clone` onto a stack of its own.
fn clone_onto<W: FnMut()>(stack: &mut [u128], flags: libc::c_long, mut work: W) -> libc::pid_t {
    extern "C" fn body<W: FnMut()>(work: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the closure below, whose owner waits.
        unsafe { (*work.cast::<W>())() };
        0
    }
    let work: *mut W = &mut work;
    // SAFETY: a stack that grows down from its end, and a closure, which both live until the child has ended.
    let child = unsafe {
        libc::clone(body::<W>, stack.as_mut_ptr_range().end.cast(), flags as libc::c_int, work.cast())
    };
    assert!(child > 0, "no child");
    child
}

/// After many threads came and went a child has as little to copy as if they had not.
pub fn after_threads<A: GlobalAlloc + Sync>(alloc: &'static A, threads: usize) {
    /// Of a child that ends at once, and of the allocator's own words for it.
    const FAULTS: usize = 200;
    let faults = |turn| {
        let mut pipe = [0; 2];
        // SAFETY: a pipe for one word.
        assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
        let there = Way::Fork.child(turn, || {
            let faults = measure::minor_faults();
            // SAFETY: writes one word.
            unsafe { libc::write(pipe[1], (&raw const faults).cast(), size_of::<usize>()) };
        });
        assert!(there);
        let mut faults = 0usize;
        // SAFETY: reads one word, which the child wrote before it ended; closes what was opened above.
        unsafe {
            assert_eq!(libc::read(pipe[0], (&raw mut faults).cast(), size_of::<usize>()), 8);
            _ = pipe.map(|file| libc::close(file));
        }
        faults
    };
    let before = measure::resident();
    let together = Barrier::new(threads);
    super::lifetime::all_at_once(threads, 64 * KIB, &|one| {
        let block = get(alloc, 100 + one % 1000);
        together.wait();
        // SAFETY: got above, given up here.
        unsafe { put(alloc, block, 100 + one % 1000) };
    });
    let child = faults(0);
    assert!(child <= FAULTS, "{child} pages are copied in a child after {threads} threads");
    let more = measure::resident().saturating_sub(before) / KIB;
    println!("{more} KiB more, {child} faults");
}
