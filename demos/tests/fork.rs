mod common;

use common::{claim, run, run_unprivileged};

const FORK: &str = env!("CARGO_BIN_EXE_fork");

#[test]
fn messages_cross_shared_memory_and_not_private_memory() {
    let report = run(FORK, &["--json"]).all_hold(4);
    assert_eq!(claim(&report, "the parent gets the child's")["holds"], true);
    assert_eq!(claim(&report, "never reaches the parent")["holds"], true);
}

#[test]
fn frame_claims_are_skipped_aloud_without_the_privilege() {
    let Some(ran) = run_unprivileged("fork unprivileged", FORK, &["--json"]) else { return };
    let report = ran.all_hold(4);
    let claim = claim(&report, "a frame of its own");
    assert!(claim["holds"].is_null(), "{claim}");
    assert!(claim["why"].as_str().is_some_and(|why| why.contains("CAP_SYS_ADMIN")), "{claim}");
}
