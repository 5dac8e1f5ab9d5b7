//! Maps the two devices of the kernel module in kmod/, and prints what the kernel put there: the bytes
//! 0 to 9. The one is in the page table as soon as mmap returns, the other page by page when touched.
//!
//! `--vm` does it in a virtual machine with the module loaded, on a machine that has neither.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::ptr;

use brkmap_base::error::{During, Error, Result};
use brkmap_base::output;
use brkmap_demos::mapping::{Mapping, SharedFile};
use brkmap_demos::program::run;
use brkmap_demos::proof::faults::during;
use brkmap_demos::proof::maps;
use brkmap_witness::{Faults, page_size};
use clap::Parser;
use serde_json::{Value, json};

#[path = "../../../kmod/src/uapi.rs"]
mod uapi;

/// What one command in the VM needs; it lies beside this package.
const VM_RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../kmod/vm/run");

const DEVICES: [Device; 2] = [
    Device { path: "/dev/mymap", way: uapi::WAY_REMAP, pages: uapi::REMAP_PAGES },
    Device { path: "/dev/mymap_fault", way: uapi::WAY_FAULT, pages: uapi::FAULT_PAGES },
];

const EXAMPLES: &str = "\
Examples:
  brkmap demo device
  brkmap demo device --vm";

#[derive(Parser)]
#[command(name = "device", version, about = "Maps kernel pages through /dev/mymap and /dev/mymap_fault", after_help = EXAMPLES)]
struct Cli {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Boot a virtual machine with the module loaded, and run there
    #[arg(long)]
    vm: bool,
}

struct Device {
    path: &'static str,
    way: u32,
    pages: usize,
}

/// What was seen of one device.
struct Seen {
    path: &'static str,
    way: u32,
    pages: usize,
    bytes: Vec<u8>,
    maps: String,
    /// Of this process, while it touched every page once.
    faults: Faults,
    /// How many of them the module answered.
    module_faults: u64,
}

fn main() -> ExitCode {
    run(|cli: Cli| if cli.vm { in_vm(cli.json) } else { here(cli.json) })
}

fn here(as_json: bool) -> Result<ExitCode> {
    let seen = DEVICES.iter().map(look).collect::<Result<Vec<_>>>()?;
    if as_json {
        let devices: Vec<Value> = seen.iter().map(Seen::json).collect();
        output::line(format_args!("{:#}", json!({ "schema": 1, "program": "device", "devices": devices })))?;
    } else {
        seen.iter().try_for_each(Seen::print)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Becomes the script that boots the machine; there, this program runs again.
fn in_vm(as_json: bool) -> Result<ExitCode> {
    let this = std::env::current_exe().during("find this program")?;
    let mut arguments = vec![OsString::from(this)];
    arguments.extend(as_json.then(|| OsString::from("--json")));
    let error = Command::new(VM_RUN).args(arguments).exec();
    Err(Error::failed(format!("{VM_RUN}: {error}")))
}

fn look(device: &Device) -> Result<Seen> {
    let file = open(device.path)?;
    let info_before = info(&file).map_err(Error::during(device.path))?;
    if (info_before.way, info_before.pages as usize) != (device.way, device.pages) {
        return Err(Error::failed(format!(
            "{}: the module is of another version than this program",
            device.path
        )));
    }
    let map = SharedFile::map(&file, device.pages * page_size()).map_err(Error::during(device.path))?;
    // The mapping holds the device by itself; the file is needed below for the module's own count only.
    let ((), faults) = during(|| {
        for page in 0..device.pages {
            map.load(page * page_size());
        }
    });
    Ok(Seen {
        path: device.path,
        way: device.way,
        pages: device.pages,
        bytes: (0..uapi::BYTES).map(|at| map.load(at)).collect(),
        maps: line_of_maps(&map)?,
        faults,
        module_faults: info(&file).map_err(Error::during(device.path))?.faults - info_before.faults,
    })
}

fn open(path: &str) -> Result<File> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no {path}: the kernel module is not loaded.\n\
             Load it (root, and the headers of the running kernel):  make -C kmod load\n\
             Or run this program in a virtual machine that has it:   \
             cargo run --profile demo -p brkmap-demos --bin device -- --vm"
        ),
        io::ErrorKind::PermissionDenied => format!("{path}: {error}; the devices are for root alone"),
        _ => format!("{path}: {error}"),
    };
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.map_err(|error| Error::failed(refused(error)))
}

impl Seen {
    fn how(&self) -> &'static str {
        if self.way == uapi::WAY_REMAP {
            "mapped at once: remap_pfn_range filled the page table in mmap"
        } else {
            "mapped page by page: the fault handler enters each page when it is first touched"
        }
    }

    fn print(&self) -> Result<()> {
        output::line(format_args!("{}, {}", self.path, self.how()))?;
        self.bytes.iter().try_for_each(output::line)?;
        output::line(format_args!("  {}", self.maps))?;
        let pages = if self.pages == 1 { "page" } else { "pages" };
        output::line(format_args!("  {} minor faults for {} {pages}\n", self.faults.minor, self.pages))
    }

    fn json(&self) -> Value {
        json!({
            "path": self.path,
            "way": if self.way == uapi::WAY_REMAP { "remap" } else { "fault" },
            "how": self.how(),
            "pages": self.pages,
            "bytes": self.bytes,
            "maps": self.maps,
            "minor_faults": self.faults.minor,
            "module_faults": self.module_faults,
        })
    }
}

/// What the kernel says of this mapping: addresses, rights, offset, device, inode, path.
fn line_of_maps(map: &SharedFile) -> Result<String> {
    let line = maps::line_of(map.addr())?;
    let words = line.as_ref().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.ok_or_else(|| Error::failed("/proc/self/maps does not show the mapping"))
}

fn info(file: &File) -> io::Result<uapi::Info> {
    let mut info = uapi::Info::default();
    // SAFETY: the request writes one Info, and `info` is one. (A foreign device may refuse it.)
    let done = unsafe { libc::ioctl(file.as_raw_fd(), uapi::IOC_INFO as _, ptr::from_mut(&mut info)) };
    if done == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}
