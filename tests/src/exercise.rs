//! What the programs under test do: scenarios by name, each over any allocator.
//!
//! A scenario judges itself and panics where a promise does not hold; what shows only from outside (system
//! calls) it marks for the tracer. Its bookkeeping is kept out of the allocator it measures.

use std::alloc::{GlobalAlloc, Layout};
use std::time::Duration;

use nix::sys::resource::Resource;

use crate::shadow;

mod addresses;
pub mod anywhere;
mod background;
mod beside;
mod beyond_reach;
mod blocked;
mod blocks;
pub mod c_api;
pub mod c_names;
pub mod c_sized;
mod cancelled;
pub mod children;
mod dlopened;
pub mod faults;
pub mod fork;
pub mod give_back;
pub mod heaps;
pub mod lifetime;
pub mod limits;
mod misuse;
mod own_limits;
mod plugins;
mod profiled;
pub mod small;
pub mod sparse;
mod stamped;
mod statistics;
mod sticky;
pub mod syscalls;
pub mod threads;
mod wrong;
mod wrong_pointers;

/// Runs the scenario the command line names, on `alloc`. For C functions the allocator is the process's
/// malloc.
pub fn main<A: GlobalAlloc + Sync>(alloc: &'static A) {
    // A broken promise ends the program, whichever thread found it: the others may be waiting for that
    // thread.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |why| {
        report(why);
        // SAFETY: ends the process and nothing else.
        unsafe { libc::_exit(101) };
    }));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["nothing"] => {}
        ["residency"] => statistics::residency(alloc),
        ["statistics", form] => statistics::say(alloc, form),
        ["small"] => syscalls::small(alloc),
        ["large"] => syscalls::large(alloc),
        ["threads"] => syscalls::threads(alloc),
        ["threshold", bytes] => syscalls::threshold(alloc, number(bytes)),
        ["mallopt", bytes] => syscalls::mallopt(alloc, number(bytes)),
        ["realloc"] => syscalls::realloc(alloc),
        ["zeroed"] => syscalls::zeroed(alloc),
        ["storm", threads, steps, seed] => {
            shadow::storm(alloc, number(threads), number(steps), number(seed) as u64)
        }
        ["give-back", kind] => give_back::all(alloc, kind),
        ["give-back-again"] => give_back::again(alloc),
        ["give-back-swing", kind] => give_back::swing(alloc, kind),
        ["give-back-large-cache"] => give_back::large_cache(alloc),
        ["sparse", size, every, how] => sparse::thinned(alloc, number(size), number(every), how),
        ["sparse-threads", size, every, whose] => {
            sparse::by_threads(alloc, number(size), number(every), whose)
        }
        ["sleepers", size, every] => sparse::sleepers(alloc, number(size), number(every)),
        ["idle-threads", bytes] => sparse::idle(alloc, number(bytes)),
        ["pair"] => threads::pair(alloc),
        ["only-frees"] => threads::only_frees(alloc),
        ["churn"] => threads::churn(alloc),
        ["two-hundred"] => threads::two_hundred(alloc),
        ["many-threads", count] => threads::many(alloc, number(count)),
        ["limit", "as"] => limits::refused(alloc, Resource::RLIMIT_AS),
        ["limit", "data"] => limits::refused(alloc, Resource::RLIMIT_DATA),
        ["limit", "shrink"] => limits::shrink(alloc),
        ["limit", "mappings"] => limits::no_more_mappings(alloc),
        ["foreign-sbrk"] => limits::foreign_sbrk(alloc),
        ["sbrk-and-back"] => limits::sbrk_and_back(alloc),
        ["above-break"] => limits::above_break(alloc),
        ["faults", call] => faults::single(alloc, call),
        ["faults-first", call, k, count, errno] => {
            faults::first(alloc, call, number(k), number(count), number(errno) as i32)
        }
        ["faults-threads"] => faults::threads(alloc),
        ["wrong-free", kind, ref how @ ..] => wrong::free(alloc, kind, how),
        ["stamped", size] => stamped::all(number(size)),
        ["misuse", error, size] => misuse::commit(error, number(size)),
        ["misuse", error, size, "handled"] => {
            wrong::handle_aborts(alloc);
            misuse::commit(error, number(size));
        }
        ["work"] => limits::work(alloc),
        ["threads-that-free", each, at_once] => lifetime::only_free(alloc, number(each), number(at_once)),
        ["late-destructors", first, at_once] => {
            lifetime::late_destructors(alloc, number(first), number(at_once))
        }
        ["heaps"] => heaps::come_and_go(),
        ["heaps", "million"] => heaps::million(),
        ["heaps", "many"] => heaps::many(),
        ["wrong-heap", kind] => heaps::wrong(alloc, kind),
        ["fork-storm"] => fork::storm(alloc, false),
        ["fork-storm", "from-thread"] => fork::storm(alloc, true),
        ["children", way] => children::ways(alloc, way, fork::forks()),
        ["children", way, count] => children::ways(alloc, way, number(count)),
        ["children-of-handlers"] => children::handlers(alloc),
        ["children-in-signals", threads] => children::in_signal_handler(alloc, number(threads), false),
        ["children-in-signals", threads, "with-handlers"] => {
            children::in_signal_handler(alloc, number(threads), true)
        }
        ["children-sharing-memory"] => children::sharing_memory(alloc),
        ["children-after-threads", threads] => children::after_threads(alloc, number(threads)),
        ["fork-shrinking"] => fork::while_shrinking(alloc),
        ["tls-destructors"] => anywhere::tls_destructors(alloc),
        ["exit-time"] => anywhere::exit_time(alloc),
        ["small-stack", times] => anywhere::small_stack(alloc, number(times)),
        ["dlopened", path] => dlopened::all(path),
        ["constructor", path] => dlopened::constructor(alloc, path),
        ["plugin", path] => dlopened::plugin(path),
        ["signals"] => anywhere::signals(alloc),
        ["c-api", case] => c_api::run(case, &[]),
        ["c-api", case, "but", ref others @ ..] => c_api::run(case, others),
        ["cancelled"] => cancelled::all(),
        ["beyond-reach"] => beyond_reach::of_addresses(alloc),
        ["beyond-reach", "limit"] => beyond_reach::of_the_limit(alloc),
        ["beyond-reach", "errno"] => beyond_reach::errno_stays(),
        ["wrong-realloc", bytes] => wrong_pointers::resized(alloc, number(bytes)),
        ["wrong-pointer", function, kind] => wrong_pointers::told(function, kind),
        ["wrong-size", function, kind] => wrong_pointers::sized(function, kind),
        ["sized-frees-without-memory"] => c_sized::without_memory(),
        ["addresses", ref rest @ ..] => addresses::main(alloc, rest),
        ["background", ref rest @ ..] => background::main(alloc, rest),
        ["beside", ref rest @ ..] => beside::main(alloc, rest),
        ["blocked", ref rest @ ..] => blocked::main(alloc, rest),
        ["own-limit", ref rest @ ..] => own_limits::main(alloc, rest),
        ["plugins", ref rest @ ..] => plugins::main(rest),
        ["profiled-sites", order, rounds] => profiled::sites(alloc, order, number(rounds)),
        ["profiled-by-functions", folder] => profiled::by_functions(alloc, folder),
        ["profiled-threads", folder] => profiled::threads(alloc, folder),
        ["profiled-dlopened", path, times] => profiled::dlopened(alloc, path, number(times)),
        ["profiled-beside-sigprof"] => profiled::beside_sigprof(alloc),
        ["profiled-waiting"] => profiled::waiting(alloc),
        ["profiled-peak"] => profiled::peak(alloc),
        ["profiled-until-traced"] => profiled::until_traced(alloc),
        ["sticky", what] => sticky::main(alloc, what),
        _ => panic!("no scenario {words:?}"),
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| panic!("{text} is not a number"))
}

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// An alignment every allocator gives by itself.
fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("sizes here are small")
}

