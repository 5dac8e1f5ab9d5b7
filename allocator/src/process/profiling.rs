//! The heap profile of the process: begun and ended, and written where the configuration says.
//!
//! ```text
//!   BRKMAP_CONF=profile:512K ─► begin, with the first heap ─► at exit, or at a signal: a file
//!   brkmap::profile::start ────► start … stop, write_pprof, write_dhat
//! ```
//!
//! Nobody waits here: two threads that start or stop a profile at once are told apart by one word, and the
//! second one is refused.
#![allow(unsafe_code)]

use super::instance::ALLOCATOR;
use super::voice::say;
use crate::base::complaint::Line;
use crate::base::config::{PROFILE, SAMPLE_RATE};
use crate::base::keys::Key;
use crate::files::sink::Sink;
use crate::files::{self, File, Form, Moment, Name, Span};
use crate::os::descriptor::Errno;
use crate::os::errno::keep_errno;
use crate::os::numbers;
use crate::os::thread::ThreadWord;
use crate::os::{Os, probes, stack};
use core::ffi::c_int;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Somebody starts or stops a profile. Its only order is that of the words of `samples`.
static CHANGING: AtomicBool = AtomicBool::new(false);

/// When the profile began, in nanoseconds since 1970.
static BEGAN: AtomicU64 = AtomicU64::new(0);

/// Files that were written, and the process whose they are.
static FILES: AtomicU32 = AtomicU32::new(0);
static PROCESS: AtomicU32 = AtomicU32::new(0);

/// The words of `profile_at`, by their places.
const AT_EXIT: usize = 0;
const AT_PEAK: usize = 1;

/// Begins a profile of a sample in `rate` bytes in the mean, and forgets the one before. The same `seed`
/// draws the same distances. False where another thread starts or stops one at this moment, and where there
/// is no memory for it.
pub fn start<W: ThreadWord>(rate: usize, seed: Option<u64>) -> bool {
    if !PROFILE {
        return false;
    }
    stack::prepare();
    let began = begin_anew(rate, seed);
    if began {
        follow::<W>();
    }
    began
}

/// Without a call into the loader, whose lock the calling thread may hold.
fn begin_anew(rate: usize, seed: Option<u64>) -> bool {
    if CHANGING.swap(true, Ordering::Acquire) {
        return false;
    }
    let os = &ALLOCATOR.arena.os;
    // Where this is on the stack is not the same in two processes.
    let here = 0u8;
    let drawn = || os.micros().wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (&raw const here).addr() as u64;
    BEGAN.store(os.nanos_since_1970(), Ordering::Relaxed);
    stack::make_room(os);
    let began = ALLOCATOR.start_profile(rate, seed.unwrap_or_else(drawn));
    CHANGING.store(false, Ordering::Release);
    began
}

/// Whether a tracer looked at samples when that was asked last, and whether the profile is for it.
static TRACED: AtomicBool = AtomicBool::new(false);
static FOR_TRACERS: AtomicBool = AtomicBool::new(false);

/// Whether a tracer came or went, which a slow path is to heed.
#[inline]
pub fn has_news() -> bool {
    PROFILE && probes::want_samples() != TRACED.load(Ordering::Relaxed)
}

/// In slow paths: a tracer that attaches to the probes begins a profile, if none is taken, and the one that
/// leaves ends it.
#[inline]
pub fn heed_tracers<W: ThreadWord>() {
    if has_news() {
        tracers_changed::<W>();
    }
}

#[cold]
#[inline(never)]
fn tracers_changed<W: ThreadWord>() {
    let wanted = probes::want_samples();
    if TRACED.swap(wanted, Ordering::Relaxed) == wanted {
        return;
    }
    if wanted && !ALLOCATOR.is_profiling() {
        let rate = match ALLOCATOR.arena.settings.get(Key::Profile) {
            0 => SAMPLE_RATE,
            rate => rate,
        };
        FOR_TRACERS.store(begin_anew(rate, None), Ordering::Relaxed);
    } else if !wanted && FOR_TRACERS.swap(false, Ordering::Relaxed) {
        stop::<W>();
    }
}

/// Ends the profile; what it knows stays. False as for `start`.
pub fn stop<W: ThreadWord>() -> bool {
    if !PROFILE || CHANGING.swap(true, Ordering::Acquire) {
        return false;
    }
    ALLOCATOR.stop_profile();
    CHANGING.store(false, Ordering::Release);
    follow::<W>();
    true
}

