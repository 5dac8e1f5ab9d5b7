/* brkmap.h: the functions that libbrkmap defines (libbrkmap(3)).
 *
 * Most are C's and glibc's, so a program needs no header of its own for them. This one brings them together,
 * and declares the two of C23 that the C library here may be too old to declare, and the statistics.
 */
#ifndef BRKMAP_H
#define BRKMAP_H

#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE 1
#endif

#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define BRKMAP_VERSION "@VERSION@"

/* C++ wants the words that glibc's own declarations have. */
#ifdef __THROW
#define BRKMAP_THROW __THROW
#else
#define BRKMAP_THROW
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Free a block, with what it was asked for with. */
void free_sized(void *block, size_t size) BRKMAP_THROW;
void free_aligned_sized(void *block, size_t alignment, size_t size) BRKMAP_THROW;

/* What was counted of a system call, for whatever reason. */
struct brkmap_calls {
	size_t calls;	/* refused ones included */
	size_t bytes;	/* of those that were not refused */
	size_t refused;
};

/* How much memory the allocator has, in bytes, and what it asked of the kernel. Where no other thread is at
 * work `allocated` is exact. A later version adds fields at the end. */
#define BRKMAP_STATS_VERSION 1u
struct brkmap_stats {
	size_t allocated;	/* blocks that are with the program: as long as each may use */
	size_t active;		/* the slabs, chunks, spans and mappings that those are in */
	size_t resident;	/* what may have pages behind it, at most */
	size_t mapped;		/* all addresses that were got from the kernel */
	size_t retained;	/* of these what is free, and has no pages */
	size_t metadata;	/* tables, as they are mapped */
	size_t cached;		/* free blocks that threads have at hand */
	size_t dirty;		/* free memory that may still have pages */
	size_t break_start, break_end;
	size_t arena, arena_used, arena_peak;	/* below the mmap threshold: slabs, chunks and spans */
	size_t top;		/* free at the end of the break */
	size_t slabs, small;	/* slabs, and the blocks of them that are with the program */
	size_t chunks, medium;	/* the same of those above 32 KiB */
	size_t spans;
	size_t large, large_blocks;	/* mappings of their own: bytes, and how many */
	size_t cached_mappings;	/* freed ones, kept for reuse */
	size_t heaps;		/* of threads, those of ended ones included */
	size_t mmap_threshold;
	struct brkmap_calls brk, mmap, munmap, mremap, madvise, mprotect, msync;
};

/* Fills the first `size` bytes of the struct; what this library has no field for is zeroed. 0, or EINVAL for
 * a version that it does not know: brkmap_stats(&stats, sizeof stats, BRKMAP_STATS_VERSION). */
int brkmap_stats(struct brkmap_stats *stats, size_t size, unsigned version) BRKMAP_THROW;

/* Writes them, and the size classes, as one object of JSON, as far as it fits in `len` bytes with a NUL.
 * Returns its length without that: `len` or more, and it was cut. */
size_t brkmap_stats_json(char *buffer, size_t len) BRKMAP_THROW;

#ifdef __cplusplus
}
#endif

#endif
