/* Counts with the allocator: what several threads have, and what they gave each other's blocks back of, to the byte.
 * Then says its statistics as JSON. */
#define _GNU_SOURCE
#include <brkmap.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "line %d: %s\n", __LINE__, #what), _exit(4)))

enum { THREADS = 4, BLOCKS = 3000 };
static char *blocks[THREADS][BLOCKS];
static pthread_barrier_t barrier;
static __typeof__(&brkmap_stats) read_stats;

static void meet(void) { pthread_barrier_wait(&barrier); }

static size_t usable(void) {
  size_t sum = 0;
  for (int thread = 0; thread < THREADS; thread++)
    for (int at = 0; at < BLOCKS; at++)
      if (blocks[thread][at]) sum += malloc_usable_size(blocks[thread][at]);
  return sum;
}

static void drop(char **block) {
  free(*block);
  *block = NULL;
}

static void *work(void *number) {
  long me = (long)number;
  unsigned seed = me + 1;
  meet();
  meet();
  for (int at = 0; at < BLOCKS; at++) {
    size_t size = 1 + rand_r(&seed) % (at % 100 ? at % 7 ? 600 : 20000 : 400000);
    CHECK(blocks[me][at] = malloc(size));
  }
  meet();
  meet();
  for (int at = 0; at < BLOCKS; at++)
    if (at % 3 == 0) drop(&blocks[(me + at / 3) % THREADS][at]);
  meet();
  meet();
  return NULL;
}

static struct brkmap_stats stats(void) {
  struct brkmap_stats now, again;
  CHECK(read_stats(&now, sizeof now, BRKMAP_STATS_VERSION) == 0);
  CHECK(read_stats(&again, sizeof again, BRKMAP_STATS_VERSION) == 0);
  CHECK(memcmp(&now, &again, sizeof now) == 0);
  return now;
}

static void versions(void) {
  struct { struct brkmap_stats known; size_t later[3]; } new;
  memset(&new, 1, sizeof new);
  CHECK(read_stats(&new.known, sizeof new, BRKMAP_STATS_VERSION) == 0);
  CHECK(new.known.mapped > new.known.allocated && !new.later[0] && !new.later[1] && !new.later[2]);
  memset(&new, 1, sizeof new);
  CHECK(read_stats(&new.known, sizeof(size_t), BRKMAP_STATS_VERSION) == 0);
  CHECK(new.known.allocated > 0 && new.known.active == ((size_t)-1) / 255);
  for (unsigned version = 0; version < 4; version++)
    if (version != BRKMAP_STATS_VERSION) CHECK(read_stats(&new.known, sizeof new, version) == EINVAL);
}

static void json(void) {
  __typeof__(&brkmap_stats_json) say;
  CHECK(say = dlsym(RTLD_DEFAULT, "brkmap_stats_json"));
  static char all[1 << 16], cut[1 << 16];
  size_t len = say(all, sizeof all);
  CHECK(len < sizeof all && strlen(all) == len && say(NULL, 0) == len);
  for (size_t room = 1; room < len; room += 97) {
    memset(cut, 7, sizeof cut);
    CHECK(say(cut, room) == len && strlen(cut) == room - 1 && cut[room] == 7 && !memcmp(cut, all, room - 1));
  }
  puts(all);
}

int main(void) {
  CHECK(read_stats = dlsym(RTLD_DEFAULT, "brkmap_stats"));
  setvbuf(stdout, malloc(4096), _IOFBF, 4096);
  pthread_barrier_init(&barrier, NULL, THREADS + 1);
  pthread_t threads[THREADS];
  for (long at = 0; at < THREADS; at++) CHECK(!pthread_create(&threads[at], NULL, work, (void *)at));
  meet();
  struct brkmap_stats before = stats();
  meet(), meet();
  struct brkmap_stats full = stats();
  CHECK(full.allocated - before.allocated == usable());
  CHECK(full.cached > 0 && full.brk.calls + full.mmap.calls > before.brk.calls + before.mmap.calls);
  meet(), meet();
  struct brkmap_stats thinned = stats();
  CHECK(thinned.allocated - before.allocated == usable());
  CHECK(thinned.allocated < full.allocated);
  struct mallinfo2 info = mallinfo2();
  CHECK(info.uordblks + info.hblkhd == thinned.allocated && info.arena == thinned.arena);
  CHECK(info.hblks == thinned.large_blocks && info.hblkhd == thinned.large && info.usmblks == thinned.arena_peak);
  CHECK(info.fordblks == info.arena - info.uordblks && info.keepcost == thinned.top);
  meet();
  for (int at = 0; at < THREADS; at++) pthread_join(threads[at], NULL);
  versions();
  json();
  return 0;
}
