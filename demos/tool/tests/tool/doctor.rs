//! `brkmap doctor`: set-ups that work, set-ups that do not, and the sentence that each gets.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Scratch, brkmap, clean, library, needs, run, stderr, stdout, text};

/// What the doctor says of a command with these variables, as JSON and as text.
struct Said {
    document: Value,
    text: String,
    code: Option<i32>,
}

fn asked(arguments: &[&str], variables: &[(&str, &OsStr)]) -> Said {
    let command = |more: &[&str]| {
        let mut command = brkmap(&[&["doctor"], more, arguments].concat());
        command.envs(variables.iter().copied()).env("COLUMNS", "100");
        run(&mut command)
    };
    let (as_json, as_text) = (command(&["--json"]), command(&[]));
    assert_eq!(as_json.status, as_text.status);
    let document = serde_json::from_slice(&as_json.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&as_json)));
    // One line, however it was wrapped.
    let text = stdout(&as_text).split_whitespace().collect::<Vec<_>>().join(" ");
    Said { document, text, code: as_text.status.code() }
}

fn preloaded(arguments: &[&str], preload: impl AsRef<OsStr>) -> Said {
    asked(arguments, &[("LD_PRELOAD", preload.as_ref())])
}

impl Said {
    fn is_fine(&self) -> &Said {
        assert!(self.document["in_effect"] == true && self.code == Some(0), "{}", self.text);
        self
    }

    /// It is not in effect, for this reason among others; the words of the reason are in the text too.
    fn fails(&self, reason: &str, words: &str) -> &Said {
        assert!(self.document["in_effect"] == false && self.code == Some(1), "{}", self.text);
        assert_eq!(self.finding(reason)["stops"], true, "{reason}");
        assert!(self.text.contains(words), "no `{words}` in: {}", self.text);
        self
    }

    fn notes(&self, reason: &str, words: &str) -> &Said {
        assert_eq!(self.finding(reason)["stops"], false, "{reason}");
        assert!(self.text.contains(words), "no `{words}` in: {}", self.text);
        self
    }

    fn finding(&self, reason: &str) -> &Value {
        let findings = self.document["findings"].as_array().expect("a list");
        let found = findings.iter().find(|finding| finding["reason"] == reason);
        found.unwrap_or_else(|| panic!("no {reason} in {:#}", self.document))
    }

    fn fact(&self, list: &str, name: &str) -> &Value {
        let facts = self.document[list].as_array().expect("a list");
        facts.iter().find(|fact| fact["name"] == name).unwrap_or_else(|| panic!("no {name}"))
    }
}

/// Compiles C. None where there is no compiler.
fn compiled(scratch: &Scratch, name: &str, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let compiler = needs("gcc")?;
    let (code, file) = (scratch.file(&format!("{name}.c")), scratch.file(name));
    std::fs::write(&code, source).unwrap();
    let mut command = Command::new(compiler);
    command.args(["-w", "-fno-builtin"]).arg(&code).arg("-o").arg(&file).args(flags);
    let output = run(&mut command);
    assert!(output.status.success(), "{}", stderr(&output));
    Some(file)
}

const NOTHING: &str = "int main(void) { return 0; }";
const ALLOCATES: &str = "#include <stdlib.h>\nint main(void) { free(malloc(100)); return 0; }";
/// An allocator that the doctor itself can live on: nothing is used twice.
const OWN: &str = "#include <stddef.h>\n#include <string.h>\n\
    static char memory[1 << 28]; static size_t used;\n\
    void *malloc(size_t size) { size_t at = __sync_fetch_and_add(&used, (size + 63) & ~63ul); return memory + at; }\n\
    void free(void *block) {}\n\
    void *calloc(size_t count, size_t size) { return malloc(count * size); }\n\
    void *realloc(void *block, size_t size) { void *to = malloc(size); return block ? memcpy(to, block, size) : to; }\n";

/// A process that says a line when it is ready, and ends with the value.
struct Running(Child);

