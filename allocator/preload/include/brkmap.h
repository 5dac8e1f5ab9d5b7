/* brkmap.h: the functions that libbrkmap defines (libbrkmap(3)).
 *
 * They are C's and glibc's, so a program needs no header of its own for them. This one brings them together,
 * and declares the two of C23 that the C library here may be too old to declare.
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

#ifdef __cplusplus
}
#endif

#endif
