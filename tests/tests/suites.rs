//! The suites: each brings the programs that its tests cannot do without, or a fresh machine would skip them.

use std::collections::BTreeSet;
use std::path::Path;

use brkmap_tests::program::root;

mod source;

use source::{text, with_ending};

/// Every Debian has them.
const ESSENTIAL: [&str; 2] = ["setarch", "setsid"];

/// The programs that a test's text asks for: by `skip::tool` or `needs`, or under their whole names.
fn programs(text: &str) -> BTreeSet<String> {
    let named = |begin: &'static str| {
        let rests = text.split(begin).skip(1);
        rests.map(move |rest| {
            let end = rest.find(|letter: char| !(letter.is_alphanumeric() || "+-_.".contains(letter)));
            let whole = begin.strip_prefix('"').unwrap_or_default();
            format!("{whole}{}", &rest[..end.unwrap_or(rest.len())])
        })
    };
    let asked = ["tool(\"", "needs(\""].into_iter().flat_map(named).filter(|name| !name.is_empty());
    asked.chain(named("\"/usr/bin/")).collect()
}

/// The texts of the Rust files below a folder, one behind another.
fn texts(folder: &str) -> String {
    let own = Path::new(file!()).file_name();
    let files = with_ending(folder, "rs").into_iter().filter(|file| file.file_name() != own);
    files.filter_map(|file| text(&file)).collect()
}

fn not_brought(suite: &str, text: &str) -> Vec<String> {
    let brought: BTreeSet<&str> = suite.split_whitespace().collect();
    programs(text)
        .into_iter()
        .filter(|name| !brought.contains(name.as_str()) && !ESSENTIAL.contains(&name.as_str()))
        .collect()
}

#[test]
fn suites_bring_the_programs_that_their_tests_ask_for() {
    for (suite, folders) in
        [("preload", ["tests/tests", "tests/src"]), ("tool", ["demos/tool/tests", "demos/tool/src"])]
    {
        let script =
            std::fs::read_to_string(root().join(format!("tests/suites/{suite}.sh"))).expect("a suite");
        let text: String = folders.iter().map(|folder| texts(folder)).collect();
        assert!(programs(&text).len() > 2, "{suite}");
        assert_eq!(not_brought(&script, &text), [""; 0], "tests/suites/{suite}.sh does not bring them");
    }
}

#[test]
fn a_program_that_is_not_brought_is_seen() {
    let text =
        r#"let Some(go) = skip::tool("go"); needs("perl")?; command: &["/usr/bin/g++ -O1"] needs("setsid")"#;
    assert_eq!(not_brought("want go golang-go\n/usr/bin/g++ g++", text), ["perl"]);
    assert_eq!(not_brought("want perl perl", text), ["/usr/bin/g++", "go"]);
}
