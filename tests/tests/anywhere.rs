//! It works at the odd moments: destructors, exit, small stacks, signals, closed descriptors.

use std::os::unix::process::CommandExt;

use brkmap_tests::program::{self, Front};

#[test]
fn destructors_of_threads_allocate_and_free() {
    Front::BOTH.iter().for_each(|front| front.check(&["tls-destructors"]));
}

#[test]
fn functions_that_run_at_exit_allocate_and_free() {
    for front in Front::BOTH {
        let ended = program::run(front.exercise(&["exit-time"]));
        ended.expect_success(&format!("exit-time on {front:?}"));
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "freed at exit\n");
    }
}

#[test]
fn the_smallest_stack_is_enough() {
    Front::Preload.check(&["small-stack", "1"]);
    // The programs are built without optimisation, and the linked-in allocator with them: its frames are several
    // times those of the code that users run.
    Front::Rust.check(&["small-stack", "4"]);
}

#[test]
fn a_library_that_is_only_opened_leaves_the_break_alone_and_outlives_its_closing() {
    let ended = program::run(program::plain(&["dlopened", &program::preload().display().to_string()]));
    ended.expect_success("dlopened");
}

#[test]
fn signals_that_interrupt_requests_do_no_harm() {
    Front::BOTH.iter().for_each(|front| front.check(&["signals"]));
}

#[test]
fn closed_standard_descriptors_do_no_harm() {
    for front in Front::BOTH {
        let mut command = front.exercise(&["storm", "2", "10000", "8"]);
        // SAFETY: close is async-signal-safe, and nothing else happens between fork and exec.
        unsafe {
            command.pre_exec(|| {
                (0..3).for_each(|descriptor| {
                    libc::close(descriptor);
                });
                Ok(())
            });
        }
        program::run(command).expect_success(&format!("without descriptors 0 to 2 on {front:?}"));
    }
}
