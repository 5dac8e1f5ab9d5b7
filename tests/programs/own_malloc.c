// A program with a malloc of its own, whose blocks no other malloc can free and whose free takes no other's:
// it says so and ends. HAS_… says which functions the family has beside malloc and free.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char pool[1 << 22];
static size_t used, frees;
struct head {
  size_t size;
  uint64_t mine;
};
#define MINE 0x6d696e656d696e65u

static void stop(const char *why) {
  write(2, why, strlen(why));
  write(2, "\n", 1);
  _exit(3);
}

static int is_mine(const void *p) {
  return (char *)p > pool && (char *)p < pool + sizeof pool && ((struct head *)p)[-1].mine == MINE;
}

static void *take(size_t align, size_t size) {
  if (size > sizeof pool / 4) return errno = ENOMEM, NULL;
  uintptr_t at = ((uintptr_t)pool + used + sizeof(struct head) + align - 1) & -(uintptr_t)align;
  used = at + size - (uintptr_t)pool;
  if (used > sizeof pool) stop("the pool is empty");
  struct head *head = (struct head *)at - 1;
  head->size = size;
  head->mine = MINE;
  // Nothing may be taken to be zero.
  memset((void *)at, 0xa5, size);
  return (void *)at;
}

void *malloc(size_t size) { return take(16, size); }

void free(void *p) {
  if (p && !is_mine(p)) stop("free of another malloc's block");
  frees += p != NULL;
}

#ifdef HAS_CALLOC
void *calloc(size_t n, size_t size) {
  void *p = malloc(n * size);
  return p ? memset(p, 0, n * size) : p;
}
#endif
#ifdef HAS_REALLOC
void *realloc(void *p, size_t size) {
  if (p && !is_mine(p)) stop("realloc of another malloc's block");
  void *q = malloc(size);
  size_t old = p ? ((struct head *)p)[-1].size : 0;
  return q ? memcpy(q, p, old < size ? old : size) : q;
}
#endif
#ifdef HAS_MEMALIGN
void *memalign(size_t align, size_t size) { return take(align < 16 ? 16 : align, size); }
#endif
#ifdef HAS_ALIGNED_ALLOC
void *aligned_alloc(size_t align, size_t size) {
  if (size % align) stop("aligned_alloc of a size that is no multiple");
  return take(align < 16 ? 16 : align, size);
}
#endif
#ifdef HAS_POSIX_MEMALIGN
int posix_memalign(void **p, size_t align, size_t size) {
  int error = errno;
  void *q = take(align < 16 ? 16 : align, size);
  return errno = error, q ? *p = q, 0 : ENOMEM;
}
#endif
#ifdef HAS_VALLOC
void *valloc(size_t size) { return take(sysconf(_SC_PAGESIZE), size); }
#endif
#ifdef HAS_MALLOC_USABLE_SIZE
size_t malloc_usable_size(void *p) { return p ? ((struct head *)p)[-1].size : 0; }
#endif

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #what), _exit(4)))
// By address, so that the compiler folds none of the calls.
static void *(*volatile by_name)(void *, const char *) = dlsym;
#define FUNCTION(name, result, ...) ((result(*)(__VA_ARGS__))by_name(RTLD_DEFAULT, name))

static void aligned_ones(int has_any) {
  void *p = NULL;
  size_t page = sysconf(_SC_PAGESIZE);
  // 16 is what malloc gives too.
  CHECK(is_mine(FUNCTION("memalign", void *, size_t, size_t)(16, 100)));
  CHECK(is_mine(FUNCTION("aligned_alloc", void *, size_t, size_t)(16, 160)));
  CHECK(FUNCTION("posix_memalign", int, void **, size_t, size_t)(&p, 16, 100) == 0 && is_mine(p));
  if (!has_any) return;
  for (size_t align = 32; align <= 16384; align *= 2) {
    void *blocks[] = {FUNCTION("memalign", void *, size_t, size_t)(align, 100),
                      FUNCTION("aligned_alloc", void *, size_t, size_t)(align, 2 * align), NULL};
    errno = 77;
    CHECK(FUNCTION("posix_memalign", int, void **, size_t, size_t)(&blocks[2], align, 100) == 0 && errno == 77);
    for (int i = 0; i < 3; i++) CHECK(is_mine(blocks[i]) && (uintptr_t)blocks[i] % align == 0), free(blocks[i]);
  }
  void *untouched = p = &page;
  errno = 77;
  CHECK(FUNCTION("posix_memalign", int, void **, size_t, size_t)(&p, 64, 1 << 30) == ENOMEM);
  CHECK(p == untouched && errno == 77);
  CHECK(FUNCTION("memalign", void *, size_t, size_t)(64, 1 << 30) == NULL && errno == ENOMEM);
}

