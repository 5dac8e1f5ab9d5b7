// A library that comes first and passes everything on to the next, under a lock that does not nest: a tracer.
// What it does not define of the family is served without it, and so are its own calls.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
static void *(*next_malloc)(size_t), (*next_free)(void *);
#ifdef TRACES_ALL
static void *(*next_calloc)(size_t, size_t), *(*next_realloc)(void *, size_t), *(*next_memalign)(size_t, size_t);
#endif
long traced;

static void enter() {
  if (pthread_mutex_lock(&lock)) write(2, "nested\n", 7), _exit(5);
  traced++;
}
static void leave() { pthread_mutex_unlock(&lock); }

static void find() {
  if (next_malloc) return;
#ifdef TRACES_ALL
  next_calloc = dlsym(RTLD_NEXT, "calloc");
  next_realloc = dlsym(RTLD_NEXT, "realloc");
  next_memalign = dlsym(RTLD_NEXT, "memalign");
#endif
  next_free = dlsym(RTLD_NEXT, "free");
  next_malloc = dlsym(RTLD_NEXT, "malloc");
}

void *malloc(size_t size) {
  find();
  enter();
  void *p = next_malloc(size);
  leave();
  return p;
}
void free(void *p) {
  find();
  enter();
  next_free(p);
  leave();
}
#ifdef TRACES_ALL
void *calloc(size_t n, size_t size) {
  find();
  enter();
  void *p = next_calloc(n, size);
  leave();
  return p;
}
void *realloc(void *p, size_t size) {
  find();
  enter();
  void *q = next_realloc(p, size);
  leave();
  return q;
}
void *memalign(size_t align, size_t size) {
  find();
  enter();
  void *p = next_memalign(align, size);
  leave();
  return p;
}
#endif
