//! Forks of threaded programs: no child hangs, and each can use all it inherited.

use std::os::unix::process::CommandExt;

use brkmap_tests::program::{Front, run};
use brkmap_tests::skip::skip;
use brkmap_tracer::{Filter, Syscall};

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

/// Whatever made them: no handler of the allocator's has run in most.
#[test]
fn children_made_past_libc_allocate() {
    for front in Front::BOTH {
        for way in ["fork", "_Fork", "clone", "clone3"] {
            let ended = run(front.exercise(&["children", way]));
            ended.expect_success(&format!("children by {way} on {front:?}"));
            if String::from_utf8_lossy(&ended.stdout).contains("absent") {
                skip(&format!("this libc or kernel has no {way}"));
            }
        }
    }
}

/// Linux before 4.14, and some emulators: who waits long for a lock finds out by the process's number.
#[test]
fn children_made_past_libc_allocate_where_the_kernel_wipes_no_page() {
    let filter = Filter::refuse(Syscall::Other(libc::SYS_madvise), libc::EINVAL);
    for front in Front::BOTH {
        for (way, count) in [("fork", "100"), ("_Fork", "10"), ("clone", "10")] {
            let (mut command, filter) = (front.exercise(&["children", way, count]), filter.clone());
            // SAFETY: `install` is async-signal-safe, and the filter was built before the fork.
            unsafe { command.pre_exec(move || filter.install()) };
            run(command).expect_success(&format!("children by {way} on {front:?}, without the page"));
        }
    }
}

#[test]
fn handlers_of_others_allocate_in_children_before_ours_and_behind_it() {
    Front::BOTH.iter().for_each(|front| front.check(&["children-of-handlers"]));
}

#[test]
fn a_child_of_a_signal_handler_goes_on_where_its_thread_was() {
    for front in Front::BOTH {
        front.check(&["children-in-signals", "0"]);
        front.check(&["children-in-signals", "3"]);
    }
}

#[test]
fn handlers_allocate_in_a_child_whose_own_thread_is_in_the_middle_of_a_request() {
    for front in Front::BOTH {
        front.check(&["children-in-signals", "0", "with-handlers"]);
        front.check(&["children-in-signals", "3", "with-handlers"]);
    }
}

#[test]
fn a_child_that_shares_its_parents_memory_disturbs_nothing() {
    Front::BOTH.iter().for_each(|front| front.check(&["children-sharing-memory"]));
}

#[test]
fn a_child_copies_little_after_many_threads_came_and_went() {
    for front in Front::BOTH {
        front.check(&["children-after-threads", "100"]);
        front.check(&["children-after-threads", "3000"]);
    }
}