static void pages() {
  size_t page = sysconf(_SC_PAGESIZE);
  void *p = FUNCTION("valloc", void *, size_t)(100), *q = FUNCTION("pvalloc", void *, size_t)(page + 1);
  CHECK(is_mine(p) && (uintptr_t)p % page == 0 && is_mine(q) && (uintptr_t)q % page == 0);
  CHECK(((struct head *)q)[-1].size == 2 * page);
  free(p);
  free(q);
}

int main() {
  int has_aligned = 0, has_pages = 0;
#if defined HAS_MEMALIGN || defined HAS_ALIGNED_ALLOC || defined HAS_POSIX_MEMALIGN
  has_aligned = has_pages = 1;
#endif
#ifdef HAS_VALLOC
  has_pages = 1;
#endif
  char *p = FUNCTION("calloc", void *, size_t, size_t)(10, 100);
  CHECK(is_mine(p));
  for (int i = 0; i < 1000; i++) CHECK(p[i] == 0);
  CHECK(is_mine(FUNCTION("realloc", void *, void *, size_t)(NULL, 100)));
  CHECK(is_mine(FUNCTION("reallocarray", void *, void *, size_t, size_t)(NULL, 10, 10)));
  p = strdup("hello");
  CHECK(is_mine(p));
#if defined HAS_REALLOC || defined HAS_MALLOC_USABLE_SIZE
  for (size_t n = 6; n < 100000; n *= 3) {
    p = FUNCTION("realloc", void *, void *, size_t)(p, n);
    CHECK(is_mine(p) && !strcmp(p, "hello"));
    p = FUNCTION("reallocarray", void *, void *, size_t, size_t)(p, n, 2);
    CHECK(is_mine(p) && !strcmp(p, "hello"));
  }
  errno = 0;
  CHECK(FUNCTION("reallocarray", void *, void *, size_t, size_t)(p, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM);
#endif
  // What nothing of the family can serve comes from elsewhere; what something can does not, after it as
  // before.
  for (int i = 1; i < 100; i++) {
    FUNCTION("aligned_alloc", void *, size_t, size_t)(64, 64 * i);
    CHECK(is_mine(FUNCTION("calloc", void *, size_t, size_t)(i, 16)));
    CHECK(is_mine(FUNCTION("realloc", void *, void *, size_t)(NULL, i)));
  }
  size_t usable = FUNCTION("malloc_usable_size", size_t, void *)(p);
  CHECK(usable == 0 || usable == ((struct head *)p)[-1].size);
  CHECK(FUNCTION("malloc_usable_size", size_t, void *)(NULL) == 0);
  aligned_ones(has_aligned);
  if (has_pages) pages();
  size_t before = frees;
  FUNCTION("free_sized", void, void *, size_t)(malloc(10), 10);
  FUNCTION("free_aligned_sized", void, void *, size_t, size_t)(malloc(10), 16, 10);
  FUNCTION("cfree", void, void *)(malloc(10));
  FUNCTION("cfree", void, void *)(NULL);
  CHECK(frees == before + 3);
  // What the family has nothing for is answered all the same.
  FUNCTION("mallinfo", struct mallinfo, void)();
  FUNCTION("mallinfo2", struct mallinfo2, void)();
  FUNCTION("malloc_trim", int, size_t)(0);
  FUNCTION("mallopt", int, int, int)(M_TRIM_THRESHOLD, 1 << 20);
  CHECK(FUNCTION("malloc_info", int, int, FILE *)(0, stderr) == 0);
  malloc_stats();
  puts("fine");
  return 0;
}
