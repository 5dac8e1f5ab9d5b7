//! The probes for tracers: what a tracer finds in the files, and what its attaching does. The kernel of a machine may
//! have no uprobes; then a tracer's word is written as its kernel would.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use brkmap_tests::program::{Front, preload, run};
use brkmap_tests::skip;

/// A probe as readelf shows it: provider, name, arguments, and where its semaphore is.
#[derive(Debug, PartialEq)]
struct Probe {
    name: String,
    arguments: String,
    location: u64,
    semaphore: u64,
}

fn probes(file: &Path) -> Option<Vec<Probe>> {
    let mut command = Command::new(skip::tool("readelf")?);
    command.arg("-n").arg(file);
    let ended = run(command);
    ended.expect_success("readelf");
    let text = String::from_utf8_lossy(&ended.stdout).into_owned();
    let mut lines = text.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let Some(provider) = line.strip_prefix("Provider: ") else { continue };
        let name = lines.next()?.strip_prefix("Name: ")?;
        let places = lines.next()?;
        let number = |label: &str| {
            let rest = places.split_once(&format!("{label}: 0x"))?.1;
            u64::from_str_radix(rest.split(',').next()?, 16).ok()
        };
        found.push(Probe {
            name: format!("{provider}:{name}"),
            arguments: lines.next()?.strip_prefix("Arguments: ")?.to_owned(),
            location: number("Location")?,
            semaphore: number("Semaphore")?,
        });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Some(found)
}

fn rust_program() -> PathBuf {
    PathBuf::from(Front::Rust.exercise(&[]).get_program())
}

#[test]
fn the_notes_of_both_fronts_have_the_three_probes() {
    let registers = match std::env::consts::ARCH {
        "x86_64" => ["%rdi", "%rsi", "%rdx"],
        "aarch64" => ["x0", "x1", "x2"],
        other => return skip::skip(&format!("no probes on {other}")),
    };
    let arguments = |count: usize| {
        registers[..count].iter().map(|name| format!("8@{name}")).collect::<Vec<_>>().join(" ")
    };
    for file in [preload().to_owned(), rust_program()] {
        let Some(found) = probes(&file) else { return };
        let shown: Vec<_> =
            found.iter().map(|probe| (probe.name.as_str(), probe.arguments.clone())).collect();
        let expected = [
            ("brkmap:syscall", arguments(3)),
            ("otel_memory:alloc", arguments(3)),
            ("otel_memory:free", arguments(1)),
        ];
        assert_eq!(shown, expected, "{}", file.display());
        assert!(found.iter().all(|probe| probe.location != 0 && probe.semaphore != 0), "{found:?}");
    }
}

#[test]
fn a_tracer_that_attaches_has_a_profile_begin_and_end() {
    if !["x86_64", "aarch64"].contains(&std::env::consts::ARCH) {
        return skip::skip("no probes on this architecture");
    }
    let Some(found) = probes(&rust_program()) else { return };
    let mut command = Front::Rust.exercise(&["profiled-until-traced"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
    let mut said = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = || said.next().map(|line| line.expect("text"));
    assert_eq!(next().as_deref(), Some("ready"));
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).expect("maps");
    let base = u64::from_str_radix(maps.split('-').next().expect("an address"), 16).expect("an address");
    let memory =
        std::fs::File::options().write(true).open(format!("/proc/{}/mem", child.id())).expect("memory");
    let tracers = |count: u16| {
        for probe in found.iter().filter(|probe| probe.name.starts_with("otel_memory:")) {
            memory.write_at(&count.to_le_bytes(), base + probe.semaphore).expect("written");
        }
    };
    tracers(1);
    assert_eq!(next().as_deref(), Some("sampled"));
    tracers(0);
    child.stdin.take().expect("piped").write_all(b"\n").expect("written");
    assert_eq!(next().as_deref(), Some("quiet"));
    assert!(child.wait().expect("the program").success());
}

#[test]
fn bpftrace_counts_samples_where_the_kernel_has_uprobes() {
    if !Path::new("/sys/bus/event_source/devices/uprobe").exists() {
        return skip::skip("this kernel has no uprobes, or does not show them");
    }
    let Some(bpftrace) = skip::tool("bpftrace") else { return };
    // Its BEGIN is a probe of its own kind, at a function of its own.
    let mut command = Command::new(&bpftrace);
    command.args(["-e", "BEGIN { exit(); }"]);
    let may = run(command);
    if !may.status.success() {
        return skip::skip(&format!("no uprobes for us: {}", String::from_utf8_lossy(&may.stderr).trim()));
    }
    let file = rust_program();
    let script = format!(
        "usdt:{}:otel_memory:alloc {{ @blocks = count(); @bytes = sum(arg1); }} interval:s:20 {{ exit(); }}",
        file.display()
    );
    let mut command = Command::new(bpftrace);
    command.args(["-e", &script, "-c"]).arg(format!("{} profiled-peak", file.display()));
    let ended = run(command);
    ended.expect_success("bpftrace");
    let text = String::from_utf8_lossy(&ended.stdout);
    let blocks = text.lines().find_map(|line| line.strip_prefix("@blocks: ")?.parse::<u64>().ok());
    assert!(blocks.is_some_and(|blocks| blocks > 0), "{text}");
}
