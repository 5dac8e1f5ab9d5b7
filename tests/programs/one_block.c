// A program that takes one small block, and prints the bytes of its address space.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    static char status[8192];
    char *block = malloc(64), *size;
    int file = open("/proc/self/status", O_RDONLY), line;

    if (!block || file < 0 || read(file, status, sizeof status - 1) <= 0)
        return 1;
    size = strstr(status, "VmSize:");
    if (!size)
        return 1;
    // Without stdio's buffer.
    line = snprintf(status, sizeof status, "%lu\n", 1024 * strtoul(size + 7, NULL, 10));
    return write(1, status, line) != line;
}
