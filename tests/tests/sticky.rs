//! What the owner of a large block did to its pages is not handed to the next one.

use brkmap_tests::program::Front;

fn check(what: &str) {
    Front::BOTH.iter().for_each(|front| front.check(&["sticky", what]));
}

#[test]
fn pages_that_could_not_be_written_can_be_written_again() {
    check("read-only");
}

#[test]
fn pages_that_could_not_be_read_can_be_read_again() {
    check("no-access");
}

#[test]
fn pages_that_a_fork_left_out_are_in_the_next() {
    check("not-in-a-fork");
}

#[test]
fn pages_that_a_fork_wiped_keep_their_bytes_in_the_next() {
    check("wiped-in-a-fork");
}

#[test]
fn locked_pages_are_locked_no_more() {
    check("lock");
}