impl Running {
    /// `preload` is what LD_PRELOAD names, and may be nothing.
    fn new(command: &mut Command, preload: impl AsRef<OsStr>) -> Running {
        clean(command);
        let mut child = command
            .env("LD_PRELOAD", preload)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Running(child)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Says that it is ready and waits. With an argument it opens that library first, its own names before all others.
const WAITS: &str = "#include <dlfcn.h>\n#include <stdio.h>\n#include <stdlib.h>\n\
    int main(int count, char **words) { free(malloc(100));\n\
    if (count > 1 && !dlopen(words[1], RTLD_NOW | RTLD_DEEPBIND)) { puts(dlerror()); return 1; }\n\
    puts(\"ready\"); fflush(stdout); getchar(); return 0; }";

#[test]
fn a_command_that_asks_for_it_has_it() {
    let said = preloaded(&["--", "cat"], library());
    said.is_fine();
    assert_eq!(said.document["from"], text(library()));
    assert!(said.document["findings"].as_array().unwrap().is_empty(), "{}", said.text);
}

#[test]
fn nothing_asks_for_it() {
    asked(&["--", "cat"], &[]).fails("not_asked", "Start it with LD_PRELOAD=");
    preloaded(&["--", "cat"], "libm.so.6").fails("not_asked", "LD_PRELOAD is `libm.so.6`");
}

#[test]
fn names_that_lead_nowhere() {
    preloaded(&["--", "cat"], "/no/such/libbrkmap.so").fails("no_such_file", "there is no such file");
    preloaded(&["--", "cat"], "target/none/libbrkmap.so")
        .fails("no_such_file", "A relative path counts from");
    preloaded(&["--", "cat"], "libbrkmap.so.99").fails("loader", "The loader does not load it");
    preloaded(&["--", "cat"], "libm.so.6,libbrkmap.so").fails("separator", "separated by colons or blanks");
}

#[test]
fn files_that_are_no_library_for_this_machine() {
    let scratch = Scratch::new("doctor-files");
    let bytes = std::fs::read(library()).unwrap();
    let file = scratch.file("libbrkmap.so");
    std::fs::write(&file, "not a library").unwrap();
    preloaded(&["--", "cat"], &file).fails("no_library", "it is no ELF file");
    // The machine in the header: s390.
    let mut other = bytes.clone();
    other[18] = 22;
    std::fs::write(&file, &other).unwrap();
    preloaded(&["--", "cat"], &file).fails("library_architecture", "take the package for this architecture");
    // Of 32 bits.
    let mut other = bytes;
    other[4] = 1;
    std::fs::write(&file, &other).unwrap();
    preloaded(&["--", "cat"], &file).fails("library_architecture", "is for 32-bit");
}

#[test]
fn a_static_program_loads_nothing() {
    let scratch = Scratch::new("doctor-static");
    let Some(program) = compiled(&scratch, "static", ALLOCATES, &["-static"]) else { return };
    preloaded(&["--", text(&program)], library()).fails("static", "can be linked with libbrkmap.a");
    let Some(program) = compiled(&scratch, "static-pie", ALLOCATES, &["-static-pie"]) else { return };
    preloaded(&["--", text(&program)], library()).fails("static", "it loads no library");
}

#[test]
fn a_program_of_another_libc_or_language() {
    let scratch = Scratch::new("doctor-others");
    let musl = ["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"];
    let Some(program) = compiled(&scratch, "musl", NOTHING, &musl) else { return };
    preloaded(&["--", text(&program)], library()).fails("musl", "is linked with musl");
    let go = format!("__attribute__((section(\".go.buildinfo\"), used)) static int go = 1;\n{NOTHING}");
    let Some(program) = compiled(&scratch, "go", &go, &["-static"]) else { return };
    preloaded(&["--", text(&program)], library()).fails("go", "is written in Go");
    let Some(program) = compiled(&scratch, "cgo", &go, &[]) else { return };
    preloaded(&["--", text(&program)], library()).is_fine().notes("go", "Only its parts in C");
}

#[test]
fn a_program_with_an_allocator_of_its_own() {
    let scratch = Scratch::new("doctor-own");
    let Some(program) = compiled(&scratch, "own", &format!("{OWN}{NOTHING}"), &["-rdynamic"]) else { return };
    preloaded(&["--", text(&program)], library()).fails("own_malloc", "defines malloc itself");
    let inside = format!("void *mi_malloc(unsigned long size) {{ return 0; }}\n{NOTHING}");
    let Some(program) = compiled(&scratch, "inside", &inside, &[]) else { return };
    preloaded(&["--", text(&program)], library()).is_fine().notes("allocator_inside", "has mimalloc inside");
}

#[test]
fn another_library_stands_before_it() {
    let scratch = Scratch::new("doctor-before");
    let Some(other) = compiled(&scratch, "libother.so", OWN, &["-shared", "-fPIC"]) else { return };
    let list = |first: &Path, second: &Path| format!("{}:{}", first.display(), second.display());
    preloaded(&["--", "cat"], list(&other, library())).fails("another_first", "put libbrkmap.so there");
    preloaded(&["--", "cat"], list(library(), &other)).is_fine();
}

#[test]
fn a_program_with_raised_rights_ignores_the_variable() {
    if !nix_is_root() {
        println!("SKIP: another user's setuid program takes root");
        return;
    }
    let scratch = Scratch::new("doctor-setuid");
    let Some(program) = compiled(&scratch, "setuid", NOTHING, &[]) else { return };
    preloaded(&["--", text(&program)], library()).is_fine();
    chown(&program, Some(65534), None).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o4755)).unwrap();
    let said = preloaded(&["--", text(&program)], library());
    said.fails("raised_rights", "A line in /etc/ld.so.preload reaches");
    assert!(said.fact("settings", "mmap_threshold")["value"].as_str().unwrap().contains("raised rights"));
}

