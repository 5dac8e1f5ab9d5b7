/* A library that copies /proc/self/smaps to the file SMAPS names when the program ends, behind the functions that
 * were given to atexit, and allocates nothing. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((destructor)) static void copy(void) {
  static char buffer[1 << 16];
  const char *to = getenv("SMAPS");
  int in = open("/proc/self/smaps", O_RDONLY), out = to ? open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
  for (ssize_t got; in >= 0 && out >= 0 && (got = read(in, buffer, sizeof buffer)) > 0;)
    if (write(out, buffer, got) != got) break;
}
