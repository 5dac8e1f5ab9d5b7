//! `brkmap maps` and `brkmap top`: what a process shows of itself.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Scratch, brkmap, clean, json, library, needs, run, stderr, stdout, text};

/// A process on brkmap that has blocks of each kind, and goes on asking for memory until its input ends.
struct Watched(Child);

const PROGRAM: &str = "import os, select, sys
small = [bytes(300) for _ in range(20000)]
spans = [bytes(100000) for _ in range(50)]
large = [bytes(1 << 20) for _ in range(8)]
del small[::2], spans[::2], large[:3]
print('ready', flush=True)
if os.environ.get('FORK') and os.fork() == 0:
    print(os.getpid(), flush=True)
while not select.select([sys.stdin], [], [], 0.01)[0]:
    again = [bytes(300 * size) for size in range(1, 300)]
";

impl Watched {
    /// None where there is no python3, as was said.
    fn start(variables: &[(&str, &str)]) -> Option<(Watched, Vec<String>)> {
        let python = needs("python3")?;
        let mut command = Command::new(python);
        clean(&mut command);
        command.args(["-S", "-c", PROGRAM]).env("LD_PRELOAD", library()).envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let forks = variables.iter().any(|(name, _)| *name == "FORK");
        let said =
            (0..if forks { 2 } else { 1 }).map(|_| lines.next().expect("a line").expect("text")).collect();
        let process = Watched(child);
        if variables.iter().any(|(name, _)| name.starts_with("BRKMAP")) {
            process.wait();
        }
        Some((process, said))
    }