fn nix_is_root() -> bool {
    // SAFETY: it has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn a_script_is_its_interpreter() {
    let scratch = Scratch::new("doctor-script");
    let script = scratch.file("script");
    std::fs::write(&script, "#!/usr/bin/env -S cat\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    preloaded(&["--", text(&script)], library()).is_fine().notes("script", "what counts is");
}

#[test]
fn what_is_wrong_in_a_configuration_is_named_and_the_rest_is_in_force() {
    let preload = ("LD_PRELOAD", library().as_os_str());
    let with = |name: &'static str, value: &'static str| {
        asked(&["--", "cat"], &[preload, (name, OsStr::new(value))])
    };
    let value = |said: &Said, key| said.fact("settings", key)["value"].as_str().unwrap().to_owned();
    let said = with("BRKMAP_MMAP_TRESHOLD", "65536");
    said.is_fine().notes("configuration", "BRKMAP_MMAP_THRESHOLD is the nearest");
    assert_eq!(value(&said, "mmap_threshold"), "128K (default)");
    let said = with("BRKMAP_MMAP_THRESHOLD", "64Q");
    said.is_fine().notes("configuration", "which is ignored");
    let said = with("BRKMAP_CONF", "mmap_threshold:100,preset:small,dirty_share:x");
    said.is_fine().notes("configuration", "1025 is taken").notes("configuration", "dirty_share is `x`");
    assert_eq!(value(&said, "mmap_threshold"), "1025 (BRKMAP_CONF)");
    assert_eq!(value(&said, "dirty_floor"), "1M (preset:small of BRKMAP_CONF)");
    assert_eq!(value(&said, "preset"), "small (BRKMAP_CONF)");
    assert_eq!(
        value(&with("MALLOC_MMAP_THRESHOLD_", "0x10000"), "mmap_threshold"),
        "64K (MALLOC_MMAP_THRESHOLD_)"
    );
}

#[test]
fn a_process_is_read_where_its_malloc_leads() {
    let scratch = Scratch::new("doctor-process");
    let Some(program) = compiled(&scratch, "waits", WAITS, &["-ldl"]) else { return };
    let running = Running::new(&mut Command::new(&program), library());
    let said = asked(&[&running.pid()], &[]);
    said.is_fine();
    assert!(said.document["findings"].as_array().unwrap().is_empty(), "{}", said.text);
    assert!(said.fact("settings", "arena")["value"].as_str().unwrap().starts_with("the break, "));

    let without = Running::new(&mut Command::new(&program), "");
    asked(&[&without.pid()], &[]).fails("not_asked", "Nothing asks for it");
}

#[test]
fn a_library_opened_with_deepbind_calls_libcs_malloc() {
    let scratch = Scratch::new("doctor-deepbind");
    let source = "#include <stdlib.h>\nvoid *kept; __attribute__((constructor)) void start(void) { kept = malloc(10); }";
    let Some(opened) = compiled(&scratch, "libdeep.so", source, &["-shared", "-fPIC"]) else { return };
    let Some(program) = compiled(&scratch, "waits", WAITS, &["-ldl"]) else { return };
    let running = Running::new(Command::new(&program).arg(&opened), library());
    asked(&[&running.pid()], &[]).is_fine().notes("deepbind", "it was opened with RTLD_DEEPBIND");
}

#[test]
fn a_process_whose_library_is_not_the_first_or_was_replaced() {
    let scratch = Scratch::new("doctor-live");
    let Some(other) = compiled(&scratch, "libother.so", OWN, &["-shared", "-fPIC"]) else { return };
    let Some(program) = compiled(&scratch, "waits", WAITS, &["-ldl"]) else { return };
    let list = format!("{}:{}", other.display(), library().display());
    let running = Running::new(&mut Command::new(&program), list);
    asked(&[&running.pid()], &[]).fails("another_first", "malloc is that of");

    let own = scratch.file("libbrkmap.so");
    std::fs::copy(library(), &own).unwrap();
    let running = Running::new(&mut Command::new(&program), &own);
    std::fs::remove_file(&own).unwrap();
    asked(&[&running.pid()], &[]).is_fine().notes("replaced", "until it starts anew");
}

#[test]
fn limits_of_a_process_are_named() {
    let scratch = Scratch::new("doctor-limits");
    let Some(program) = compiled(&scratch, "waits", WAITS, &["-ldl"]) else { return };
    let mut command = Command::new(&program);
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 64 << 20, rlim_max: 64 << 20 };
            (libc::setrlimit(libc::RLIMIT_DATA, &limit) == 0)
                .then_some(())
                .ok_or_else(std::io::Error::last_os_error)
        });
    }
    let running = Running::new(&mut command, library());
    let said = asked(&[&running.pid()], &[]);
    let limit = said.is_fine().fact("machine", "limit of data");
    assert!(limit["value"] == "64 MiB" && limit["matters"] == true, "{limit}");
    assert!(said.text.contains("RLIMIT_DATA counts the break"), "{}", said.text);
}

#[test]
fn who_is_not_there_is_named() {
    for (arguments, code, words) in [
        (&["doctor", "--", "no-such-command-here"][..], 127, "no-such-command-here"),
        (&["doctor", "--", "/etc/passwd"], 126, "/etc/passwd cannot be run"),
        (&["doctor", "999999999"], 2, "there is no process 999999999"),
        (&["doctor"], 2, "<PID>"),
    ] {
        let output = run(&mut brkmap(arguments));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
