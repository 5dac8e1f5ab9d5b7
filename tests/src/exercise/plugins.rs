//! Libraries with the allocator inside, which come and go while the program runs.

use std::ffi::{CString, c_void};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::blocked::Reservation;
use super::{KIB, MIB, number};
use crate::measure;

pub fn main(words: &[&str]) {
    match words {
        ["rounds", path, rounds] => rounds_alone(path, number(rounds)),
        ["rounds", path, rounds, "threads"] => rounds_of_threads(path, number(rounds)),
        ["rounds", path, rounds, "held", size] => rounds_held(path, number(rounds), number(size)),
        ["rounds", path, rounds, "use-the-end"] => rounds_to_the_end(path, number(rounds)),
        ["rounds", path, rounds, "thread-locals"] => rounds_of_ending_threads(path, number(rounds)),
        ["many", paths @ ..] => many(paths),
        ["exit", path] => exit(Plugin::open(path)),
        ["exit", path, "namespace"] => exit(Plugin::open_apart(path)),
        ["close-at-exit", path, "first"] => close_at_exit(path, true),
        ["close-at-exit", path, "last"] => close_at_exit(path, false),
        _ => panic!("no scenario of plugins {words:?}"),
    }
}

/// A plugin that is open.
struct Plugin(*mut c_void);

// SAFETY: the loader's handles are every thread's.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl Plugin {
    fn open(path: &str) -> Plugin {
        let path = CString::new(path).expect("a path");
        // SAFETY: the library's initialisers do nothing to this program.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "dlopen of {path:?}");
        Plugin(library)
    }

    /// In a namespace of its own, with a libc of its own.
    #[cfg(target_env = "gnu")]
    fn open_apart(path: &str) -> Plugin {
        let path = CString::new(path).expect("a path");
        // SAFETY: as in `open`.
        let library = unsafe { libc::dlmopen(libc::LM_ID_NEWLM, path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "dlmopen of {path:?}");
        Plugin(library)
    }

    #[cfg(not(target_env = "gnu"))]
    fn open_apart(_path: &str) -> Plugin {
        panic!("this libc has one namespace")
    }

    fn find(&self, name: &std::ffi::CStr) -> *mut c_void {
        // SAFETY: the handle is open.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null(), "the plugin has no {name:?}");
        found
    }

    fn work(&self) {
        // SAFETY: the plugin's own function, of this type.
        let work = unsafe { std::mem::transmute::<*mut _, extern "C" fn(u64) -> u64>(self.find(c"work")) };
        assert_eq!(work(1000), 499_500);
    }

    fn call(&self, name: &std::ffi::CStr) {
        // SAFETY: as above.
        unsafe { std::mem::transmute::<*mut _, extern "C" fn()>(self.find(name))() };
    }

    fn take(&self, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let take =
            unsafe { std::mem::transmute::<*mut _, extern "C" fn(usize) -> *mut u8>(self.find(c"take")) };
        let block = take(size);
        assert!(!block.is_null(), "no memory in the plugin");
        block
    }

    /// Nothing of it is used any more, but for the blocks that were taken.
    fn close(self) {
        // SAFETY: the handle is given up.
        assert_eq!(unsafe { libc::dlclose(self.0) }, 0);
    }
}

/// Whether the loader has a plugin.
fn is_loaded(path: &str) -> bool {
    let path = CString::new(path).expect("a path");
    // SAFETY: loads nothing; the handle, if there is one, is kept.
    !unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) }.is_null()
}

/// Opens and closes again and again. After the first rounds the program's addresses stay as many, but for what
/// `round` may cost each.
fn rounds(path: &str, count: usize, cost: usize, mut round: impl FnMut(Plugin)) {
    const FIRST: usize = 20;
    let mut before = 0;
    for turn in 0..count {
        if turn == FIRST {
            before = measure::address_space();
        }
        round(Plugin::open(path));
        assert!(!is_loaded(path), "the plugin is there still in round {turn}: the test shows nothing");
    }
    assert!(count > FIRST, "too few rounds to tell");
    let more = measure::address_space().saturating_sub(before);
    let allowed = (count - FIRST) * cost + 256 * KIB;
    assert!(
        more <= allowed,
        "{} KiB more addresses after {count} rounds, {} allowed",
        more / KIB,
        allowed / KIB
    );
}

fn rounds_alone(path: &str, count: usize) {
    rounds(path, count, 0, |plugin| {
        plugin.work();
        plugin.close();
    });
}

