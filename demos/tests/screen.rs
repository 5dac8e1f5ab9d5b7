mod common;

use common::{claim, interrupted, run, run_unprivileged};

const SCREEN: &str = env!("CARGO_BIN_EXE_screen");

#[test]
fn what_one_process_draws_another_shows_and_keeps() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("out.png").display().to_string();
    let ran = run(SCREEN, &["--json", "--width", "50", "--height", "31", "--pictures", "40", "--png", &path]);
    let report = ran.all_hold(3);
    assert_eq!(report["facts"]["pictures"], 40);
    let file = std::io::BufReader::new(std::fs::File::open(&path).expect("the PNG"));
    let mut reader = png::Decoder::new(file).read_info().expect("a PNG");
    let mut pixels = vec![0; 50 * 31 * 3];
    reader.next_frame(&mut pixels).expect("pixels");
    let red = pixels.chunks_exact(3).filter(|pixel| pixel[0] > 100).count();
    assert!((20..50 * 31).contains(&red), "the ball covers {red} pixels");
}

#[test]
fn without_a_terminal_there_is_one_picture_and_no_escape() {
    let ran = run(SCREEN, &["--width", "40", "--height", "20", "--pictures", "3"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains('\x1b'));
    assert!(ran.stdout.contains("@@"), "{}", ran.stdout);
}

#[test]
fn frame_claims_are_skipped_aloud_without_the_privilege() {
    let Some(ran) = run_unprivileged("screen unprivileged", SCREEN, &["--json"]) else { return };
    let report = ran.all_hold(2);
    assert!(claim(&report, "in one frame")["why"].as_str().is_some_and(|why| why.contains("CAP_SYS_ADMIN")));
}

#[test]
fn bad_input_is_refused_by_name() {
    run(SCREEN, &["--png", "/missing/out.png"]).refused(&["/missing/out.png"]);
    run(SCREEN, &["--png", "/"]).refused(&["--png /"]);
    run(SCREEN, &["--width", "0"]).refused(&["--width", "1..=4096"]);
}

#[test]
fn ctrl_c_ends_the_show_with_its_report() {
    let dir = tempfile::tempdir().expect("a directory");
    let report = interrupted(SCREEN, &["--json", "--pictures", "1000000"], dir.path()).all_hold(2);
    assert!(report["facts"]["pictures"].as_u64() < Some(1_000_000));
}