/// The calling thread takes part, or not any more, at once.
fn follow<W: ThreadWord>() {
    if let Some(heap) = ALLOCATOR.attached::<W>().filter(|heap| !heap.is_busy()) {
        ALLOCATOR.follow_profile(heap);
    }
}

/// In a fork's child. The profile goes on, with what the parent's knew.
pub fn repair_after_fork() {
    CHANGING.store(false, Ordering::Relaxed);
}

/// Writes the profile.
pub fn write(moment: Moment, form: Form, out: &mut impl Sink) -> bool {
    let os = &ALLOCATOR.arena.os;
    let lasted = os.micros().saturating_sub(ALLOCATOR.samples.began()).saturating_mul(1000);
    let span = Span { began: BEGAN.load(Ordering::Relaxed), lasted };
    files::write(ALLOCATOR.samples, os, span, moment, form, out)
}

/// With the process's first heap: begins the profile that the configuration asks for.
pub fn begin<W: ThreadWord>() {
    let settings = &ALLOCATOR.arena.settings;
    let rate = settings.get(Key::Profile);
    if !PROFILE || rate == 0 {
        return;
    }
    if !start::<W>(rate, None) {
        let mut line = Line::new();
        line.push("profile: there is no memory for it");
        return say(&line);
    }
    PROCESS.store(numbers::process(), Ordering::Relaxed);
    match settings.get(Key::ProfileAt) {
        // SAFETY: the function is there until libc has called it, at the end of the library or the program.
        AT_EXIT | AT_PEAK => _ = unsafe { libc::atexit(at_exit) },
        _ => catch_signal(),
    }
}

extern "C" fn at_exit() {
    let at_peak = ALLOCATOR.arena.settings.get(Key::ProfileAt) == AT_PEAK;
    write_file(if at_peak { Moment::Peak } else { Moment::Now });
}

/// A handler of the program's own stays, if it is there already.
fn catch_signal() {
    extern "C" fn on_signal(_: c_int) {
        keep_errno(|| write_file(Moment::Now));
    }
    // SAFETY: zeros are an action: the default one, with no signal blocked. The calls read and write what
    // they are given.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        let asked = libc::sigaction(libc::SIGUSR2, core::ptr::null(), &mut action);
        if asked != 0 || action.sa_sigaction != libc::SIG_DFL {
            let mut line = Line::new();
            line.push("profile_at: the program has a handler of SIGUSR2, which stays: no profile is written");
            return say(&line);
        }
        action.sa_sigaction = on_signal as *const () as usize;
        // On the thread's own stack: another one that it may have for handlers is short, and 16 KiB are used.
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(libc::SIGUSR2, &action, core::ptr::null_mut());
    }
}

/// Writes the file that the configuration names, and says what went wrong.
fn write_file(moment: Moment) {
    let settings = &ALLOCATOR.arena.settings;
    let text = settings.text(Key::ProfileOut);
    let several = settings.get(Key::ProfileAt) > AT_PEAK;
    let pattern: &[u8] = match text.bytes() {
        [] if several => b"heap.%p.%n.pb.gz",
        [] => b"heap.%p.pb.gz",
        pattern => pattern,
    };
    // Of a fork's child, which would write over its parent's.
    if numbers::process() != PROCESS.load(Ordering::Relaxed) && !pattern.windows(2).any(|two| two == b"%p") {
        return;
    }
    let number = FILES.fetch_add(1, Ordering::Relaxed) + 1;
    let name = Name::new(pattern, numbers::process() as u64, number as u64);
    let Some(name) = name.as_c_str() else { return complain(pattern, "its name is too long") };
    let written = File::create(name).and_then(|mut file| {
        let any = write(moment, Form::of_name(name.to_bytes()), &mut file);
        file.finish().and(if any { Ok(()) } else { Err(Errno(libc::ENOMEM)) })
    });
    if let Err(error) = written {
        complain(
            name.to_bytes(),
            match error.0 {
                libc::ENOENT | libc::ENOTDIR => "there is no such folder",
                libc::EACCES | libc::EPERM | libc::EROFS => "it may not be written there",
                libc::ENOSPC | libc::EDQUOT => "there is no room for it",
                libc::ENOMEM => "there is no memory to write it",
                _ => "the kernel refused it",
            },
        );
    }
}

#[cold]
fn complain(name: &[u8], why: &str) {
    let mut line = Line::new();
    line.push("the profile ");
    line.push_shown(name, 255);
    line.push(" was not written: ");
    line.push(why);
    say(&line);
}
