// A library whose constructor runs before that of the preloaded malloc, and asks for memory, with a thread
// and a child of its own; what it got is used later.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *blocks[1000];

static void *work(void *from) {
  for (int i = 0; i < 1000; i++) blocks[i] = realloc(calloc(1, 1 + i * 40), 10 + i * 80);
  return NULL;
}

__attribute__((constructor)) static void early() {
  pthread_t thread;
  free(malloc(100));
  if (pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, NULL)) _exit(3);
  pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 1000; i++) free(blocks[i]);
    free(malloc(100000));
    _exit(0);
  }
  int status;
  if (waitpid(child, &status, 0) != child || status) _exit(4);
}

__attribute__((destructor)) static void late() {
  for (int i = 0; i < 1000; i++) {
    if (!blocks[i]) _exit(5);
    free(blocks[i]);
  }
}
