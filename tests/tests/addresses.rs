//! Addresses are taken as they are used, and go back: wherever the arena has to grow, in a core, under an emulator.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use brkmap_tests::program::{self, Front};
use brkmap_tests::{compile, skip};
use nix::sys::resource::{Resource, getrlimit};

const MIB: usize = 1 << 20;

/// The scenario on a front. libc's malloc would take 64 MiB of addresses for each of its own arenas.
fn addresses(front: Front, arguments: &[&str]) -> Command {
    let mut command = front.exercise(&[&["addresses"], arguments].concat());
    command.env("MALLOC_ARENA_MAX", "1");
    command
}

fn check(arguments: &[&str]) {
    for front in Front::BOTH {
        let mut command = addresses(front, arguments);
        // What swings keeps its addresses too.
        command.env("BRKMAP_CONF", "swing:0");
        program::run(command).expect_success(&format!("{arguments:?} on {front:?}"));
    }
}

#[test]
fn a_small_program_needs_few_more_than_on_libc() {
    let libcs = program::run(program::plain(&["addresses", "few"])).numbers("few on libc")[0];
    for front in Front::BOTH {
        let ours = program::run(addresses(front, &["few"])).numbers("few")[0];
        let more = ours.saturating_sub(libcs) / MIB;
        assert!(more <= 64, "{more} MiB of addresses more than on libc on {front:?}");
    }
}

/// What a program maps more than another that does the same on libc: the allocator's code and data, its tables, a
/// heap, and the arena's first step.
fn check_more(front: Front, ours: Command, libcs: Command) {
    const MOST: usize = 1331 << 10;
    let mapped = |command, what: &str| program::run(command).numbers(what)[0];
    let more = mapped(ours, "one block").saturating_sub(mapped(libcs, "one block on libc"));
    assert!(more <= MOST, "{} KiB of addresses more than on libc on {front:?}", more >> 10);
}

#[test]
fn a_c_program_with_one_block_needs_little_more_than_on_libc() {
    let Some(one_block) = compile::c("one_block", &[]) else { return };
    check_more(Front::Preload, one_block.preloaded(&[program::preload()]), Command::new(one_block.path()));
}

#[test]
fn a_rust_program_with_one_block_needs_little_more_than_on_libc() {
    let arguments = &["one-block"];
    check_more(Front::Rust, Front::Rust.small(arguments), program::plain_small(arguments));
}

#[test]
fn what_was_used_and_freed_goes_back() {
    ["small", "medium", "spans", "large", "mixed"].iter().for_each(|kind| check(&["back", kind]));
}

#[test]
fn what_was_used_above_a_blocked_break_goes_back() {
    ["small", "medium", "spans", "large", "mixed"].iter().for_each(|kind| check(&["back", kind, "blocked"]));
}

#[test]
fn what_threads_used_and_freed_goes_back() {
    check(&["back-of-threads"]);
}

#[test]
fn a_program_that_goes_up_and_down_stays_where_it_is() {
    check(&["again-and-again"]);
    check(&["again-and-again", "blocked"]);
}

/// GiB of somebody's reservation right above the break, or all that is there.
const RESERVED: [&str; 5] = ["5", "512", "1024", "40000", "all"];

fn check_blocked(what: &[&str]) {
    for front in Front::BOTH {
        for reserved in RESERVED {
            front.check_without_swing(&[&["blocked", reserved], what].concat());
        }
    }
}

#[test]
fn above_a_blocked_break_small_blocks_are_served() {
    check_blocked(&["small", "100"]);
}

#[test]
fn above_a_blocked_break_every_kind_is_served_and_goes_back() {
    check_blocked(&["kinds"]);
}

#[test]
fn above_a_blocked_break_threads_are_served() {
    check_blocked(&["threads"]);
}

#[test]
fn above_a_blocked_break_a_limit_is_run_into_and_everything_works_afterwards() {
    check_blocked(&["limited"]);
}

