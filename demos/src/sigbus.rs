//! Touching a file mapping whose file may have been truncated, without dying of SIGBUS.
//!
//! A page wholly behind the file's end has no byte to show, so the kernel sends SIGBUS. The handler
//! here puts an anonymous zero page over the faulting page and notes the address; the interrupted
//! instruction then succeeds and the guard returns `Bus`. From then on that page of the mapping is
//! no longer the file's: drop the mapping and map again.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, Once};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::mapping::Mapping;
use brkmap_witness::page_size;

/// The first address that had no page behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bus {
    pub addr: usize,
}

// Written by the guarding thread, read by the handler on that same thread: a synchronous signal is
// program order, so Relaxed is enough. START == 0: nothing is guarded.
static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static PAGE: AtomicUsize = AtomicUsize::new(0);
static HIT: AtomicUsize = AtomicUsize::new(0);
/// One guard at a time in the process.
static ONE: Mutex<()> = Mutex::new(());
static INSTALL: Once = Once::new();

/// Runs `work`, which touches `mapping`; `Err` if a page of it had gone. What `work` read is then
/// not to be trusted, what it wrote is lost.
pub fn guarded<M: Mapping, T>(mapping: &M, work: impl FnOnce() -> T) -> Result<T, Bus> {
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    INSTALL.call_once(|| {
        let action = SigAction::new(SigHandler::SigAction(on_sigbus), SaFlags::SA_SIGINFO, SigSet::empty());
        // SAFETY: the handler makes only system calls and touches only the atomics above.
        unsafe { sigaction(Signal::SIGBUS, &action) }.expect("SIGBUS may be handled");
    });
    PAGE.store(page_size(), Relaxed);
    HIT.store(0, Relaxed);
    END.store(mapping.addr() + mapping.len().next_multiple_of(page_size()), Relaxed);
    START.store(mapping.addr(), Relaxed);
    let result = work();
    START.store(0, Relaxed);
    match HIT.load(Relaxed) {
        0 => Ok(result),
        addr => Err(Bus { addr }),
    }
}

extern "C" fn on_sigbus(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo, and SIGBUS fills si_addr.
    let addr = unsafe { (*info).si_addr() }.addr();
    let (start, end, page) = (START.load(Relaxed), END.load(Relaxed), PAGE.load(Relaxed));
    if start != 0 && (start..end).contains(&addr) {
        let at = std::ptr::without_provenance_mut(addr & !(page - 1));
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the page lies in the mapping that `guarded` borrows, and is accessed by atomics
        // only, for which zero is as good a value as any. mmap is a bare system call.
        if unsafe { libc::mmap(at, page, prot, flags, -1, 0) } != libc::MAP_FAILED {
            let _ = HIT.compare_exchange(0, addr, Relaxed, Relaxed);
            return;
        }
    }
    // Not ours: the instruction runs again under the default action, and the process ends as it
    // would have without us.
    // SAFETY: signal is async-signal-safe, and SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}