/// Threads that were there before, work in each plugin, and live on.
fn rounds_of_threads(path: &str, count: usize) {
    const THREADS: usize = 4;
    static OPEN: std::sync::RwLock<Option<Plugin>> = std::sync::RwLock::new(None);
    let (opened, worked) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..count {
                    opened.wait();
                    OPEN.read().expect("no thread fails").as_ref().expect("a plugin").work();
                    worked.wait();
                }
            });
        }
        rounds(path, count, 0, |plugin| {
            *OPEN.write().expect("no thread fails") = Some(plugin);
            opened.wait();
            worked.wait();
            OPEN.write().expect("no thread fails").take().expect("a plugin").close();
        });
    });
}

/// A thread of each round ends with something of the plugin's to drop, before the plugin goes.
fn rounds_of_ending_threads(path: &str, count: usize) {
    rounds(path, count, 0, |plugin| {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                plugin.work();
                plugin.call(c"leave_to_the_thread");
            });
            thread.join().expect("the thread");
        });
        plugin.close();
    });
}

/// A block of each plugin is held beyond its end.
fn rounds_held(path: &str, count: usize, size: usize) {
    let mut held = Vec::with_capacity(count);
    let page = measure::page_size();
    let cost = match size {
        0..32_768 => size.next_multiple_of(page) + if size > page { page } else { 0 },
        32_768..131_072 => size.next_multiple_of(64 * KIB),
        // A mapping that was used before may be longer.
        _ => size.next_multiple_of(page) + size / 8,
    };
    rounds(path, count, cost, |plugin| {
        plugin.work();
        let block = plugin.take(size);
        // SAFETY: live and of this size, and so it stays.
        unsafe { block.write_bytes(held.len() as u8, size) };
        held.push(block);
        plugin.close();
    });
    for (turn, block) in held.into_iter().enumerate() {
        // SAFETY: live and of this size: its plugin went without it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
        assert!(bytes.iter().all(|byte| *byte == turn as u8), "the block of round {turn} changed");
        bytes.fill(0xff);
    }
}

/// A plugin that frees and allocates in its own destructors.
fn rounds_to_the_end(path: &str, count: usize) {
    rounds(path, count, 0, |plugin| {
        plugin.work();
        plugin.call(c"use_its_end");
        plugin.close();
    });
}

/// Plugins at the same time where few addresses are left.
fn many(paths: &[&str]) {
    const LEFT: usize = 512 << 30;
    let _reservation = Reservation::of_all_but(LEFT);
    let before = measure::address_space();
    let plugins: Vec<_> = paths.iter().map(|path| Plugin::open(path)).collect();
    let mut held = Vec::new();
    for plugin in &plugins {
        plugin.work();
        // A scope waits for what its thread does, not for its end.
        std::thread::scope(|scope| _ = scope.spawn(|| plugin.work()));
        for size in [100, 50_000, MIB] {
            held.extend((0..20).map(|_| plugin.take(size)));
        }
    }
    let each = (measure::address_space() - before) / plugins.len();
    assert!(each <= 128 * MIB, "{} MiB of addresses for each plugin", each / MIB);
    plugins.into_iter().for_each(Plugin::close);
    drop(held);
}

/// The program is to take its time to end.
static ENDS_SLOWLY: AtomicBool = AtomicBool::new(false);

/// Libraries of other namespaces have ended when the loader calls this.
#[used]
#[unsafe(link_section = ".fini_array")]
static SLOWLY: extern "C" fn() = slowly;

extern "C" fn slowly() {
    if ENDS_SLOWLY.load(Ordering::Relaxed) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The program ends while threads are at work in a plugin, and go on through what is done at its end.
fn exit(plugin: Plugin) {
    static WORKING: AtomicUsize = AtomicUsize::new(0);
    const THREADS: usize = 3;
    let plugin: &'static Plugin = Box::leak(Box::new(plugin));
    plugin.call(c"use_its_end");
    for _ in 0..THREADS {
        std::thread::spawn(|| {
            loop {
                plugin.work();
                WORKING.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    ENDS_SLOWLY.store(true, Ordering::Relaxed);
    // SAFETY: registers a function that lives as long as the program.
    assert_eq!(unsafe { libc::atexit(slowly) }, 0);
    while WORKING.load(Ordering::Relaxed) < 2 * THREADS {
        std::thread::yield_now();
    }
}

/// A function given to atexit closes the plugin: called before what the plugin itself gave to atexit, or behind it.
fn close_at_exit(path: &str, first: bool) {
    static OPEN: std::sync::Mutex<Option<Plugin>> = std::sync::Mutex::new(None);
    extern "C" fn close() {
        OPEN.lock().expect("one thread").take().expect("a plugin").close();
        println!("closed at exit");
    }
    // SAFETY: registers a function that lives as long as the program.
    let give = || assert_eq!(unsafe { libc::atexit(close) }, 0);
    if !first {
        give();
    }
    let plugin = Plugin::open(path);
    plugin.work();
    plugin.call(c"use_its_end");
    *OPEN.lock().expect("one thread") = Some(plugin);
    if first {
        give();
    }
}
