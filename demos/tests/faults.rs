mod common;

use common::{claim, file, run, run_unprivileged};

const FAULTS: &str = env!("CARGO_BIN_EXE_faults");

#[test]
fn every_claim_holds_for_a_file_of_its_own() {
    let report = run(FAULTS, &["--json", "--pages", "100"]).all_hold(12);
    assert_eq!(report["facts"]["first_touch_faults"]["minor"], 100);
    assert_eq!(claim(&report, "is SIGBUS")["holds"], true);
}

#[test]
fn frame_claims_are_skipped_aloud_without_the_privilege() {
    let Some(ran) = run_unprivileged("faults unprivileged", FAULTS, &["--json"]) else { return };
    let report = ran.all_hold(12);
    let claim = claim(&report, "three addresses, one frame");
    assert!(claim["why"].as_str().is_some_and(|why| why.contains("CAP_SYS_ADMIN")), "{claim}");
}

#[test]
fn a_small_file_or_one_without_a_tail_skips_what_it_cannot_show() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(dir.path(), "page", &[7; 4096], 0o600);
    let report = run(FAULTS, &["--json", &path]).all_hold(8);
    assert!(claim(&report, "major faults")["holds"].is_null());
    assert!(claim(&report, "reads as zeros")["holds"].is_null());
    let path = file(dir.path(), "tail", &[7; 100], 0o600);
    let report = run(FAULTS, &["--json", &path]).all_hold(9);
    assert!(
        claim(&report, "reads as zeros")["why"].as_str().is_some_and(|why| why.starts_with("3996 zeros"))
    );
}

#[test]
fn bad_input_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let empty = file(dir.path(), "empty", b"", 0o600);
    run(FAULTS, &[&empty]).refused(&[&empty, "is empty"]);
    run(FAULTS, &["/dev/zero"]).refused(&["/dev/zero", "character device"]);
    run(FAULTS, &["/proc"]).refused(&["/proc", "directory"]);
    run(FAULTS, &["--pages", "0"]).refused(&["--pages", "2..=65536"]);
}