/// A block, or null.
fn get<A: GlobalAlloc + ?Sized>(alloc: &A, size: usize) -> *mut u8 {
    // SAFETY: no size here is zero. The compiler may drop a pair of malloc and free whose block it sees
    // unused, so it must not see.
    std::hint::black_box(unsafe { alloc.alloc(layout(size)) })
}

/// # Safety
/// `block` came from `get` of the same size and is given up.
unsafe fn put<A: GlobalAlloc + ?Sized>(alloc: &A, block: *mut u8, size: usize) {
    // SAFETY: as the caller promises.
    unsafe { alloc.dealloc(block, layout(size)) }
}

/// Waits until what was taken again and again is taken no more, and takes a slow path: the next one gives back what
/// stayed for that.
fn end_swing<A: GlobalAlloc + ?Sized>(alloc: &A) {
    std::thread::sleep(Duration::from_millis(500));
    let block = get(alloc, MIB);
    // SAFETY: got above, given up here.
    unsafe { put(alloc, block, MIB) };
}

/// Frees blocks of a size that are chained through their first words, the newest first.
///
/// # Safety
/// `last` is null, or came from `get` of this size and holds the one before; all of them are given up.
unsafe fn put_chain<A: GlobalAlloc>(alloc: &A, mut last: *mut u8, size: usize) {
    while !last.is_null() {
        // SAFETY: as the caller promises; each block is read before it is given up.
        unsafe {
            let next = last.cast::<*mut u8>().read();
            put(alloc, last, size);
            last = next;
        }
    }
}

/// Writes to every page of a block, so that all of it is resident.
///
/// # Safety
/// `block` is live and of at least this size.
unsafe fn touch(block: *mut u8, size: usize) {
    // The smallest page there is; a larger one is touched more than once.
    for at in (0..size).step_by(4 * KIB).chain([size - 1]) {
        // SAFETY: within the block. Volatile, or a block that is only freed would not be written at all.
        unsafe { block.add(at).write_volatile(at as u8) };
    }
}
