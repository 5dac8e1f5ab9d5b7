//! Libraries with the allocator inside: they come and go without a trace, but for the blocks that are held.

use std::process::Command;

use brkmap_tests::program::{self, Front};
use brkmap_tests::soak;

/// The programs that open them: on libc's malloc, and with an allocator of their own.
fn hosts(arguments: &[&str]) -> [(&'static str, Command); 3] {
    let on = |front: Front| front.exercise(arguments);
    [("libc", program::plain(arguments)), ("preload", on(Front::Preload)), ("Rust", on(Front::Rust))]
}

fn check(arguments: &[&str]) {
    for (host, mut command) in hosts(&[&["plugins"], arguments].concat()) {
        // For the threads that use libc's malloc: each arena of it takes 64 MiB of addresses.
        command.env("MALLOC_ARENA_MAX", "1");
        program::run(command).expect_success(&format!("{arguments:?} in a program on {host}"));
    }
}

/// Rounds of a plugin that comes and goes.
fn check_rounds(what: &[&str]) {
    let rounds = soak::rounds(150, 1000).to_string();
    let plugin = program::plugin().display().to_string();
    check(&[&["rounds", &plugin, &rounds], what].concat());
}

#[test]
fn they_leave_no_addresses_behind() {
    let plugin = program::plugin().display().to_string();
    check(&["rounds", &plugin, "1000"]);
}

#[test]
fn they_leave_none_with_threads_that_used_them_and_live_on() {
    check_rounds(&["threads"]);
}

#[test]
fn they_leave_none_with_threads_that_end_with_something_of_theirs() {
    check_rounds(&["thread-locals"]);
}

#[test]
fn they_leave_none_that_free_and_allocate_in_their_own_destructors() {
    check_rounds(&["use-the-end"]);
}

#[test]
fn a_small_block_that_is_held_beyond_their_end_keeps_a_page() {
    ["1", "100", "1000", "5000", "20000"].iter().for_each(|size| check_rounds(&["held", size]));
}

#[test]
fn a_span_that_is_held_beyond_their_end_keeps_itself() {
    ["50000", "100000"].iter().for_each(|size| check_rounds(&["held", size]));
}

#[test]
fn a_large_block_that_is_held_beyond_their_end_keeps_itself() {
    ["200000", "1000000"].iter().for_each(|size| check_rounds(&["held", size]));
}

#[test]
fn sixteen_run_where_few_addresses_are_left() {
    let folder = tempfile::tempdir().expect("a folder");
    // Under other names they are other libraries to the loader.
    let copies: Vec<String> = (0..16)
        .map(|at| {
            let copy = folder.path().join(format!("libplugin-{at}.so"));
            std::fs::copy(program::plugin(), &copy).expect("a copy of the plugin");
            copy.display().to_string()
        })
        .collect();
    let paths: Vec<&str> = copies.iter().map(String::as_str).collect();
    check(&[&["many"], &paths[..]].concat());
}

#[test]
fn a_program_may_end_while_threads_are_in_one() {
    let plugin = program::plugin().display().to_string();
    (0..5).for_each(|_| check(&["exit", &plugin]));
}

/// Its libc is another one, which is not told of the program's end.
#[test]
#[cfg(target_env = "gnu")]
fn a_program_may_end_while_threads_are_in_one_of_another_namespace() {
    let plugin = program::plugin().display().to_string();
    (0..5).for_each(|_| check(&["exit", &plugin, "namespace"]));
}

/// What it gave to atexit in its constructor is called behind its destructors. A second one ends behind it.
#[test]
fn a_program_may_end_while_threads_are_in_one_that_came_with_it() {
    let (plugin, folder) = (program::plugin(), tempfile::tempdir().expect("a folder"));
    let second = folder.path().join("libsecond.so");
    std::fs::copy(&plugin, &second).expect("a copy of the plugin");
    for (host, mut command) in hosts(&["plugins", "exit", &plugin.display().to_string()]) {
        let ours = Some(program::preload()).filter(|_| host == "preload");
        let all: Vec<_> =
            ours.into_iter().chain([&*plugin, &second]).map(|path| path.display().to_string()).collect();
        command.env("PLUGIN_COMES_WITH_THE_PROGRAM", "1").env("LD_PRELOAD", all.join(":"));
        program::run(command).expect_success(&format!("preloaded in a program on {host}"));
    }
}

#[test]
fn a_function_that_runs_at_exit_may_close_one() {
    let plugin = program::plugin().display().to_string();
    for order in ["first", "last"] {
        for (host, command) in hosts(&["plugins", "close-at-exit", &plugin, order]) {
            let ended = program::run(command);
            ended.expect_success(&format!("closed {order} in a program on {host}"));
            assert_eq!(String::from_utf8_lossy(&ended.stdout), "closed at exit\n");
        }
    }
}
