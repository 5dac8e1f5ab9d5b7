//! What the C front owes beyond the family's manual: glibc's other names, its reports, sized frees, and that
//! what cannot be had costs nothing.

use brkmap_tests::program::{self, Front};

macro_rules! tests {
    ($($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                Front::Preload.check(&["c-api", stringify!($case)]);
            }
        )*
    };
}
brkmap_tests::c_names_cases!(tests);
brkmap_tests::c_sized_cases!(tests);

#[test]
fn a_block_that_stayed_for_want_of_memory_is_freed_with_its_new_size() {
    Front::Preload.check(&["sized-frees-without-memory"]);
}

#[test]
fn nothing_of_the_family_is_a_cancellation_point() {
    let ended = program::run(Front::Preload.exercise(&["cancelled"]));
    ended.expect_success("cancelled");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        said.starts_with("brkmap: process ") && said.contains("\nmapped ") && said.ends_with('\n'),
        "malloc_stats said {said:?}"
    );
}

#[test]
fn what_no_address_space_holds_is_refused_and_nothing_is_given_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["beyond-reach"]));
}

#[test]
fn what_is_above_a_limit_is_refused_and_nothing_is_given_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["beyond-reach", "limit"]));
}

#[test]
fn posix_memalign_without_memory_leaves_errno_and_the_pointer_alone() {
    Front::Preload.check(&["beyond-reach", "errno"]);
}
