// A program whose malloc is made of libc's by a name that means libc's own (OVER_LIBC), or of functions of
// the family that it does not define itself (OVER_MEMALIGN, OVER_CALLOC). A lock that does not nest is held
// meanwhile: who comes back here from there waits for ever, so that is looked for.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;
static long made, freed, nested;

static void enter() {
  nested += inside++;
  if (inside == 1) pthread_mutex_lock(&lock);
}
static void leave() {
  if (inside-- == 1) pthread_mutex_unlock(&lock);
}

void *malloc(size_t size) {
  enter();
  made++;
#if defined OVER_LIBC
  void *p = __libc_malloc(size);
#elif defined OVER_CALLOC
  void *p = calloc(1, size);
#else
  void *p = NULL;
  if (posix_memalign(&p, 64, size)) p = NULL;
#endif
  leave();
  return p;
}

void free(void *p) {
  enter();
  freed++;
  __libc_free(p);
  leave();
}

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #what), _exit(4)))

static void *work(void *from) {
  for (int i = 0; i < 2000; i++) {
    size_t n = 1 + (i * 37 + (long)from) % 5000;
    char *p = malloc(n), *q = calloc(3, n), *r = realloc(NULL, n), *s = reallocarray(NULL, 2, n), *t = memalign(64, n);
    memset(p, 1, n), memset(r, 1, n), memset(s, 1, 2 * n), memset(t, 1, n);
    for (size_t k = 0; k < 3 * n; k++) CHECK(q[k] == 0);
    CHECK((p = realloc(p, 2 * n)) && p[n - 1] == 1);
    CHECK((p = reallocarray(p, 3, n)) && p[n - 1] == 1);
    CHECK(malloc_usable_size(p) >= 3 * n && malloc_usable_size(t) >= n);
    char *u = strdup("a word"), *v = valloc(n), *w = pvalloc(n);
    free(p), free(q), free(r), free(s), free(t), free(u), free(v), free(w);
  }
  return NULL;
}

int main() {
  // Blocks of libc's names and the program's cross.
  free(__libc_malloc(100)), free(__libc_calloc(10, 10)), free(__libc_memalign(64, 100)), __libc_free(malloc(100));
  pthread_t threads[3];
  for (long i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
  work((void *)3);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  CHECK(made > 8000 && freed > 8000);
#ifdef OVER_LIBC
  CHECK(nested == 0);
#else
  // Once, before it is known of what the program's malloc is made.
  CHECK(nested <= 1);
#endif
  puts("fine");
  return 0;
}
