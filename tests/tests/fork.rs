//! Forks of threaded programs: no child hangs, and each can use all it inherited.

use brkmap_tests::program::Front;

#[test]
fn children_of_the_first_thread_use_all_they_inherited() {
    Front::BOTH.iter().for_each(|front| front.check(&["fork-storm"]));
}

#[test]
fn children_of_another_thread_use_all_they_inherited() {
    Front::BOTH.iter().for_each(|front| front.check(&["fork-storm", "from-thread"]));
}

#[test]
fn children_grow_what_a_thread_was_giving_back() {
    Front::BOTH.iter().for_each(|front| front.check(&["fork-shrinking"]));
}
