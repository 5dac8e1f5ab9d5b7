// SPDX-License-Identifier: GPL-2.0
/*
 * What only C can say: the kernel's macros and inline functions, the layout of its structures, and
 * the callbacks it calls through pointers. It decides nothing; src/ does.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "mymap_shim.h"
#include "mymap_uapi.h"

static_assert(PAGE_SIZE == 4096);	/* src/shim.rs */
static_assert(MYMAP_IOC_INFO == _IOR(0xEF, 1, struct mymap_info));

/* ---- pages ---- */

struct page *shim_page_alloc(void)
{
	return alloc_page(GFP_KERNEL | __GFP_ZERO);
}

struct page *shim_page_get(struct page *page)
{
	get_page(page);
	return page;
}

void shim_page_put(struct page *page)
{
	put_page(page);
}

void *shim_page_address(struct page *page)
{
	return page_address(page);
}

u64 shim_page_pfn(struct page *page)
{
	return page_to_pfn(page);
}

/* ---- VMAs ---- */

struct mymap_request shim_vma_request(struct vm_area_struct *vma)
{
	return (struct mymap_request) {
		.start = vma->vm_start,
		.first = vma->vm_pgoff,
		.pages = vma_pages(vma),
		.shared = vma->vm_flags & VM_SHARED,
		.writable = vma->vm_flags & VM_WRITE,
		.executable = vma->vm_flags & VM_EXEC,
	};
}

void shim_vma_limit(struct vm_area_struct *vma, bool may_write)
{
	unsigned long gone = VM_MAYEXEC | (may_write ? 0 : VM_MAYWRITE);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, gone);
#else
	vma->vm_flags &= ~gone;
#endif
}

int shim_vma_remap(struct vm_area_struct *vma, u64 start, u64 pfn, size_t size)
{
	return remap_pfn_range(vma, start, pfn, size, vma->vm_page_prot);
}

/* ---- the process's memory ---- */

size_t shim_copy_to_user(u64 to, const void *from, size_t len)
{
	return copy_to_user(u64_to_user_ptr(to), from, len);
}

size_t shim_copy_from_user(void *to, u64 from, size_t len)
{
	return copy_from_user(to, u64_to_user_ptr(from), len);
}

/* ---- callbacks ---- */

static struct miscdevice misc_remap, misc_fault;

/* misc_open leaves the miscdevice here. */
static u32 way_of(struct file *file)
{
	return file->private_data == &misc_remap ? MYMAP_WAY_REMAP : MYMAP_WAY_FAULT;
}

static void cb_vma_open(struct vm_area_struct *vma)
{
	mymap_vma_opened(way_of(vma->vm_file));
}

static void cb_vma_close(struct vm_area_struct *vma)
{
	mymap_vma_closed(way_of(vma->vm_file));
}

static vm_fault_t cb_fault(struct vm_fault *vmf)
{
	int err = mymap_fault(way_of(vmf->vma->vm_file), vmf->pgoff, &vmf->page);

	/* vmf_error: no memory is VM_FAULT_OOM, all else SIGBUS. */
	return err ? vmf_error(err) : 0;
}

/* No fault callback: the table is full from the start. */
static const struct vm_operations_struct vm_ops_remap = {
	.open = cb_vma_open,
	.close = cb_vma_close,
};

static const struct vm_operations_struct vm_ops_fault = {
	.open = cb_vma_open,
	.close = cb_vma_close,
	.fault = cb_fault,
};

static int cb_open(struct inode *inode, struct file *file)
{
	return mymap_open();
}

static int cb_mmap(struct file *file, struct vm_area_struct *vma)
{
	u32 way = way_of(file);

	vma->vm_ops = way == MYMAP_WAY_REMAP ? &vm_ops_remap : &vm_ops_fault;
	return mymap_map(way, vma);
}

static ssize_t cb_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	ssize_t done = mymap_read(way_of(file), (unsigned long)to, len, *pos);

	if (done > 0)
		*pos += done;
	return done;
}

static ssize_t cb_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	ssize_t done = mymap_write(way_of(file), (unsigned long)from, len, *pos);

	if (done > 0)
		*pos += done;
	return done;
}

static loff_t cb_llseek(struct file *file, loff_t offset, int whence)
{
	return fixed_size_llseek(file, offset, whence, mymap_size(way_of(file)));
}

static long cb_ioctl(struct file *file, unsigned int request, unsigned long arg)
{
	return mymap_ioctl(way_of(file), request, arg);
}

static const struct file_operations fops = {
	/* Every open file, and through it every mapping, holds the module. */
	.owner = THIS_MODULE,
	.open = cb_open,
	.mmap = cb_mmap,
	.read = cb_read,
	.write = cb_write,
	.llseek = cb_llseek,
	.unlocked_ioctl = cb_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice misc_remap = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mymap",
	.fops = &fops,
};

static struct miscdevice misc_fault = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mymap_fault",
	.fops = &fops,
};

static struct miscdevice *misc_of(u32 way)
{
	return way == MYMAP_WAY_REMAP ? &misc_remap : &misc_fault;
}

int shim_register(u32 way)
{
	return misc_register(misc_of(way));
}

void shim_deregister(u32 way)
{
	misc_deregister(misc_of(way));
}

/* ---- the module ---- */

void shim_log_loaded(u32 remap_pages, u32 fault_pages)
{
	pr_info("loaded: /dev/mymap %u page, /dev/mymap_fault %u pages\n", remap_pages, fault_pages);
}

void shim_log_unloaded(u32 allocated, u32 freed, u32 mappings)
{
	pr_info("unloaded: %u pages allocated, %u freed\n", allocated, freed);
	if (allocated != freed || mappings)
		pr_err("leak: %u pages and %u mappings are left\n", allocated - freed, mappings);
}

static int __init shim_init(void)
{
	return mymap_init();
}

static void __exit shim_exit(void)
{
	mymap_exit();
}

module_init(shim_init);
module_exit(shim_exit);
MODULE_DESCRIPTION("Pages of the kernel in user space: remap_pfn_range and a fault handler, compared");
MODULE_AUTHOR("The brkmap developers");
MODULE_LICENSE("GPL");
