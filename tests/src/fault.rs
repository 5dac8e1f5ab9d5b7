//! Memory calls that fail on the real kernel, at the program's own word: the k-th of a kind, or all from it on.
//!
//! A seccomp filter stops each memory call of the threads it binds and asks a thread that it does not bind (it
//! was there before): that one says "go on", or which error the call is to end with. Nothing here allocates
//! once it is installed.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering};

/// The calls, by the name that the command line uses.
pub const CALLS: [(&str, libc::c_long); 6] = [
    ("brk", libc::SYS_brk),
    ("mmap", libc::SYS_mmap),
    ("munmap", libc::SYS_munmap),
    ("mremap", libc::SYS_mremap),
    ("madvise", libc::SYS_madvise),
    ("mprotect", libc::SYS_mprotect),
];

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
    std::thread::spawn(|| {
        let listener = loop {
            match LISTENER.load(Ordering::Acquire) {
                -1 => std::thread::yield_now(),
                listener => break listener,
            }
        };
        while answer(listener) {}
    });
    LISTENER.store(filter(), Ordering::Release);
}

/// From now on `count` calls of the kind fail with `errno`, after the next `skip`. For brk errno 0 is the
/// kernel's own way to refuse: the break as it was.
pub fn arm(call: &str, skip: usize, count: usize, errno: i32) {
    let number = CALLS.iter().find(|(name, _)| *name == call).map(|(_, number)| *number);
    ARMED.store(NONE, Ordering::SeqCst);
    SKIP.store(skip, Ordering::SeqCst);
    COUNT.store(count, Ordering::SeqCst);
    ERRNO.store(errno, Ordering::SeqCst);
    SEEN.store(0, Ordering::SeqCst);
    FAILED.store(0, Ordering::SeqCst);
    ARMED.store(number.unwrap_or_else(|| panic!("no call {call}")), Ordering::SeqCst);
}

/// Nothing fails any more. How many did.
pub fn disarm() -> usize {
    ARMED.store(NONE, Ordering::SeqCst);
    FAILED.load(Ordering::SeqCst)
}

/// Binds the calling thread; the descriptor that its calls are told to.
fn filter() -> i32 {
    let op = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = vec![op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)];
    for (at, (_, number)) in CALLS.iter().enumerate() {
        // To the last instruction but one.
        let over = (CALLS.len() - at) as u8;
        program.push(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, over, 0, *number as u32));
    }
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the program is whole and lives through the call; nothing else is named.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
        let listener = libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program);
        assert!(listener >= 0, "no seccomp listener: {}", std::io::Error::last_os_error());
        listener as i32
    }
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
