mod common;

use common::run;

const IPC: &str = env!("CARGO_BIN_EXE_ipc");

#[test]
fn every_byte_arrives_and_is_copied_four_times_or_twice() {
    // Not a whole number of blocks.
    let report = run(IPC, &["--json", "--size", "1000001"]).all_hold(2);
    let measured = report["facts"]["measured"].as_array().expect("rows");
    for (channel, copies) in [("pipe", 4), ("message queue", 4), ("shared ring", 2)] {
        let Some(row) = measured.iter().find(|row| row["channel"] == channel) else {
            println!("SKIP {channel}: not to be had here");
            continue;
        };
        let Some(sides) = row["calls"]["Ok"].as_array() else {
            println!("SKIP copies of {channel}: {}", row["calls"]);
            continue;
        };
        let copied: u64 = sides.iter().filter_map(|side| side["copied"].as_u64()).sum();
        assert_eq!(copied, copies * 1_000_001, "{channel}");
    }
}

#[test]
fn less_than_a_block_can_be_sent() {
    run(IPC, &["--json", "--size", "1"]).all_hold(2);
}

#[test]
fn bad_input_is_refused_by_name() {
    run(IPC, &["--size", "0"]).refused(&["--size", "64M"]);
    run(IPC, &["--size", "8000000G"]).refused(&["bytes free"]);
    run(IPC, &["--dir", "/dev/null"]).refused(&["/dev/null", "not a directory"]);
}
