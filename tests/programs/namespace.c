// Opens the library it is told of in a namespace of its own (dlmopen), and uses its malloc there: the
// process's malloc and its break are not that one's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: %s: %s\n", __LINE__, #what, dlerror()), exit(4)))

int main(int count, char **arguments) {
  void *library = dlmopen(LM_ID_NEWLM, arguments[1], RTLD_NOW);
  CHECK(library);
  void *(*take)(size_t) = dlsym(library, "malloc");
  void (*drop)(void *) = dlsym(library, "free");
  CHECK(take && drop && take != malloc);
  long brk = syscall(SYS_brk, 0);
  for (int i = 0; i < 100; i++) drop(take(10000));
  CHECK(syscall(SYS_brk, 0) == brk);
  char *ours[2000], *theirs[2000];
  for (int i = 0; i < 2000; i++) {
    size_t n = 1 + i * 17 % 3000;
    ours[i] = memset(malloc(n), i, n), theirs[i] = memset(take(n), i, n);
  }
  for (int i = 0; i < 2000; i++) {
    size_t n = 1 + i * 17 % 3000;
    for (size_t k = 0; k < n; k++) CHECK(ours[i][k] == (char)i && theirs[i][k] == (char)i);
    free(ours[i]), drop(theirs[i]);
  }
  puts("fine");
  return 0;
}
