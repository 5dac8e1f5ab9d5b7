//! A block keeps no more resident than its pages: of programs that freed most of what they had, and of threads
//! that sleep.

use brkmap_tests::program::Front;

fn on_both(arguments: &[&str]) {
    Front::BOTH.iter().for_each(|front| front.check(arguments));
}

#[test]
fn a_sparse_program_gives_back_the_pages_inside_its_slabs() {
    for (size, every) in [("512", "128"), ("512", "16"), ("64", "256"), ("1000", "32"), ("3000", "16")] {
        on_both(&["sparse", size, every, "in-order"]);
    }
}

#[test]
fn which_blocks_stay_does_not_matter() {
    for (size, every) in [("512", "64"), ("64", "1000"), ("1000", "128")] {
        on_both(&["sparse", size, every, "at-random"]);
    }
}

#[test]
fn malloc_trim_leaves_the_pages_of_live_blocks() {
    // The last two are not sparse: only a call gives these back.
    for (size, every) in [("512", "2000"), ("64", "256"), ("1000", "32"), ("20000", "2"), ("8000", "3")] {
        Front::Preload.check(&["sparse", size, every, "trimmed"]);
    }
}

#[test]
fn threads_give_back_what_is_free_inside_their_slabs() {
    on_both(&["sparse-threads", "512", "64", "own"]);
    on_both(&["sparse-threads", "512", "64", "others"]);
}

#[test]
fn a_block_that_a_sleeping_thread_freed_keeps_no_more_than_its_page() {
    for (size, every) in [("512", "40"), ("64", "64"), ("1000", "20")] {
        on_both(&["sleepers", size, every]);
    }
}

#[test]
fn a_sleeping_thread_that_worked_with_every_size_keeps_a_mebibyte_at_most() {
    for bytes in ["100000", "200000"] {
        on_both(&["idle-threads", bytes]);
    }
}
