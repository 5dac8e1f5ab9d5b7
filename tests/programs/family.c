// Uses the whole family, from several threads, with every block freed by another function than made it. Fine
// under any malloc, and under any that stands before another.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #what), _exit(4)))

static void (*sized)(void *, size_t), (*aligned_sized)(void *, size_t, size_t);

static void drop(void *p, size_t align, size_t size, int how) {
  if (how == 1 && sized && align <= 16) sized(p, size);
  else if (how == 2 && aligned_sized && align > 16) aligned_sized(p, align, size);
  else if (how == 3) free(realloc(p, size + 100));
  else if (how == 4) free(reallocarray(p, 2, size));
  else free(p);
}

static void *work(void *from) {
  unsigned seed = (long)from;
  for (int i = 0; i < 20000; i++) {
    size_t n = 1 + rand_r(&seed) % (i % 50 ? 3000 : 300000), align = 16;
    char *p = NULL;
    switch (rand_r(&seed) % 8) {
    case 0: p = malloc(n); break;
    case 1: p = calloc(1, n); break;
    case 2: p = realloc(NULL, n); break;
    case 3: p = reallocarray(NULL, 1, n); break;
    case 4: p = memalign(align = 64, n); break;
    case 5: n = (n + 255) / 256 * 256; p = aligned_alloc(align = 256, n); break;
    case 6: CHECK(posix_memalign((void **)&p, align = 4096, n) == 0); break;
    case 7: p = strdup("some words"); n = 11; break;
    }
    CHECK(p && (uintptr_t)p % (n < 16 && align == 16 ? 8 : align) == 0);
    size_t usable = malloc_usable_size(p);
    CHECK(usable == 0 || usable >= n);
    memset(p, 7, n);
    drop(p, align, n, rand_r(&seed) % 5);
  }
  free(valloc(10)), free(pvalloc(10));
  return NULL;
}

int main() {
  sized = dlsym(RTLD_DEFAULT, "free_sized"), aligned_sized = dlsym(RTLD_DEFAULT, "free_aligned_sized");
  pthread_t threads[3];
  for (long i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  work((void *)3);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  mallinfo(), mallinfo2(), malloc_trim(0), malloc_info(0, stderr), malloc_stats();
  // By a tracer, where that comes first.
  long *traced = dlsym(RTLD_DEFAULT, "traced");
  if (traced) fprintf(stderr, "traced %s\n", *traced > 40000 ? "all" : "some");
  puts("fine");
  return 0;
}
