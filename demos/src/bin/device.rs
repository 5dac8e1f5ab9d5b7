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
use std::ptr::{self, NonNull};

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

#[derive(Parser)]
#[command(name = "device", version, about = "Maps kernel pages through /dev/mymap and /dev/mymap_fault")]
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
    /// Minor faults of this process while it touched every page once.
    minor_faults: i64,
    /// How many of them the module answered.
    module_faults: u64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = if cli.vm { in_vm(cli.json) } else { here(cli.json) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("error: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn here(as_json: bool) -> Result<(), String> {
    let seen = DEVICES.iter().map(look).collect::<Result<Vec<_>, _>>()?;
    if as_json {
        let devices: Vec<Value> = seen.iter().map(Seen::json).collect();
        println!("{:#}", json!({ "schema": 1, "program": "device", "devices": devices }));
    } else {
        seen.iter().for_each(Seen::print);
    }
    Ok(())
}

/// Becomes the script that boots the machine; there, this program runs again.
fn in_vm(as_json: bool) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let mut arguments = vec![OsString::from(this)];
    arguments.extend(as_json.then(|| OsString::from("--json")));
    let error = Command::new(VM_RUN).args(arguments).exec();
    Err(format!("{VM_RUN}: {error}"))
}

fn look(device: &Device) -> Result<Seen, String> {
    let file = open(device.path)?;
    let of_device = |error| format!("{}: {error}", device.path);
    let info_before = info(&file).map_err(of_device)?;
    if (info_before.way, info_before.pages as usize) != (device.way, device.pages) {
        return Err(format!("{}: the module is of another version than this program", device.path));
    }
    let page_size = page_size();
    let map = Mapping::new(&file, device.pages * page_size).map_err(of_device)?;
    // The mapping holds the device by itself; the file is needed below for the module's own count only.
    minor_faults(); // Its own first call must not count.
    let before = minor_faults();
    for page in 0..device.pages {
        map.byte(page * page_size);
    }
    let minor_faults = minor_faults() - before;
    Ok(Seen {
        path: device.path,
        way: device.way,
        pages: device.pages,
        bytes: (0..uapi::BYTES).map(|i| map.byte(i)).collect(),
        maps: map.line_of_maps().map_err(|error| format!("/proc/self/maps: {error}"))?,
        minor_faults,
        module_faults: info(&file).map_err(of_device)?.faults - info_before.faults,
    })
}

fn open(path: &str) -> Result<File, String> {
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!(
            "there is no {path}: the kernel module is not loaded.\n\
             Load it (root, and the headers of the running kernel):  make -C kmod load\n\
             Or run this program in a virtual machine that has it:   \
             cargo run --release -p brkmap-demos --bin device -- --vm"
        ),
        io::ErrorKind::PermissionDenied => format!("{path}: {error}; the devices are for root alone"),
        _ => format!("{path}: {error}"),
    })
}

impl Seen {
    fn how(&self) -> &'static str {
        if self.way == uapi::WAY_REMAP {
            "mapped at once: remap_pfn_range filled the page table in mmap"
        } else {
            "mapped page by page: the fault handler enters each page when it is first touched"
        }
    }

    fn print(&self) {
        println!("{}, {}", self.path, self.how());
        self.bytes.iter().for_each(|byte| println!("{byte}"));
        println!("  {}", self.maps);
        let pages = if self.pages == 1 { "page" } else { "pages" };
        println!("  {} minor faults for {} {pages}\n", self.minor_faults, self.pages);
    }

    fn json(&self) -> Value {
        json!({
            "path": self.path,
            "way": if self.way == uapi::WAY_REMAP { "remap" } else { "fault" },
            "how": self.how(),
            "pages": self.pages,
            "bytes": self.bytes,
            "maps": self.maps,
            "minor_faults": self.minor_faults,
            "module_faults": self.module_faults,
        })
    }
}

/// A shared mapping of a device from its beginning; unmapped when dropped.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(file: &File, len: usize) -> io::Result<Mapping> {
        // SAFETY: without MAP_FIXED the kernel picks addresses nobody has.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(start.cast::<u8>()) {
            Some(at) if start != libc::MAP_FAILED => Ok(Mapping { start: at, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn byte(&self, offset: usize) -> u8 {
        assert!(offset < self.len);
        // SAFETY: inside the mapping, which is readable until drop. Volatile: the kernel and other
        // processes write there.
        unsafe { self.start.add(offset).read_volatile() }
    }

    /// What the kernel says of this mapping: addresses, rights, offset, device, inode, path.
    fn line_of_maps(&self) -> io::Result<String> {
        let maps = std::fs::read_to_string("/proc/self/maps")?;
        let start = format!("{:08x}-", self.start.addr());
        let line = maps.lines().find(|line| line.starts_with(&start));
        let words: Option<Vec<&str>> = line.map(|line| line.split_whitespace().collect());
        words.map(|words| words.join(" ")).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by new, and nobody has a pointer into it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

fn info(file: &File) -> io::Result<uapi::Info> {
    let mut info = uapi::Info::default();
    // SAFETY: the request writes one Info, and `info` is one. (A foreign device may refuse it.)
    let done = unsafe { libc::ioctl(file.as_raw_fd(), uapi::IOC_INFO as _, ptr::from_mut(&mut info)) };
    if done == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}

fn minor_faults() -> i64 {
    // SAFETY: zero is a valid rusage, and getrusage writes one.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_minflt
    }
}

fn page_size() -> usize {
    // SAFETY: asks for a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}
