//! Two mallocs in one process, each with its own memory, and a break that somebody else moves too.

use brkmap_tests::program::{self, Front};

#[test]
fn libcs_own_malloc_grows_and_trims_while_ours_does() {
    for front in Front::BOTH {
        (0..3).for_each(|_| front.check(&["beside", "threads"]));
    }
}

#[test]
fn blocks_of_several_mallocs_are_each_its_own() {
    Front::BOTH.iter().for_each(|front| front.check(&["beside", "turns"]));
}

#[test]
fn a_rust_program_with_the_allocator_inside_runs_under_the_library() {
    for arguments in
        [&["beside", "turns"][..], &["beside", "threads"], &["work"], &["storm", "3", "20000", "2"]]
    {
        program::run(program::both(arguments))
            .expect_success(&format!("{arguments:?} on one within the other"));
    }
}

#[test]
fn what_c_code_frees_in_a_rust_program_goes_back_as_on_libc() {
    const MORE: usize = 8 << 20;
    for size in ["1000", "10000", "100000"] {
        for among in [&[][..], &["among-ours"]] {
            let arguments = [&["beside", "left", size], among].concat();
            let libcs = program::run(program::plain(&arguments)).numbers("on libc")[0];
            let ours = program::run(Front::Rust.exercise(&arguments)).numbers("beside ours")[0];
            assert!(ours <= libcs + MORE, "{ours} bytes stay for {arguments:?}, {libcs} on libc");
        }
    }
}

#[test]
fn what_a_program_takes_by_the_system_call_stays_its_own() {
    Front::BOTH.iter().for_each(|front| front.check(&["beside", "raw-break"]));
    // From a stale copy libc's own sbrk would lower the break: ours has none.
    Front::Preload.check(&["beside", "raw-break", "and-sbrk"]);
}