/// The reservation counts against the limit: 2.6 GiB are left of it.
#[test]
fn above_a_blocked_break_a_program_started_under_a_limit_gets_what_is_left() {
    const LIMIT: u64 = 8_000_000 << 10;
    for front in Front::BOTH {
        let mut command = front.exercise(&["blocked", "5", "small", "1500"]);
        program::limited(&mut command, Resource::RLIMIT_AS, LIMIT, LIMIT);
        program::run(command).expect_success(&format!("under a limit on {front:?}"));
    }
}

/// Bytes of the core that the kernel writes of the program when it ends by a signal. None: it writes none here.
fn core_of_the_kernel(mut command: Command) -> Option<u64> {
    const LIMIT: u64 = 1 << 30;
    let folder = tempfile::tempdir().expect("a folder");
    command.current_dir(folder.path());
    // Where it is not allowed there is none.
    let hard = getrlimit(Resource::RLIMIT_CORE).expect("the limit").1;
    if hard < LIMIT {
        return None;
    }
    program::limited(&mut command, Resource::RLIMIT_CORE, LIMIT, LIMIT);
    let ended = program::run(command);
    assert_eq!(ended.status.code(), None, "the program ends by a signal");
    let mut files = std::fs::read_dir(folder.path()).expect("the folder");
    let core = files.next()?.expect("a file").metadata().expect("the core").len();
    // The next longer one would have been cut.
    assert!(core < LIMIT, "a core of {core} bytes");
    Some(core)
}

/// Bytes of the core that gcore writes of the running program. None: it cannot here.
fn core_of_gcore(mut command: Command, gcore: &Path) -> Option<u64> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child =
        command.arg("wait").stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn().ok()?;
    let mut line = String::new();
    let said = BufReader::new(child.stdout.take()?).read_line(&mut line);
    let file = folder.path().join("core");
    let mut gcore = Command::new(gcore);
    gcore.arg("-o").arg(&file).arg(child.id().to_string());
    let written = program::run(gcore).status.success();
    child.kill().expect("the program is there");
    child.wait().expect("and ends");
    assert!(said.is_ok() && line == "ready\n", "the program said {line:?}");
    let name = format!("core.{}", child.id());
    written.then(|| std::fs::metadata(folder.path().join(name)).expect("the core").len())
}

#[test]
fn a_core_is_as_long_as_what_the_program_has() {
    let gcore = skip::found("gcore");
    let mut seen = 0;
    type Measure<'a> = Box<dyn Fn(Command) -> Option<u64> + 'a>;
    let by_gcore =
        gcore.as_deref().map(|gcore| -> Measure { Box::new(|command| core_of_gcore(command, gcore)) });
    for measure in [Some(Box::new(core_of_the_kernel) as Measure), by_gcore].into_iter().flatten() {
        let Some(libcs) = measure(program::plain(&["addresses", "dump"])) else { continue };
        for front in Front::BOTH {
            let ours = measure(addresses(front, &["dump"])).expect("libc's was written");
            assert!(ours <= 2 * libcs + MIB as u64, "{ours} bytes on {front:?}, {libcs} on libc");
        }
        seen += 1;
    }
    if seen == 0 {
        skip::skip(
            "the kernel writes no cores here (core_pattern, limits), and gcore is not here or may not either",
        );
    }
}

/// A program under the user-mode emulator of this machine's own processor.
fn emulated(front: Front, arguments: &[&str]) -> Option<Command> {
    let mut command = Command::new(skip::tool(&format!("qemu-{}", std::env::consts::ARCH))?);
    if front == Front::Preload {
        command.arg("-E").arg(format!("LD_PRELOAD={}", program::preload().display()));
    }
    let program = front.exercise(arguments);
    command.arg(program.get_program()).args(arguments);
    Some(command)
}

/// An emulator keeps a table of every page there is, reserved ones too. The deadline judges.
#[test]
fn under_an_emulator_a_program_starts_and_its_heap_grows() {
    for front in Front::BOTH {
        for arguments in [&["nothing"][..], &["addresses", "grow", "300"]] {
            let Some(command) = emulated(front, arguments) else { return };
            program::run(command).expect_success(&format!("{arguments:?} on {front:?} under the emulator"));
        }
    }
}
