// Takes the addresses of the family's functions, as a program does that hands them to a library. Where it is
// not position-independent, the address of each is one in the program itself, for every library too.
#define _GNU_SOURCE
#include <malloc.h>
#include <stdlib.h>

void *(*volatile take)(size_t), *(*volatile retake)(void *, size_t), *(*volatile many)(void *, size_t, size_t);
void *(*volatile zeroed)(size_t, size_t), *(*volatile aligned)(size_t, size_t), *(*volatile of_c11)(size_t, size_t);
int (*volatile of_posix)(void **, size_t, size_t);
void *(*volatile page)(size_t), (*volatile drop)(void *);
size_t (*volatile usable)(void *);

int main() {
  take = malloc, retake = realloc, many = reallocarray, zeroed = calloc, aligned = memalign, of_c11 = aligned_alloc;
  of_posix = posix_memalign, page = valloc, drop = free, usable = malloc_usable_size;
  void *other = NULL, *p = take(10);
  if (of_posix(&other, 64, 100)) return 1;
  drop(many(retake(p, 1000), 2, 1000)), drop(zeroed(10, 10)), drop(aligned(64, 10)), drop(of_c11(64, 64));
  if (usable(other) < 100) return 2;
  drop(other), drop(page(10));
  malloc_stats();
  return 0;
}
