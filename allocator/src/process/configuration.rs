//! The configuration of the process: read before the first block, with nothing allocated and no lock.
//!
//! What a parent on this library has read as well, the parent has said: of a tree of processes the first one
//! speaks. A program with raised rights reads nothing: only code is in force there.

use super::instance::ALLOCATOR;
use super::voice::say;
use super::{background, help, reports, watch};
use crate::base::builder::Config;
use crate::base::complaint::{self, Line};
use crate::base::keys::Key;
use crate::base::settings::Origin;
use crate::base::sources::{self, FILE_MOST, Place};
use crate::os::environment::{is_secure, parent_has, read_file, variables};
use core::ffi::CStr;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

const FILE: &CStr = c"/etc/brkmap.conf";

const UNREAD: u32 = 0;
/// Some thread is reading.
const READING: u32 = 1;
const READ: u32 = 2;

/// Relaxed everywhere: threads that come at once read the same, and the first one speaks.
static STATE: AtomicU32 = AtomicU32::new(UNREAD);

/// Reads the configuration, once.
#[cold]
pub fn read() {
    if STATE.load(Ordering::Relaxed) == READ {
        return;
    }
    let first = STATE.compare_exchange(UNREAD, READING, Ordering::Relaxed, Ordering::Relaxed).is_ok();
    if !is_secure() {
        let mut is_wrong = false;
        read_all(&mut |_, _| is_wrong = true);
        // Once more, to speak: by now it is known whether to, and by which name.
        if first && is_wrong && !ALLOCATOR.arena.settings.is_on(Key::Quiet) {
            read_all(&mut |place, line| {
                if speaks_of(place.variable) {
                    say(line);
                }
            });
        }
        if first && ALLOCATOR.arena.settings.is_on(Key::Help) && speaks_of(variable_of_help()) {
            help::write();
        }
    }
    if first {
        reports::begin_log();
        watch::begin();
    }
    STATE.store(READ, Ordering::Relaxed);
    background::want();
}

#[inline(never)]
fn read_all(complain: &mut dyn FnMut(&Place, &Line)) {
    let mut buffer = [0; FILE_MOST];
    let file = read_file(FILE, &mut buffer).and_then(|len| buffer.get(..len));
    sources::read(&ALLOCATOR.arena.settings, file, variables, complain);
}

/// The configuration in code that was taken, by its address.
static CODE: AtomicPtr<Config> = AtomicPtr::new(null_mut());

/// Whether it is the one that was taken.
#[inline(always)]
pub fn is_code(config: &Config) -> bool {
    core::ptr::eq(CODE.load(Ordering::Relaxed), config)
}

/// What code says: it gives way to all others, whether they were read or not. The first one is taken, and one
/// that says something else is told of.
#[cold]
#[inline(never)]
pub fn take_code(config: &Config) {
    let ours = core::ptr::from_ref(config).cast_mut();
    if CODE.compare_exchange(null_mut(), ours, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        ALLOCATOR.arena.settings.take_code(config);
        background::want();
        return;
    }
    static TOLD: AtomicBool = AtomicBool::new(false);
    let differs = ALLOCATOR.arena.settings.differs_in_code(config);
    if let Some(key) = differs.filter(|_| !TOLD.swap(true, Ordering::Relaxed)) {
        say(&complaint::second_code(key));
    }
}

/// Whether this process is the one that speaks of a variable, or of the file where none is named.
fn speaks_of(variable: &[u8]) -> bool {
    let preload = variable_of(b"LD_PRELOAD=").filter(|text| text.windows(6).any(|part| part == b"brkmap"));
    let parent_speaks = |preload| match variable {
        [] => parent_has([preload]),
        _ => parent_has([preload, variable]),
    };
    !preload.is_some_and(parent_speaks)
}

/// The variable that asks for help.
fn variable_of_help() -> &'static [u8] {
    let variable = match ALLOCATOR.arena.settings.origin(Key::Help).0 {
        Origin::Conf => variable_of(b"BRKMAP_CONF="),
        Origin::Variable => variable_of(b"BRKMAP_HELP="),
        _ => None,
    };
    variable.unwrap_or_default()
}

/// A variable as it stands in the environment, by its name and `=`.
fn variable_of(name: &[u8]) -> Option<&'static [u8]> {
    variables().find(|variable| variable.starts_with(name))
}
