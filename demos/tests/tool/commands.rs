//! The command line as a whole.

use crate::support::{brkmap, json, run, stderr, stdout};

#[test]
fn help_shows_every_command_with_examples() {
    let text = stdout(&run(&mut brkmap(&["--help"])));
    for part in ["compare", "trace", "sweep", "demo", "--json", "Examples:", "NO_COLOR"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(!text.contains("__probe"));
}

#[test]
fn an_unknown_command_is_refused() {
    let output = run(&mut brkmap(&["compere"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("compere"), "{}", stderr(&output));
}

#[test]
fn demos_are_listed_and_an_unknown_one_is_named() {
    let document = json(&mut brkmap(&["demo", "--json"]));
    let names: Vec<_> =
        document["demos"].as_array().unwrap().iter().map(|demo| demo["name"].as_str().unwrap()).collect();
    let text = stdout(&run(&mut brkmap(&["demo"])));
    assert!(names.contains(&"fork") && names.iter().all(|name| text.contains(name)), "{text}");
    let output = run(&mut brkmap(&["demo", "frok"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("`frok`") && stderr(&output).contains("fork"), "{}", stderr(&output));
}
