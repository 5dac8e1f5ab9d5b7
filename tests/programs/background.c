// Ends in one of several ways, beside a background thread of its malloc's.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void churn(void) {
  void *blocks[50];
  for (int i = 0; i < 50; i++) blocks[i] = memset(malloc(100000), 1, 100000);
  for (int i = 0; i < 50; i++) free(blocks[i]);
}

static int background(void) {
  char name[32];
  for (int tries = 0; tries < 1000; tries++) {
    // The thread after the main one.
    for (int tid = getpid() + 1; tid < getpid() + 50; tid++) {
      strcpy(name, "/proc/self/task/");
      int len = strlen(name), digits = 1;
      for (int rest = tid; rest >= 10; rest /= 10) digits++;
      for (int at = digits - 1, rest = tid; at >= 0; at--, rest /= 10) name[len + at] = '0' + rest % 10;
      name[len + digits] = 0;
      if (access(name, F_OK) == 0) return 1;
    }
    usleep(1000);
  }
  return 0;
}

static void *work(void *main_thread) {
  pthread_join(*(pthread_t *)main_thread, NULL);
  churn();
  return NULL;
}

int main(int count, char **words) {
  static pthread_t main_thread;
  pthread_t thread;
  churn();
  if (!background()) return 3;
  if (!strcmp(words[1], "pthread_exit")) pthread_exit(NULL);
  if (!strcmp(words[1], "last-thread")) {
    main_thread = pthread_self();
    pthread_create(&thread, NULL, work, &main_thread);
    pthread_exit(NULL);
  }
  if (!strcmp(words[1], "closes-all")) {
    // The thread uses none of the program's descriptors.
    for (int fd = 3; fd < 1000; fd++) close(fd);
    int ends[2];
    if (pipe(ends) || fcntl(ends[0], F_SETFL, O_NONBLOCK)) return 4;
    churn();
    usleep(100000);
    char byte;
    if (read(ends[0], &byte, 1) != -1) return 5;
    // Nobody else has the writing end.
    close(ends[1]);
    if (read(ends[0], &byte, 1) != 0) return 6;
  }
  return 0;
}
