mod common;

use common::{claim, run, run_unprivileged};

const THRESHOLD: &str = env!("CARGO_BIN_EXE_threshold");

#[test]
fn small_blocks_come_from_the_break_and_large_ones_are_mappings() {
    let report = run(THRESHOLD, &["--json"]).all_hold(10);
    assert!(report["facts"]["first_touch_faults"]["minor"].as_u64() > Some(2500));
    for part in ["an area now", "has vanished", "mapping of its own", "every byte is where it was"] {
        assert_eq!(claim(&report, part)["holds"], true);
    }
}

#[test]
fn frame_claims_are_skipped_aloud_without_the_privilege() {
    let Some(ran) = run_unprivileged("threshold unprivileged", THRESHOLD, &["--json"]) else { return };
    let report = ran.all_hold(10);
    let claim = claim(&report, "the frames came along");
    assert!(claim["why"].as_str().is_some_and(|why| why.contains("CAP_SYS_ADMIN")), "{claim}");
}
