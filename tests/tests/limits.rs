//! Limits and refusals on the real kernel: NULL and ENOMEM, and everything works afterwards.

use std::os::unix::process::CommandExt;
use std::process::Command;

use brkmap_tests::program::{self, Front};
use brkmap_tracer::{Filter, Syscall};
use nix::sys::resource::Resource;

#[test]
fn rlimit_as_gives_null_and_enomem_and_then_memory_again() {
    Front::BOTH.iter().for_each(|front| front.check(&["limit", "as"]));
}

#[test]
fn rlimit_data_gives_null_and_enomem_and_then_memory_again() {
    Front::BOTH.iter().for_each(|front| front.check(&["limit", "data"]));
}

#[test]
fn without_memory_a_block_can_become_smaller() {
    Front::Preload.check(&["limit", "shrink"]);
}

#[test]
fn at_the_limit_of_mappings_requests_are_served_and_memory_goes_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["limit", "mappings"]));
}

/// A limit that was there before the program.
fn check_under(front: Front, resource: Resource, bytes: u64, arguments: &[&str]) {
    let mut command = front.exercise(arguments);
    // Beside the Rust front libc's malloc would take 64 MiB of addresses for each of its own arenas.
    command.env("MALLOC_ARENA_MAX", "1");
    program::limited(&mut command, resource, bytes, bytes);
    program::run(command).expect_success(&format!("limit {resource:?} of {bytes} bytes on {front:?}"));
}

#[test]
fn a_program_started_under_a_small_rlimit_as_works() {
    Front::BOTH.iter().for_each(|front| check_under(*front, Resource::RLIMIT_AS, 512 << 20, &["work"]));
}

/// Under 1 GiB there is room for some 600 heaps.
#[test]
fn threads_beyond_the_last_heap_are_served() {
    Front::BOTH
        .iter()
        .for_each(|front| check_under(*front, Resource::RLIMIT_AS, 1 << 30, &["many-threads", "900"]));
}

/// The most that a shell's `ulimit -v` can say, which is no limit.
#[test]
fn a_program_started_under_a_huge_rlimit_as_works() {
    Front::BOTH.iter().for_each(|front| check_under(*front, Resource::RLIMIT_AS, u64::MAX - 1023, &["work"]));
}

#[test]
fn a_program_started_under_a_small_rlimit_data_works() {
    Front::BOTH.iter().for_each(|front| check_under(*front, Resource::RLIMIT_DATA, 256 << 20, &["work"]));
}

#[test]
fn memory_a_program_takes_by_sbrk_stays_its_own() {
    for front in Front::BOTH {
        let ended = program::run(front.exercise(&["foreign-sbrk"]));
        ended.expect_success(&format!("foreign sbrk on {front:?}"));
        let given: usize = String::from_utf8_lossy(&ended.stdout).trim().parse().expect("a number");
        assert_eq!(given, 200, "sbrk refused on {front:?}");
    }
}

#[test]
fn the_arena_grows_into_what_a_program_gave_back_by_sbrk() {
    // Beside libc's malloc the arena leaves a break alone that another has moved.
    Front::Preload.check(&["sbrk-and-back"]);
}

#[test]
fn a_mapping_in_the_way_of_the_break_is_walked_around() {
    Front::BOTH.iter().for_each(|front| front.check(&["above-break"]));
}

/// Makes every brk of the program fail from its first instruction on. What a refusal looks like differs: a
/// filter cannot give the old break as the kernel does, it gives `-errno` (or 0 for errno 0), and libc
/// takes `-errno` for an address.
fn refuse_brk(command: &mut Command, errno: i32) {
    let filter = Filter::refuse(Syscall::Brk, errno);
    // SAFETY: `install` is async-signal-safe, and the filter was built before the fork.
    unsafe { command.pre_exec(move || filter.install()) };
}

#[test]
fn a_refused_brk_does_not_stop_the_program() {
    for front in Front::BOTH {
        for errno in [0, libc::EPERM, libc::ENOSYS, libc::ENOMEM] {
            let mut command = front.exercise(&["work"]);
            refuse_brk(&mut command, errno);
            program::run(command).expect_success(&format!("brk refused with errno {errno} on {front:?}"));
        }
    }
}
