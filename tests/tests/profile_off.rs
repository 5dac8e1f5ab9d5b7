//! A heap profile that is off costs no instruction on a fast path: the library and a Rust program are built with the
//! profile and without it, and their instructions are counted.

use std::path::{Path, PathBuf};
use std::process::Command;

use brkmap_tests::program::{preload, root, run};
use brkmap_tests::skip;

/// Pairs of C's functions, or of the Rust front's inlined ones, of several classes.
const PAIRS: &str = r#"
use std::alloc::{Layout, alloc, dealloc};
use std::hint::black_box;

#[global_allocator]
static GLOBAL: brkmap::BrkMap = brkmap::BrkMap::new();

unsafe extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn free(block: *mut u8);
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let count: usize = words[2].parse().unwrap();
    let sizes = [16, 24, 100, 200, 600, 1000, 64, 300];
    for at in 0..count {
        // SAFETY: blocks of sizes that are not 0, each freed once.
        unsafe {
            if words[1] == "c" {
                free(black_box(malloc(black_box(sizes[at % 8]))));
            } else {
                let layout = Layout::from_size_align_unchecked(black_box(sizes[at % 8]), 8);
                dealloc(black_box(alloc(layout)), layout);
                let layout = Layout::new::<[u64; 6]>();
                dealloc(black_box(alloc(layout)), layout);
            }
        }
    }
}
"#;

/// Builds a package of its own, whose brkmap has these features: what lies in its release folder.
fn built(name: &str, manifest: &str, brkmap: &str, features: &str, main: Option<&str>) -> PathBuf {
    let target = preload().ancestors().nth(2).expect("target/release/libbrkmap.so").join("profile-off");
    let package = target.join(name);
    std::fs::create_dir_all(package.join("src")).expect("a folder");
    let path = root().join("allocator");
    let text = format!(
        "[package]\nname = \"{name}\"\nedition = \"2024\"\n{manifest}\n[dependencies]\n\
         {brkmap} = {{ package = \"brkmap\", path = {path:?}, features = [{features}] }}\n\
         libc = {{ version = \"0.2\", default-features = false }}\n\
         [profile.release]\nlto = \"fat\"\ncodegen-units = 1\npanic = \"abort\"\ndebug = \"line-tables-only\"\n[workspace]\n"
    );
    write(&package.join("Cargo.toml"), &text);
    if let Some(main) = main {
        write(&package.join("src/main.rs"), main);
    }
    // The versions that all else here is built with; cargo leaves out what is not needed.
    let lock = package.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(root().join("Cargo.lock"), lock).expect("Cargo.lock");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(target.join("build"))
        .current_dir(&package);
    assert!(command.status().expect("cargo").success(), "{name} is built");
    target.join("build/release")
}

/// What is as it should be stays untouched, and so need not be built again.
fn write(path: &Path, text: &str) {
    if std::fs::read_to_string(path).ok().as_deref() != Some(text) {
        std::fs::write(path, text).expect("a file");
    }
}

/// A Rust program on the crate with these features.
fn pairs(name: &str, features: &str) -> PathBuf {
    built(name, "", "brkmap", features, Some(PAIRS)).join(name)
}

/// Instructions of so many more pairs.
fn instructions(program: &Path, kind: &str, library: Option<&Path>) -> u64 {
    const PAIRS: u64 = 100_000;
    let count = |pairs: u64| {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
        command.args([kind, &pairs.to_string()]);
        if let Some(library) = library {
            command.env("LD_PRELOAD", library);
        }
        let ended = run(command);
        ended.expect_success(kind);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let line = said.lines().find_map(|line| Some(line.split_once("Collected : ")?.1.to_owned()));
        line.and_then(|number| number.trim().parse::<u64>().ok())
            .unwrap_or_else(|| panic!("no count in {said}"))
    };
    let more = count(2 * PAIRS) - count(PAIRS);
    assert!((10..400).contains(&(more / PAIRS)), "{more} instructions for {PAIRS} pairs");
    more
}

#[test]
fn a_profile_that_is_off_costs_the_rust_front_no_instruction() {
    let Some(_) = skip::tool("valgrind") else { return };
    let [with, without] = [pairs("pairs-with", "\"profile\""), pairs("pairs-without", "")]
        .map(|program| instructions(&program, "rust", None));
    assert_eq!(with, without, "with the profile, and without");
}

#[test]
fn a_profile_that_is_off_costs_the_c_functions_no_instruction() {
    let Some(_) = skip::tool("valgrind") else { return };
    let library = root().join("allocator/preload");
    let manifest = format!(
        "build = {:?}\n[lib]\nname = \"brkmap\"\npath = {:?}\ncrate-type = [\"cdylib\"]",
        library.join("build.rs"),
        library.join("src/lib.rs")
    );
    let without = built("library-without", &manifest, "brkmap-core", "", None).join("libbrkmap.so");
    let program = pairs("pairs-without", "");
    let [with, without] = [preload(), &without].map(|library| instructions(&program, "c", Some(library)));
    assert_eq!(with, without, "with the profile, and without");
}
