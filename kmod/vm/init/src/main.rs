// SPDX-License-Identifier: GPL-2.0
//! Process 1 of the test machine: `init test` runs the checks, `init run PROGRAM [ARGS]` a program with
//! the module loaded. Both end with one closing line, and the machine with them.
//!
//! The kernel's console is the first serial line; what is reported goes to the second, so that no
//! kernel message breaks a report and no report hides a kernel message.

mod checks;
mod figures;
mod klog;
mod memory;
mod module;
mod process;
mod report;
mod sys;
#[path = "../../../src/uapi.rs"]
#[allow(dead_code)]
mod uapi;

use std::ffi::{CStr, CString};
use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() {
    mount(c"proc", c"/proc");
    mount(c"sysfs", c"/sys");
    mount(c"devtmpfs", c"/dev");
    sys::report_to(c"/dev/ttyS1");

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // A child does the work: should it die, process 1 is still here to say so.
    let ended = process::run(|| match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["test"] => checks::all(),
        ["run", program, ref rest @ ..] => run(program, rest),
        _ => {
            println!("init: neither `test` nor `run PROGRAM`");
            2
        }
    });
    let status = match ended {
        process::Ended::Exited(status) => status,
        process::Ended::Killed(signal) => {
            println!("init: killed by signal {signal}");
            128 + signal
        }
    };
    // What vm/boot looks for: QEMU itself exits with 0 whatever happened in here.
    println!("guest-exit {status}");
    sys::restart();
}

fn run(program: &str, arguments: &[&str]) -> i32 {
    if let Err(error) = module::load() {
        println!("init: the module does not load: {error}");
        return 1;
    }
    let error = Command::new(program).args(arguments).exec();
    println!("init: {program}: {error}");
    127
}

fn mount(kind: &CStr, at: &CStr) {
    let _ = std::fs::create_dir(at.to_str().expect("ASCII"));
    let source = CString::from(kind);
    // SAFETY: all three are NUL-terminated strings, and no data is passed.
    let done = unsafe { libc::mount(source.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, std::ptr::null()) };
    // devtmpfs may have been mounted by the kernel already (CONFIG_DEVTMPFS_MOUNT).
    assert!(done == 0 || sys::errno() == libc::EBUSY, "mount {at:?}: {}", sys::errno());
}
