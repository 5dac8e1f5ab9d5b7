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
