//! Memory calls that fail on the real kernel, at the program's own word: the k-th of a kind, or all from it on.
//!
//! A seccomp filter stops each memory call of the threads it binds and asks a thread that it does not bind (it
//! was there before): that one says "go on", or which error the call is to end with. Nothing here allocates
//! once it is installed.

use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};

use brkmap_tracer::{Filter, Syscall};

/// No call has this number.
const NONE: i64 = -1;

/// What is to fail; the thread that answers reads it for each call.
static ARMED: AtomicI64 = AtomicI64::new(NONE);
/// How many calls of the kind go through first, how many fail then, and with what.
static SKIP: AtomicUsize = AtomicUsize::new(0);
static COUNT: AtomicUsize = AtomicUsize::new(0);
static ERRNO: AtomicI32 = AtomicI32::new(0);
/// Calls of the kind since it was armed, and those that failed.
static SEEN: AtomicUsize = AtomicUsize::new(0);
static FAILED: AtomicUsize = AtomicUsize::new(0);

/// Lets calls fail in the calling thread and those that it starts from now on. Once in a program.
pub fn install() {
    static LISTENER: AtomicI32 = AtomicI32::new(-1);
    static STARTED: AtomicBool = AtomicBool::new(false);
    std::thread::spawn(|| {
        STARTED.store(true, Ordering::Release);
        let listener = loop {
            match LISTENER.load(Ordering::Acquire) {
                -1 => std::thread::yield_now(),
                listener => break listener,
            }
        };
        while answer(listener) {}
    });
    // What starts a thread frees memory there. From here on it waits for nobody: who asks may hold any lock.
    while !STARTED.load(Ordering::Acquire) {
        std::thread::yield_now();
    }
    let listener = Filter::tell_memory_calls().install_listening().expect("a seccomp listener");
    LISTENER.store(listener.into_raw_fd(), Ordering::Release);
}

/// The calls that can fail, one after the other without end.
pub fn nth_call(number: usize) -> &'static str {
    Syscall::MEMORY[number % Syscall::MEMORY.len()].name().expect("each has one")
}

/// From now on `count` calls of the kind fail with `errno`, after the next `skip`. For brk errno 0 is the
/// kernel's own way to refuse: the break as it was.
pub fn arm(call: &str, skip: usize, count: usize, errno: i32) {
    let number = Syscall::named(call).unwrap_or_else(|| panic!("no call {call}")).number();
    ARMED.store(NONE, Ordering::SeqCst);
    SKIP.store(skip, Ordering::SeqCst);
    COUNT.store(count, Ordering::SeqCst);
    ERRNO.store(errno, Ordering::SeqCst);
    SEEN.store(0, Ordering::SeqCst);
    FAILED.store(0, Ordering::SeqCst);
    ARMED.store(number, Ordering::SeqCst);
}

/// Nothing fails any more. How many did.
pub fn disarm() -> usize {
    ARMED.store(NONE, Ordering::SeqCst);
    FAILED.load(Ordering::SeqCst)
}

/// Answers one call. False once nobody is bound any more.
fn answer(listener: i32) -> bool {
    let mut asked = MaybeUninit::<libc::seccomp_notif>::zeroed();
    // SAFETY: the kernel writes one such struct into the zeroed one given.
    if unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, asked.as_mut_ptr()) } != 0 {
        // A thread that was killed while it asked is no reason to stop.
        let errno = std::io::Error::last_os_error().raw_os_error();
        return matches!(errno, Some(libc::EINTR | libc::ENOENT));
    }
    // SAFETY: plain numbers, written by the kernel.
    let asked = unsafe { asked.assume_init() };
    let mut answer = libc::seccomp_notif_resp {
        id: asked.id,
        val: 0,
        error: 0,
        flags: libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
    };
    // Asking for the break is answered as ever.
    let asks = asked.data.nr as libc::c_long == libc::SYS_brk && asked.data.args[0] == 0;
    if !asks && i64::from(asked.data.nr) == ARMED.load(Ordering::SeqCst) {
        let seen = SEEN.fetch_add(1, Ordering::SeqCst);
        let skip = SKIP.load(Ordering::SeqCst);
        if seen >= skip && seen - skip < COUNT.load(Ordering::SeqCst) {
            FAILED.fetch_add(1, Ordering::SeqCst);
            answer.flags = 0;
            answer.error = -ERRNO.load(Ordering::SeqCst);
            if answer.error == 0 {
                answer.val = crate::measure::real_break() as i64;
            }
        }
    }
    // SAFETY: reads the struct above.
    unsafe { libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &answer) };
    true
}
