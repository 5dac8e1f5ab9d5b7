/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The border between C and Rust. src/shim.rs and src/entry.rs hold the same lists for Rust.
 */
#ifndef MYMAP_SHIM_H
#define MYMAP_SHIM_H

#include <linux/types.h>

struct page;
struct vm_area_struct;

/* src/request.rs: Request. */
struct mymap_request {
	u64 start;
	u64 first;
	u64 pages;
	bool shared;
	bool writable;
	bool executable;
};

/* Given by C. */
struct page *shim_page_alloc(void);
struct page *shim_page_get(struct page *page);
void shim_page_put(struct page *page);
void *shim_page_address(struct page *page);
u64 shim_page_pfn(struct page *page);
struct mymap_request shim_vma_request(struct vm_area_struct *vma);
void shim_vma_limit(struct vm_area_struct *vma, bool may_write);
int shim_vma_remap(struct vm_area_struct *vma, u64 start, u64 pfn, size_t size);
size_t shim_copy_to_user(u64 to, const void *from, size_t len);
size_t shim_copy_from_user(void *to, u64 from, size_t len);
int shim_register(u32 way);
void shim_deregister(u32 way);
void shim_log_loaded(u32 remap_pages, u32 fault_pages);
void shim_log_unloaded(u32 allocated, u32 freed, u32 mappings);

/* Given by Rust. */
int mymap_init(void);
void mymap_exit(void);
int mymap_open(void);
int mymap_map(u32 way, struct vm_area_struct *vma);
void mymap_vma_opened(u32 way);
void mymap_vma_closed(u32 way);
int mymap_fault(u32 way, u64 index, struct page **page);
ssize_t mymap_read(u32 way, u64 user, size_t len, u64 offset);
ssize_t mymap_write(u32 way, u64 user, size_t len, u64 offset);
u64 mymap_size(u32 way);
int mymap_ioctl(u32 way, u32 request, u64 user);

#endif
