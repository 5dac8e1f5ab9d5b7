// SPDX-License-Identifier: GPL-2.0
//! The list of checks, in the order they run: first with the module loaded once, then loading and
//! unloading it, and last what the kernel's log says of it all.

mod bytes;
mod lifetime;
mod log;
mod refusals;
mod sharing;
mod table;

use crate::module::{self, Unloads};
use crate::report::Report;
use crate::sys::{FAULT, REMAP};
use crate::{figures, uapi};

/// A device as the checks see it.
#[derive(Clone, Copy)]
pub struct Device {
    pub path: &'static std::ffi::CStr,
    pub way: u32,
    pub pages: usize,
}

pub const DEVICES: [Device; 2] = [
    Device { path: REMAP, way: uapi::WAY_REMAP, pages: uapi::REMAP_PAGES },
    Device { path: FAULT, way: uapi::WAY_FAULT, pages: uapi::FAULT_PAGES },
];

/// Runs everything; the exit status says whether all of it holds.
pub fn all() -> i32 {
    let unloads = Unloads::new();
    let mut report = Report::start().expect("/dev/kmsg can be read");

    report.check("devices-absent-before-load", lifetime::devices_absent);
    if let Err(error) = module::load() {
        println!("not ok module-loads - {error}");
        return 1;
    }
    println!("ok module-loads");
    report.check("fault-pages-filled-when-first-touched", table::filled_when_first_touched);
    report.check("devices-present", lifetime::devices_present);
    report.check("second-load-refused", lifetime::second_load_refused);

    report.check("remap-ten-bytes", || bytes::ten_bytes(DEVICES[0]));
    report.check("fault-ten-bytes-in-every-page", || bytes::ten_bytes(DEVICES[1]));
    report.check("rest-of-the-page-zero", bytes::rest_is_zero);
    report.check("offset-maps-that-page", bytes::offset_maps_that_page);
    report.check("info-tells-way-and-length", bytes::info);
    report.check("kernel-reads-what-a-process-wrote", bytes::kernel_reads);
    report.check("process-sees-what-the-kernel-wrote", bytes::kernel_writes);
    report.check("read-and-write-cross-pages", bytes::across_pages);
    report.check("seek-and-end-of-device", bytes::seek_and_end);

    report.check("remap-table-full-at-once", table::remap_never_faults);
    report.check("fault-one-fault-a-page", table::one_fault_a_page);
    report.check("fault-entry-appears-when-touched", table::entry_appears);
    report.check("fault-dontneed-faults-again-keeps-bytes", table::dontneed);
    report.check("remap-dontneed-refused", table::dontneed_refused);

    for device in DEVICES {
        let name = device.path.to_str().expect("ASCII").trim_start_matches("/dev/");
        report.check(&format!("{name}-second-process-sees-writes"), || sharing::second_process(device));
        report.check(&format!("{name}-bytes-outlive-the-writer"), || sharing::after_the_writer(device));
        report.check(&format!("{name}-fork-inherits-mapping"), || sharing::fork_inherits(device));
        report.check(&format!("{name}-mapping-survives-close"), || sharing::survives_close(device));
        report.check(&format!("{name}-mappings-counted"), || sharing::mappings_counted(device));
        report.check(&format!("{name}-refuses-length"), || refusals::length(device));
        report.check(&format!("{name}-refuses-offset"), || refusals::offset(device));
        report.check(&format!("{name}-refuses-exec"), || refusals::exec(device));
        report.check(&format!("{name}-refuses-private-writable"), || refusals::private_writable(device));
        report.check(&format!("{name}-private-read-only-stays-so"), || refusals::private_read_only(device));
        report.check(&format!("{name}-read-only-file-stays-so"), || refusals::read_only_file(device));
        report.check(&format!("{name}-refuses-ioctl"), || refusals::ioctl(device));
        report.check(&format!("{name}-refuses-bad-address"), || refusals::bad_address(device));
    }
    report.check("two-processes-one-frame", sharing::one_frame);
    report.check("remap-refuses-to-grow", refusals::remap_grows);
    report.check("fault-past-the-end-is-sigbus", refusals::past_the_end);

    figures::print();

    report.check("unload-refused-while-open", || lifetime::held(&unloads, lifetime::Holder::OpenFile));
    report.check("unload-refused-while-mapped", || lifetime::held(&unloads, lifetime::Holder::Mapping));
    report.check("unload-refused-while-a-child-maps", || lifetime::held(&unloads, lifetime::Holder::Child));
    report.check("devices-gone-after-unload", lifetime::devices_absent);
    report.check("concurrent-first-touch-makes-one-page", || lifetime::concurrent_first_touch(&unloads));
    report.check("load-unload-100-times-leaks-no-page", || lifetime::hundred_times(&unloads));

    let records = std::mem::take(&mut report.records);
    report.check("kernel-log-free-of-warnings", || log::free_of_warnings(&records));
    report.check("every-page-freed-at-every-unload", || log::every_page_freed(&records, unloads.count()));
    i32::from(report.failed > 0)
}
