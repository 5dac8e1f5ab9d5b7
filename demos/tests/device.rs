//! Without the device; with it, the suite kmod runs the program in a virtual machine.

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use common::run;
use tempfile::TempDir;

const DEVICE: &str = env!("CARGO_BIN_EXE_device");

#[test]
fn without_the_module_it_says_how_to_load_it_and_what_else_there_is() {
    if std::path::Path::new("/dev/mymap").exists() {
        println!("SKIP without_the_module: the module is loaded here");
        return;
    }
    for arguments in [&[][..], &["--json"]] {
        let ran = run(DEVICE, arguments);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        for word in ["error: ", "/dev/mymap", "make -C kmod load", "--bin device -- --vm"] {
            assert!(ran.stderr.contains(word), "no {word:?} in {:?}", ran.stderr);
        }
    }
}

#[test]
fn an_argument_it_does_not_know_is_refused_by_name() {
    run(DEVICE, &["--page"]).refused(&["--page"]);
}

/// A folder that is all of PATH: little is found, so nothing is built or booted.
fn bare() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for tool in ["bash", "dirname", "env", "uname", "xargs", "ls", "cat"] {
        let found = ["/usr/bin", "/bin"].iter().map(|place| Path::new(place).join(tool));
        let found = found.into_iter().find(|path| path.exists()).expect(tool);
        symlink(found, folder.path().join(tool)).expect("a link");
    }
    folder
}

/// A program of the folder's: a shell script.
fn script(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    std::fs::write(&path, format!("#!/usr/bin/env bash\n{text}\n")).expect("a script");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its rights");
}

/// What the demo says where it finds no more than that.
fn refusal(folder: &TempDir, install: &str) -> String {
    let mut command = Command::new(DEVICE);
    let ran = command.arg("--vm").env("PATH", folder.path()).env("BRKMAP_INSTALL", install).output();
    let ran = ran.expect("the demo starts");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!((ran.status.code(), ran.stdout.len()), (Some(1), 0), "{said}");
    said
}

#[test]
fn what_the_machine_lacks_is_named_all_at_once() {
    let folder = bare();
    script(&folder, "id", "echo 0");
    let said = refusal(&folder, "yes");
    if !cfg!(target_arch = "x86_64") {
        assert!(said.contains("the module is for x86-64"), "{said}");
        return;
    }
    for word in ["no apt-get", "no make, gcc, cpio, qemu-system-x86_64", "apt-get install", "no cargo"] {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}

#[test]
fn what_the_machine_lacks_is_installed_where_that_may_be() {
    if !cfg!(target_arch = "x86_64") {
        return println!("SKIP what_the_machine_lacks: the module is for x86-64");
    }
    // Who one is, whether sudo asks for a password, and whether the user forbade it.
    for (user, sudo, install, installs) in [
        (0, false, "yes", true),
        (0, false, "no", false),
        (1000, false, "yes", false),
        (1000, true, "yes", true),
        (1000, true, "no", false),
    ] {
        let folder = bare();
        let log = folder.path().join("log");
        script(&folder, "id", &format!("echo {user}"));
        script(&folder, "sudo", if sudo { "shift; exec \"$@\"" } else { "exit 1" });
        symlink("/bin/true", folder.path().join("true")).expect("a link");
        script(&folder, "apt-get", &format!("echo \"$@\" >>{}", log.display()));
        let said = refusal(&folder, install);
        let asked = std::fs::read_to_string(&log).unwrap_or_default();
        let case = format!("user {user}, sudo {sudo}, {install}: {asked:?}, {said}");
        assert_eq!(
            asked.contains("install -y --no-install-recommends cpio gcc linux-headers"),
            installs,
            "{case}"
        );
        assert_eq!(said.contains("kmod/vm/run: installing cpio gcc"), installs, "{case}");
        // It brought nothing here, so all of it is named.
        assert!(said.contains("no make, gcc, cpio, qemu-system-x86_64"), "{case}");
        assert_eq!(said.contains("not root"), user != 0, "{case}");
    }
}
