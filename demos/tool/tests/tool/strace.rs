//! The tracer against strace, on the same programs.
//!
//! Without address space randomisation (setarch -R): glibc trims a new arena to an alignment, and
//! whether that takes one munmap or two depends on where the kernel put it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Scratch, clean, needs, run, stderr, text};

const CALLS: &str = "trace=brk,mmap,munmap,mremap,madvise,mprotect";

struct Tools {
    setarch: String,
    strace: String,
    scratch: Scratch,
}

impl Tools {
    fn new(name: &str) -> Option<Tools> {
        let (strace, setarch) = (needs("strace")?, needs("setarch")?);
        if !Command::new(&setarch).args(["-R", "true"]).status().is_ok_and(|status| status.success()) {
            println!("SKIP: setarch -R is not permitted here");
            return None;
        }
        let (setarch, strace) = (text(&setarch).to_owned(), text(&strace).to_owned());
        Some(Tools { setarch, strace, scratch: Scratch::new(name) })
    }

    fn traced(&self, tracer: &[&str], program: &[&str]) -> String {
        let mut command = Command::new(&self.setarch);
        command.arg("-R").args(tracer).args(program);
        clean(&mut command);
        // One heap for all threads: which thread finds which arena free is a race.
        command.env("MALLOC_ARENA_MAX", "1").env("PYTHONHASHSEED", "0");
        let output = run(&mut command);
        assert!(output.status.success(), "{tracer:?}: {}", stderr(&output));
        stderr(&output)
    }

    /// Calls and errors by name, as strace counts them.
    fn by_strace(&self, program: &[&str]) -> BTreeMap<String, (u64, u64)> {
        let file = self.scratch.file("strace");
        let columns = ["-f", "-qq", "-c", "-U", "name,calls,errors", "-o", text(&file), "-e", CALLS];
        self.traced(&[&[self.strace.as_str()], &columns[..]].concat(), program);
        let table = read(&file);
        let rows = table.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            let calls = words.next()?.parse().ok()?;
            Some((name, (calls, words.next().map_or(0, |errors| errors.parse().unwrap()))))
        });
        rows.filter(|(name, _)| name != "total").collect()
    }

    fn by_brkmap(&self, program: &[&str]) -> BTreeMap<String, (u64, u64)> {
        let file = self.scratch.file("brkmap");
        let own =
            [env!("CARGO_BIN_EXE_brkmap"), "trace", "--summary-only", "--json", "-o", text(&file), "--"];
        self.traced(&own, program);
        let document: Value = serde_json::from_str(&read(&file)).unwrap();
        let rows = document["summary"].as_object().unwrap().iter();
        rows.map(|(name, row)| {
            (name.clone(), (row["calls"].as_u64().unwrap(), row["errors"].as_u64().unwrap()))
        })
        .collect()
    }

    fn agree_on(&self, program: &[&str]) {
        let (theirs, ours) = (self.by_strace(program), self.by_brkmap(program));
        assert!(theirs["mmap"].0 > 5, "strace saw the program: {theirs:?}");
        assert_eq!(ours, theirs, "{program:?}");
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_line_is_straces() {
    let Some(tools) = Tools::new("lines") else { return };
    let file = tools.scratch.file("strace");
    let theirs = [tools.strace.as_str(), "-qq", "-o", text(&file), "-e", CALLS, "-e", "signal=none"];
    tools.traced(&theirs, &["ls", "/"]);
    // strace aligns the results.
    let theirs: Vec<_> =
        read(&file).lines().map(|line| line.replace(')', " ").replace(" = ", ") = ")).collect();
    let theirs: Vec<_> = theirs.iter().map(|line| line.split_whitespace().collect::<String>()).collect();
    let ours = tools.traced(&[env!("CARGO_BIN_EXE_brkmap"), "trace", "--"], &["ls", "/"]);
    let ours = ours.lines().take_while(|line| !line.is_empty()).filter(|line| !line.contains("+++"));
    // Without the times, and the words behind.
    let calls = ours.map(|line| line.split("  #").next().unwrap_or_default().split_whitespace().skip(1));
    let ours: Vec<_> = calls.map(|words| words.collect::<String>()).collect();
    assert!(ours.len() > 10);
    assert_eq!(ours, theirs);
}

#[test]
fn counts_are_straces_for_forks_pipes_and_a_detached_child() {
    let Some(tools) = Tools::new("forks") else { return };
    tools.agree_on(&["sh", "-c", "ls / | sort | wc -l; (ls / > /dev/null &); sh -c 'exec true'"]);
}

#[test]
fn counts_are_straces_for_threads_vforks_and_errors() {
    let Some(tools) = Tools::new("threads") else { return };
    let Some(python) = needs("python3") else { return };
    // One thread works at a time, none ends before all have, and the kernel's word is taken that they
    // have: else it is a race whether a stack can be used again, and whether the last thread returns
    // its own before the process ends.
    let program = "import mmap, os, subprocess, threading
def work():
    kept = [bytes(1 << shift) for shift in range(8, 22)]
    del kept
end = threading.Lock()
end.acquire()
def turn(done):
    work()
    done.release()
    end.acquire()
    end.release()
for _ in range(4):
    done = threading.Lock()
    done.acquire()
    threading.Thread(target=turn, args=(done,)).start()
    done.acquire()
end.release()
while len(os.listdir('/proc/self/task')) > 1:
    os.sched_yield()
pid = os.fork()
if pid == 0:
    work()
    os._exit(0)
os.waitpid(pid, 0)
subprocess.run(['true'], check=True)
try:
    mmap.mmap(-1, 1 << 62)
except OSError:
    pass
";
    let program = [text(&python), "-c", program];
    tools.agree_on(&program);
    assert!(tools.by_brkmap(&program)["mmap"].1 >= 1, "the impossible mapping is an error");
}
