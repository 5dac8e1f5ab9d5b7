//! Without the device; with it, the suite kmod runs the program in a virtual machine.

mod common;

use common::run;

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

#[test]
fn what_the_machine_lacks_is_named_all_at_once() {
    // Nothing is found, so nothing is built or booted.
    let folder = tempfile::tempdir().expect("a folder");
    for tool in ["bash", "dirname", "uname", "id", "xargs", "ls", "cat"] {
        let found = ["/usr/bin", "/bin"].iter().map(|place| std::path::Path::new(place).join(tool));
        let found = found.into_iter().find(|path| path.exists()).expect(tool);
        std::os::unix::fs::symlink(found, folder.path().join(tool)).expect("a link");
    }
    let ran = std::process::Command::new(DEVICE).arg("--vm").env("PATH", folder.path()).output();
    let ran = ran.expect("the demo starts");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    if !cfg!(target_arch = "x86_64") {
        assert!(said.contains("the module is for x86-64"), "{said}");
        return;
    }
    for word in ["no apt-get", "no make, gcc, cpio, qemu-system-x86_64", "apt-get install", "no cargo"] {
        assert!(said.contains(word), "no `{word}` in: {said}");
    }
}
