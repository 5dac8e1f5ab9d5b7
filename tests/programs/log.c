/* What a log of the memory calls has to live with: a program that closes its descriptors and takes their numbers,
 * forks, or has a log that nobody reads. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #what), _exit(4)))

static void work(void) {
  for (size_t size = 1 << 20; size < 8 << 20; size *= 2) {
    errno = 77;
    char *block = malloc(size);
    CHECK(block && errno == 77);
    memset(block, 1, size);
    free(realloc(block, size * 2));
  }
}

/* Every number that a log might have is a file of this program's now. */
static void closed(const char *name) {
  work();
  int mine = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  CHECK(mine >= 0);
  close_range(3, mine - 1, 0), close_range(mine + 1, ~0U, 0);
  for (int number = 3; number < 600; number++) CHECK(number == mine || dup2(mine, number) == number);
  work();
  struct stat status;
  CHECK(fstat(mine, &status) == 0 && status.st_size == 0);
}

static void forked(void) {
  work();
  pid_t child = fork();
  if (child == 0) work(), _exit(0);
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  printf("%d %d\n", getpid(), child);
}

/* Again, with a pipe for its log of which no end is read. */
static void broken(const char *self) {
  int ends[2];
  CHECK(pipe2(ends, O_CLOEXEC) == 0 && dup2(ends[1], 9) == 9);
  setenv("BRKMAP_LOG", "9", 1);
  execl(self, self, "work", NULL);
  CHECK(0);
}

int main(int count, char **words) {
  CHECK(count > 1);
  if (!strcmp(words[1], "work")) work();
  else if (!strcmp(words[1], "closed")) closed(words[2]);
  else if (!strcmp(words[1], "forked")) forked();
  else if (!strcmp(words[1], "broken")) broken(words[0]);
  else CHECK(0);
  return 0;
}
