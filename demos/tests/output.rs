//! Output that cannot be written, to a full disk or into a closed pipe: one line says so, and the exit code is 1.

use std::fs::File;
use std::process::{Command, Stdio};

/// Every demo, on little work. `device` has nothing to say without its module.
const DEMOS: [(&str, &[&str]); 8] = [
    (env!("CARGO_BIN_EXE_share"), &[]),
    (env!("CARGO_BIN_EXE_fork"), &[]),
    (env!("CARGO_BIN_EXE_threshold"), &[]),
    (env!("CARGO_BIN_EXE_faults"), &[]),
    (env!("CARGO_BIN_EXE_fileio"), &["--size", "300K", "--operations", "50"]),
    (env!("CARGO_BIN_EXE_ipc"), &["--size", "10K"]),
    (env!("CARGO_BIN_EXE_store"), &["demo", "--kills", "1"]),
    (env!("CARGO_BIN_EXE_screen"), &["--pictures", "2"]),
];

fn assert_refused(program: &str, arguments: &[&str], stdout: Stdio) {
    let output = Command::new(program).args(arguments).stdout(stdout).stderr(Stdio::piped()).output();
    let output = output.expect("the demo starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{program} {arguments:?}: {said}");
    assert!(
        said.starts_with("error: cannot write to stdout") && said.lines().count() == 1,
        "{program}: {said}"
    );
}

#[test]
fn a_full_disk_is_said_in_one_line() {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").expect("/dev/full"));
    for (program, arguments) in DEMOS {
        assert_refused(program, arguments, full());
        assert_refused(program, &[arguments, &["--json"]].concat(), full());
        assert_refused(program, &["--help"], full());
    }
}

#[test]
fn a_closed_pipe_is_said_in_one_line() {
    for (program, arguments) in DEMOS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        assert_refused(program, arguments, writer.into());
    }
}

/// Every line of a text for reading, as long as it can be broken.
fn too_wide(text: &str, columns: usize) -> Vec<&str> {
    text.lines().filter(|line| line.chars().count() > columns && line.trim().contains(' ')).collect()
}

#[test]
fn reports_and_their_tables_fit_the_columns_there_are() {
    for columns in [60, 80] {
        for (program, arguments) in DEMOS.into_iter().filter(|(program, _)| !program.ends_with("screen")) {
            let mut command = Command::new(program);
            let output =
                command.args(arguments).env("COLUMNS", columns.to_string()).output().expect("it starts");
            let text = String::from_utf8_lossy(&output.stdout);
            let wide = too_wide(&text, columns);
            assert!(text.lines().count() > 10 && wide.is_empty(), "{program}, {columns}: {wide:#?}");
        }
    }
}

/// What no person writes: Rust's debug text, and JSON.
fn for_machines(text: &str) -> Vec<&str> {
    let marks = ["Err(", "Ok(", "Some(", "None,", "Pid(", "Errno", "{\"", "\": ", " { "];
    text.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).collect()
}

#[test]
fn what_is_said_to_people_is_no_debug_text_and_no_json() {
    assert_eq!(for_machines("a child: Signaled(Pid(7), SIGBUS, false)\n{\"mmap\": 1}\nwell").len(), 2);
    for (program, arguments) in DEMOS.into_iter().filter(|(program, _)| !program.ends_with("screen")) {
        let output = Command::new(program).args(arguments).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(for_machines(&text), Vec::<&str>::new(), "{program}");
    }
    // The README shows what they said once.
    let readme = include_str!("../README.md");
    let shown = readme.split("```").skip(1).step_by(2).filter(|block| block.starts_with("text"));
    assert_eq!(shown.flat_map(for_machines).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn every_demo_has_help_with_examples() {
    let device = (env!("CARGO_BIN_EXE_device"), &[][..]);
    for (program, _) in DEMOS.into_iter().chain([device]) {
        let output = Command::new(program).arg("--help").env("COLUMNS", "80").output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let wide = too_wide(&text, 80);
        assert!(
            text.contains("Examples:\n  brkmap demo ") && wide.is_empty(),
            "{program}: {wide:#?}\n{text}"
        );
    }
}
