/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * What a program may ask of /dev/mymap and /dev/mymap_fault.
 *
 * The C shim includes this file; the Rust of the module, of the demo and of the test read its
 * numbers at compile time (src/uapi.rs). Keep one `#define NAME number` a line, the number decimal or
 * 0x: that is all the reader understands.
 *
 * mmap
 *   Both devices take MAP_SHARED, readable and writable as the file was opened, and MAP_PRIVATE
 *   if it is read-only. The range [offset, offset + length) must lie inside the device.
 *     ENXIO   the range reaches past the end of the device
 *     EPERM   PROT_EXEC; mprotect(PROT_EXEC) later says EACCES
 *     EINVAL  MAP_PRIVATE with PROT_WRITE: a copy would lose what is written;
 *             mprotect(PROT_WRITE) on a private mapping later says EACCES
 *   /dev/mymap cannot grow (mremap: EFAULT). /dev/mymap_fault can, but what lies past the end is
 *   SIGBUS when touched.
 * read, write, lseek
 *   The same bytes, seen from the kernel's side. read at the end returns 0, write there ENOSPC.
 * ioctl
 *   MYMAP_IOC_INFO fills a struct mymap_info; any other request is ENOTTY.
 */
#ifndef MYMAP_UAPI_H
#define MYMAP_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Pages in each device. */
#define MYMAP_REMAP_PAGES 1
#define MYMAP_FAULT_PAGES 16

/* Page i begins with this many bytes, counting on from 10 * i; the rest of the page is zero. */
#define MYMAP_BYTES 10

/* How a device enters its pages into the page table: mymap_info.way. */
#define MYMAP_WAY_REMAP 1
#define MYMAP_WAY_FAULT 2

struct mymap_info {
	__u32 way;	/* MYMAP_WAY_* */
	__u32 pages;	/* the device's length */
	__u32 filled;	/* pages that have memory by now */
	__u32 mappings;	/* VMAs that map the device now, in all processes */
	__u64 faults;	/* page faults the module answered since it was loaded */
};

/* _IOR(0xEF, 1, struct mymap_info): both languages assert it. */
#define MYMAP_IOC_INFO 0x8018EF01

#endif