    /// Until it has shown what it has.
    fn wait(&self) {
        let shows = || {
            let output = run(&mut brkmap(&["maps", "--json", &self.pid()]));
            let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            document["allocated"].as_u64().is_some_and(|bytes| bytes > 8 << 20)
        };
        let mut looks = (0..200).map(|_| {
            std::thread::sleep(Duration::from_millis(50));
            shows()
        });
        assert!(looks.any(|shown| shown), "it shows nothing for ten seconds");
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Its input ends, and so does it, with its children.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn longest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or_default()
}

#[test]
fn the_picture_of_a_process_fits_what_there_is_and_is_plain_in_a_pipe() {
    let Some((process, _)) = Watched::start(&[("BRKMAP_CONF", "watch:on")]) else { return };
    for columns in [60, 80, 200] {
        let output = run(brkmap(&["maps", &process.pid()]).env("COLUMNS", columns.to_string()));
        let picture = stdout(&output);
        assert!(output.status.success() && longest(&picture) <= columns, "{}{picture}", stderr(&output));
        assert!(!picture.contains('\x1b'), "{picture}");
        for part in
            ["break at 0x", "large blocks, ", "A letter is ", "\ns slabs ", "\nL large ", "Tables beside"]
        {
            assert!(picture.contains(part), "{part} in\n{picture}");
        }
        let is_ribbon =
            |line: &&str| line.len() > 10 && line.chars().all(|letter| "smpLcd.".contains(letter));
        assert!(picture.lines().filter(is_ribbon).count() >= 2, "{picture}");
    }
    let coloured = stdout(&run(brkmap(&["maps", &process.pid()]).env("CLICOLOR_FORCE", "1")));
    assert!(coloured.contains('\x1b'));
}

#[test]
fn the_parts_of_a_picture_are_those_that_the_figures_are_of() {
    let Some((process, _)) = Watched::start(&[("BRKMAP_WATCH", "on")]) else { return };
    let scratch = Scratch::new("maps");
    let file = scratch.file("memory.svg");
    let document = json(&mut brkmap(&["maps", "--json", "--svg", text(&file), &process.pid()]));
    let parts = document["parts"].as_array().unwrap();
    let bytes = |kinds: &[&str]| {
        let of = parts.iter().filter(|part| kinds.contains(&part["used_for"].as_str().unwrap()));
        of.map(|part| part["bytes"].as_u64().unwrap()).sum::<u64>()
    };
    let all: u64 = parts.iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    let mapped = document["mapped"].as_u64().unwrap();
    // What is known of all heaps is a part of the library, and no mapping.
    assert!(all.abs_diff(mapped) < mapped / 20 + (512 << 10), "{all} in parts, {mapped} mapped");
    let live = document["allocated"].as_u64().unwrap();
    assert!(
        bytes(&["slabs", "chunks", "spans", "large"]) >= live && bytes(&["large"]) >= 5 << 20,
        "{document}"
    );
    assert_eq!(document["process"].as_u64(), Some(process.0.id().into()));
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(
        svg.starts_with("<svg ") && svg.contains("live of") && svg.matches("<rect ").count() > 5,
        "{svg}"
    );
}

#[test]
fn a_command_is_drawn_as_it_was_when_most_was_live() {
    let Some(python) = needs("python3") else { return };
    let program = "import time
large = [bytes(1 << 20) for _ in range(30)]
for _ in range(40):
    time.sleep(0.01)
    again = [bytes(9000) for size in range(100)]
del large
again = [bytes(9000) for size in range(100)]
time.sleep(0.2)
print('done')";
    let mut command = brkmap(&["maps", "--", text(&python), "-S", "-c", program]);
    let output = run(command.env("LD_PRELOAD", library()));
    let said = stdout(&output);
    assert!(output.status.success() && said.contains("done\n"), "{}{said}", stderr(&output));
    let (before, _) = said.split_once(" large blocks, ").expect("large blocks");
    let count: u32 = before.lines().last().and_then(|line| line.parse().ok()).expect("how many");
    assert!((30..36).contains(&count), "{said}");
}

#[test]
fn top_shows_calls_with_their_reasons_and_rates() {
    let Some((process, _)) = Watched::start(&[("BRKMAP_CONF", "watch:on")]) else { return };
    for columns in [60, 80, 200] {
        let mut command = brkmap(&["top", "-n", "2", "--delay", "0.3", &process.pid()]);
        let output = run(command.env("COLUMNS", columns.to_string()));
        let looks = stdout(&output);
        assert!(output.status.success() && longest(&looks) <= columns, "{}{looks}", stderr(&output));
        assert!(!looks.contains('\x1b'), "{looks}");
        assert_eq!(
            looks.matches(&format!("process {}, grows by break", process.pid())).count(),
            2,
            "{looks}"
        );
        assert!(looks.contains("\nmmap     large ") && looks.contains("# live"), "{looks}");
    }
    let scratch = Scratch::new("top");
    let file = scratch.file("top.svg");
    let words = ["top", "--json", "-n", "2", "--delay", "0.5", "--svg", text(&file), &process.pid()];
    let document = json(&mut brkmap(&words));
    let svg = std::fs::read_to_string(&file).unwrap();
    for part in ["<svg ", "grows by break", "# live", "refused", "large", "</svg>"] {
        assert!(svg.contains(part), "{part} in\n{svg}");
    }
    let samples = document["samples"].as_array().unwrap();
    let calls = |sample: &Value| {
        let rows = sample["calls"].as_array().unwrap().iter();
        rows.map(|row| row["calls"].as_u64().unwrap()).sum::<u64>()
    };
    assert!(samples.len() == 2 && calls(&samples[0]) < calls(&samples[1]), "{document}");
    assert!(samples[0]["milliseconds"].as_u64() < samples[1]["milliseconds"].as_u64(), "{document}");
}

#[test]
fn a_forks_child_shows_a_page_of_its_own() {
    let Some((_parent, said)) = Watched::start(&[("BRKMAP_CONF", "watch:on"), ("FORK", "1")]) else { return };
    let child = said.last().expect("its number");
    // It shows one when it asks for memory next.
    let shown = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        let output = run(&mut brkmap(&["maps", "--json", child]));
        output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
    });
    assert_eq!(shown.expect("a page")["process"].to_string(), *child);
}

#[test]
fn where_nothing_is_to_be_seen_the_reason_is_given() {
    let Some((process, _)) = Watched::start(&[]) else { return };
    let Some((other, _)) = Watched::start(&[("BRKMAP_CONF", "watch:on")]) else { return };
    for command in ["maps", "top"] {
        let output = run(&mut brkmap(&[command, &process.pid()]));
        assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
        assert!(stderr(&output).contains("BRKMAP_CONF=watch:on"), "{}", stderr(&output));
        let output = run(&mut brkmap(&[command, "999999999"]));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("there is no process 999999999"), "{}", stderr(&output));
    }
    let output = run(&mut brkmap(&["maps", "--", "true"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`true` showed nothing"), "{}", stderr(&output));
    assert_eq!(run(&mut brkmap(&["maps", "--", "/no/such/command"])).status.code(), Some(127));
    let nowhere = run(&mut brkmap(&["top", "-n", "1", "--svg", "/no/such/folder/top.svg", &other.pid()]));
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("cannot write /no/such/folder/top.svg: "), "{}", stderr(&nowhere));
    assert_eq!(run(&mut brkmap(&["top", "--delay", "never", "1"])).status.code(), Some(2));
}
