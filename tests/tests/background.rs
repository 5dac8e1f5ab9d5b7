//! The background thread gives back what lies unused, sleeps while there is nothing, and is no trouble to the program.

use std::process::Command;
use std::time::Instant;

use brkmap_tests::program::{self, Front, preload};
use brkmap_tests::{compile, skip};

fn check(front: Front, words: &[&str], configuration: &str) {
    let mut command = front.exercise(&[&["background"], words].concat());
    command.env("BRKMAP_CONF", configuration);
    let ended = program::run(command);
    ended.expect_success(&format!("{words:?} on {front:?} with {configuration}"));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{words:?} on {front:?} with {configuration}");
}

#[test]
fn what_lies_unused_goes_back_and_then_the_thread_sleeps() {
    Front::BOTH.iter().for_each(|front| check(*front, &["idle"], "background:on,decay:50ms"));
}

#[test]
fn without_it_or_without_a_time_what_may_stay_stays() {
    for configuration in
        ["decay:50ms", "background:on,decay:off", "background:on,decay:1h", "background:off,decay:1ms"]
    {
        Front::BOTH.iter().for_each(|front| check(*front, &["stays"], configuration));
    }
}

#[test]
fn a_forks_child_has_its_own() {
    Front::BOTH.iter().for_each(|front| check(*front, &["fork"], "background:on,decay:50ms"));
}

#[test]
fn forks_of_many_threads_and_ways_go_on_beside_it() {
    for words in
        [&["fork-storm"][..], &["children", "_Fork", "50"], &["children", "clone", "50"], &["exit-time"]]
    {
        for front in Front::BOTH {
            let mut command = front.exercise(words);
            command.env("BRKMAP_CONF", "background:on,decay:1ms");
            program::run(command).expect_success(&format!("{words:?} on {front:?} beside the thread"));
        }
    }
}

#[test]
fn where_the_kernel_says_that_memory_is_short_everything_goes() {
    for front in Front::BOTH {
        let exercise = front.exercise(&["background", "pressure"]);
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount"])
            .arg(exercise.get_program())
            .args(exercise.get_args());
        for (name, value) in exercise.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("BRKMAP_CONF", "background:on,decay:1h,memory_events:/proc/self/mounts");
        let ended = program::run(command);
        let said = String::from_utf8_lossy(&ended.stderr);
        if !ended.status.success() && said.contains("unshare") {
            return skip::skip(&format!("no namespace to mount in: {said}"));
        }
        ended.expect_success(&format!("pressure on {front:?}"));
    }
}

#[test]
fn a_program_ends_with_its_last_own_thread() {
    let Some(program) = compile::c("background", &[]) else { return };
    for way in ["return", "pthread_exit", "last-thread", "closes-all"] {
        for decay in ["10ms", "1h", "off"] {
            let mut command = program.preloaded(&[preload()]);
            command
                .arg(way)
                .env("BRKMAP_CONF", format!("background:on,decay:{decay},memory_events:/proc/self/mounts"));
            let began = Instant::now();
            let ended = program::run(command);
            ended.expect_success(&format!("{way} with decay:{decay}"));
            assert!(began.elapsed().as_secs() < 30, "{way} with decay:{decay} waits for the thread");
        }
    }
}
