// An audit library (rtld-audit(7)): the loader keeps it in a namespace of its own, with a libc of its own,
// and asks it for every symbol that is bound.
#define _GNU_SOURCE
#include <link.h>
#include <stdlib.h>

unsigned la_version(unsigned version) { return version; }

unsigned la_objopen(struct link_map *map, Lmid_t namespace, uintptr_t *cookie) {
  free(malloc(100));
  return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to, unsigned *flags,
                       const char *name) {
  return symbol->st_value;
}
