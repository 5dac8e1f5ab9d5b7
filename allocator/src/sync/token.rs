//! What tells a thread from every other.
#![allow(unsafe_code)]

/// A word that no other living thread has, even and never 0, and the same in the child of a fork: the thread
/// pointer. A thread that ended may leave it to a later one.
#[cfg(all(target_arch = "x86_64", not(miri), not(brkmap_loom)))]
#[inline(always)]
pub fn token() -> usize {
    let token;
    // SAFETY: the thread's control block begins with its own address (the ABI of thread-local storage).
    unsafe {
        core::arch::asm!(
            "mov {token}, qword ptr fs:[0]",
            token = out(reg) token,
            options(nostack, pure, readonly, preserves_flags),
        );
    }
    token
}

#[cfg(all(target_arch = "aarch64", not(miri), not(brkmap_loom)))]
#[inline(always)]
pub fn token() -> usize {
    let token;
    // SAFETY: reads the register that points at the thread's control block.
    unsafe {
        core::arch::asm!(
            "mrs {token}, tpidr_el0",
            token = out(reg) token,
            options(nostack, pure, nomem, preserves_flags),
        );
    }
    token
}

#[cfg(all(not(brkmap_loom), any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64")))))]
pub fn token() -> usize {
    // SAFETY: no preconditions. Miri counts its threads from 0.
    unsafe { (libc::pthread_self() as usize + 1) * 2 }
}

/// Loom's threads all run on one of the system's.
#[cfg(brkmap_loom)]
pub fn token() -> usize {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(2);
    loom::thread_local! {
        static TOKEN: Cell<usize> = Cell::new(NEXT.fetch_add(2, Ordering::Relaxed));
    }
    TOKEN.with(Cell::get)
}

#[cfg(all(test, not(brkmap_loom)))]
mod tests {
    use super::token;
    use std::sync::Barrier;

    #[test]
    fn threads_that_live_together_are_told_apart() {
        let together = Barrier::new(3);
        let of_this = || {
            together.wait();
            let (first, again) = (token(), token());
            together.wait();
            assert!(first != 0 && first.is_multiple_of(2) && first == again);
            first
        };
        let mut tokens = std::thread::scope(|scope| {
            let others = [scope.spawn(of_this), scope.spawn(of_this)];
            let mine = of_this();
            let [one, two] = others.map(|thread| thread.join().expect("a thread"));
            [mine, one, two]
        });
        tokens.sort();
        assert!(tokens[0] < tokens[1] && tokens[1] < tokens[2], "{tokens:?}");
    }
}
