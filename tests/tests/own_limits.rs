//! Limits that a program sets for itself, raises, or is under when it locks its memory.

use std::os::unix::process::CommandExt;
use std::process::Command;

use brkmap_tests::program::{self, Front};
use brkmap_tests::skip;
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

const MIB: usize = 1 << 20;

#[test]
fn a_limit_that_is_raised_is_no_limit() {
    for front in Front::BOTH {
        let mut command = front.exercise(&["own-limit", "raised"]);
        program::limited(&mut command, Resource::RLIMIT_AS, 512 << 20, libc::RLIM_INFINITY);
        program::run(command).expect_success(&format!("started under a limit on {front:?}"));
    }
}

#[test]
fn a_limit_that_a_program_sets_itself_leaves_what_is_below_it() {
    for front in Front::BOTH {
        let mut command = front.exercise(&["own-limit", "set", "2048"]);
        // libc's malloc would take 64 MiB of addresses for the thread's arena.
        command.env("MALLOC_ARENA_MAX", "1");
        program::run(command).expect_success(&format!("under its own limit on {front:?}"));
    }
}

fn needs_root() -> bool {
    let root = Uid::effective().is_root();
    if !root {
        skip::skip("needs root, to lock memory and to give up the right to");
    }
    root
}

/// libc's malloc holds 300 MiB for as many bytes of blocks: what is mapped beside them is locked too.
#[test]
fn a_program_that_locks_its_memory_has_little_more_and_gives_it_back() {
    if !needs_root() {
        return;
    }
    for front in Front::BOTH {
        let [full, freed] = program::run(front.exercise(&["own-limit", "lock-all"])).numbers("lock-all")[..]
        else {
            panic!("two numbers")
        };
        assert!(full <= (300 + 64) * MIB, "{} MiB are locked for 300 on {front:?}", full / MIB);
        assert!(freed <= 64 * MIB, "{} MiB are locked after all was freed on {front:?}", freed / MIB);
    }
}

/// The command run by a user who may lock so many bytes.
fn as_nobody(mut command: Command, may_lock: u64) -> Command {
    program::limited(&mut command, Resource::RLIMIT_MEMLOCK, may_lock, may_lock);
    let nobody = 65534;
    // SAFETY: system calls between fork and exec.
    unsafe {
        command.pre_exec(move || {
            setgroups(&[])?;
            setgid(Gid::from_raw(nobody))?;
            Ok(setuid(Uid::from_raw(nobody))?)
        });
    }
    command
}

#[test]
fn a_user_who_may_lock_little_is_served_as_by_libc() {
    if !needs_root() {
        return;
    }
    const MAY_LOCK: u64 = 8 << 20;
    let arguments = &["lock-all-until-refused"];
    let folder = tempfile::tempdir().expect("a folder");
    let got = |command: Command| {
        let mut command = as_nobody(reachable(folder.path(), command), MAY_LOCK);
        command.env("MALLOC_ARENA_MAX", "1");
        program::run(command).numbers("lock-all-until-refused")[0]
    };
    // A program that is small itself, so that most of what it may lock is left for blocks.
    let libcs = got(program::plain_small(arguments));
    assert!(libcs >= 4 * MIB, "{libcs} bytes on libc: the program is too large for this test");
    for front in Front::BOTH {
        let ours = got(front.small(arguments));
        // The library, the arena's tables and the heap are locked too.
        assert!(ours + 3 * MIB / 2 >= libcs, "{ours} bytes on {front:?}, {libcs} on libc");
    }
}

/// The same command with copies of the program and the library where every user can read them.
fn reachable(folder: &std::path::Path, command: Command) -> Command {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, all.clone()).expect("a folder of ours");
    let copy = |from: &std::path::Path| {
        let to = folder.join(from.file_name().expect("a file"));
        program::copy(from, &to);
        std::fs::set_permissions(&to, all.clone()).expect("a file of ours");
        to
    };
    let mut same = Command::new(copy(command.get_program().as_ref()));
    same.args(command.get_args());
    for (name, value) in command.get_envs() {
        let value = value.map(|value| match name.to_str() {
            Some("LD_PRELOAD") => copy(value.as_ref()).into_os_string(),
            _ => value.to_owned(),
        });
        same.env(name, value.unwrap_or_default());
    }
    same
}
