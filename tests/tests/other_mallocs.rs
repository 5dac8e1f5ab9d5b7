//! The library in a process that has another malloc: which of the two serves, and that no block of one
//! reaches the other. And that it knows when it is the process's malloc.

use std::process::Command;

use brkmap_tests::compile::{self, Compiled};
use brkmap_tests::program::{self, Ended};
use brkmap_tests::skip;

/// The ways to link a program. One that is not position-independent and takes a function's address makes
/// every library believe that the function is the program's.
const LINKED: [&[&str]; 2] = [&["-pie", "-fPIE"], &["-no-pie", "-fno-pie"]];

fn says_fine(what: &str, command: Command) -> Ended {
    let ended = program::run(command);
    ended.expect_success(what);
    assert_eq!(String::from_utf8_lossy(&ended.stdout), "fine\n", "{what}");
    ended
}

#[test]
fn a_programs_own_malloc_serves_what_it_lacks_itself() {
    let all = [
        "-DHAS_CALLOC",
        "-DHAS_REALLOC",
        "-DHAS_MALLOC_USABLE_SIZE",
        "-DHAS_MEMALIGN",
        "-DHAS_ALIGNED_ALLOC",
        "-DHAS_POSIX_MEMALIGN",
        "-DHAS_VALLOC",
    ];
    let single = all.iter().map(|one| vec![*one]);
    let but_one = all.iter().map(|one| all.iter().copied().filter(|other| other != one).collect());
    for members in single.chain(but_one).chain([vec![], all.to_vec()]) {
        for linked in LINKED {
            let flags = [linked, &members].concat();
            let Some(compiled) = compile::c("own_malloc", &flags) else { return };
            says_fine(&format!("a family of {flags:?}"), compiled.preloaded(&[program::preload()]));
        }
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn a_malloc_that_is_made_of_ours_is_served_by_ours() {
    for over in ["-DOVER_LIBC", "-DOVER_CALLOC", "-DOVER_MEMALIGN"] {
        for linked in LINKED {
            let Some(compiled) = compile::c("over_libc", &[linked, &[over]].concat()) else { return };
            says_fine(over, compiled.preloaded(&[program::preload()]));
        }
    }
}

#[test]
fn a_tracer_before_the_library_sees_what_it_traces_and_no_call_twice() {
    let ours = program::preload();
    for flags in [&[][..], &["-DTRACES_ALL"]] {
        let (Some(family), Some(tracer)) = (compile::c("family", &[]), compile::library("tracer", flags))
        else {
            return;
        };
        let first = says_fine("traced", family.preloaded(&[tracer.path(), ours]));
        assert!(String::from_utf8_lossy(&first.stderr).contains("traced all"), "{flags:?}");
        let second = says_fine("behind us", family.preloaded(&[ours, tracer.path()]));
        assert!(String::from_utf8_lossy(&second.stderr).contains("traced some"), "{flags:?}");
    }
}

/// The whole family with another library of the kind before ours, which serves then, and behind it.
fn beside(library: &str) {
    let path = format!("/usr/lib/{}-linux-gnu/{library}", std::env::consts::ARCH);
    let Some(path) = skip::tool(&path) else { return };
    let Some(family) = compile::c("family", &[]) else { return };
    for order in [[&path, program::preload()], [program::preload(), &path]] {
        says_fine(&format!("{order:?}"), family.preloaded(&order));
    }
}

#[test]
fn beside_jemalloc() {
    beside("libjemalloc.so.2");
}

#[test]
fn beside_tcmalloc() {
    beside("libtcmalloc_minimal.so.4");
}

/// How the library grows in a program that calls malloc_stats: by the process's break where it is its malloc.
fn mode(command: Command) -> String {
    let ended = program::run(command);
    ended.expect_success("a program that calls malloc_stats");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    let (_, mode) = said.split_once(", grows by ").expect("malloc_stats is ours");
    mode.lines().next().unwrap_or_default().to_owned()
}

/// The programs that take the family's addresses, by how they are linked, and how the library grows in the
/// first.
fn addresses() -> Option<([Compiled; 2], String)> {
    let compiled = [compile::c("addresses", LINKED[0])?, compile::c("addresses", LINKED[1])?];
    let expected = mode(compiled[0].preloaded(&[program::preload()]));
    Some((compiled, expected))
}

#[test]
fn it_is_the_malloc_of_a_program_that_takes_mallocs_address() {
    let Some(([_, fixed], expected)) = addresses() else { return };
    assert_eq!(mode(fixed.preloaded(&[program::preload()])), expected);
}

#[test]
fn it_is_the_malloc_of_debians_python() {
    let Some(python) = skip::tool("/usr/bin/python3") else { return };
    let Some((_, expected)) = addresses() else { return };
    let mut command = Command::new(python);
    command.args(["-c", "import ctypes; ctypes.CDLL(None).malloc_stats()"]);
    assert_eq!(
        mode({
            command.env("LD_PRELOAD", program::preload());
            command
        }),
        expected
    );
}

#[test]
fn it_is_the_malloc_of_a_constructor_that_runs_before_its_own() {
    let Some((programs, expected)) = addresses() else { return };
    let Some(early) = compile::library("early", &[]) else { return };
    for compiled in programs {
        for order in [[program::preload(), early.path()], [early.path(), program::preload()]] {
            assert_eq!(mode(compiled.preloaded(&order)), expected, "{order:?}");
        }
    }
}

#[test]
fn it_is_the_malloc_of_a_program_that_the_loader_was_told_to_run() {
    let loader = match std::env::consts::ARCH {
        "x86_64" => "/lib64/ld-linux-x86-64.so.2",
        _ => "/lib/ld-linux-aarch64.so.1",
    };
    let Some(loader) = skip::tool(loader) else { return };
    let Some((programs, expected)) = addresses() else { return };
    for compiled in programs {
        let mut command = Command::new(&loader);
        command.arg("--preload").arg(program::preload()).arg(compiled.path());
        assert_eq!(mode(command), expected);
    }
}

#[test]
fn it_is_the_malloc_under_an_audit_library() {
    let Some(([one, other], _)) = addresses() else { return };
    let (Some(audit), Some(family)) = (compile::library("audit", &[]), compile::c("family", &[])) else {
        return;
    };
    let audited = |compiled: &Compiled| {
        let mut command = compiled.preloaded(&[program::preload()]);
        command.env("LD_AUDIT", audit.path());
        command
    };
    assert_eq!(mode(audited(&one)), mode(audited(&other)));
    says_fine("under an audit library", audited(&family));
}

#[test]
fn in_a_namespace_of_its_own_it_leaves_the_break_alone() {
    let Some(opener) = compile::c("namespace", &[]) else { return };
    for libraries in [&[][..], &[program::preload()]] {
        let mut command = opener.preloaded(libraries);
        command.arg(program::preload());
        says_fine(&format!("dlmopen under {libraries:?}"), command);
    }
}
