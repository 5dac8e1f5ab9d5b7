//! It works at the odd moments: destructors, exit, small stacks, signals, closed descriptors.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use brkmap_tests::program::{self, Front};
use brkmap_tests::skip;
use nix::unistd::{Uid, chown};

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
fn a_library_with_the_allocator_inside_can_be_closed_under_its_threads() {
    let ended = program::run(program::plain(&["plugin", &program::plugin().display().to_string()]));
    ended.expect_success("plugin");
}

#[test]
fn constructors_under_the_loaders_lock_allocate_while_other_threads_do() {
    let library = program::constructor().display().to_string();
    Front::BOTH.iter().for_each(|front| front.check(&["constructor", &library]));
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

/// What a copy of the Rust front's program says of an option that makes no sense, run with the rights of `owner`.
fn complaint(owner: Option<Uid>) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("exercise-rust");
    program::copy(&program::binary("exercise-rust"), &copy);
    if owner.is_some() {
        chown(&copy, owner, None).expect("root may");
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o4755)).expect("root may");
    }
    let mut command = Command::new(&copy);
    command.arg("nothing").env("BRKMAP_MMAP_THRESHOLD", "nonsense");
    let ended = program::run(command);
    ended.expect_success("a copy of exercise-rust");
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[test]
fn a_program_with_raised_rights_does_not_read_its_options_from_the_environment() {
    if !Uid::effective().is_root() {
        return skip::skip("needs root, to give a program somebody else's rights");
    }
    assert!(
        complaint(None).contains("BRKMAP_MMAP_THRESHOLD: mmap_threshold is `nonsense`, which is ignored"),
        "an ordinary program reads it"
    );
    assert_eq!(complaint(Some(Uid::from_raw(65534))), "");
}
