/* Uses each function that brkmap.h brings, and says whose they are: malloc_stats writes in its own allocator's words. */
#include <brkmap.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void need(int holds, const char *what)
{
	if (!holds) {
		printf("wrong: %s\n", what);
		exit(1);
	}
}

static void *work(void *unused)
{
	for (size_t size = 1; size < 300000; size = size * 3 / 2 + 1) {
		char *block = malloc(size);
		need(block != NULL, "malloc");
		memset(block, 1, size);
		block = realloc(block, 2 * size);
		need(block != NULL && block[size - 1] == 1, "realloc");
		free(block);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;
	need(pthread_create(&thread, NULL, work, NULL) == 0 && work(NULL) == NULL, "a thread");
	pthread_join(thread, NULL);

	void *blocks[] = { calloc(3, 100), reallocarray(NULL, 3, 100), aligned_alloc(64, 128), memalign(64, 100),
			   valloc(100), pvalloc(100), malloc(1 << 20) };
	for (size_t at = 0; at < sizeof(blocks) / sizeof(*blocks); at++) {
		need(blocks[at] != NULL && malloc_usable_size(blocks[at]) >= 100, "a block");
		free(blocks[at]);
	}
	void *aligned = NULL;
	need(posix_memalign(&aligned, 4096, 100) == 0 && (uintptr_t)aligned % 4096 == 0, "posix_memalign");
	free_aligned_sized(aligned, 4096, 100);
	free_sized(malloc(100), 100);
	need(mallopt(M_MMAP_THRESHOLD, 256 * 1024) == 1, "mallopt");
	need(sbrk(0) != (void *)-1 && malloc_trim(0) >= 0, "sbrk and malloc_trim");
	malloc_stats();
	struct brkmap_stats stats;
	need(brkmap_stats(&stats, sizeof stats, BRKMAP_STATS_VERSION) == 0 && stats.mapped > stats.allocated, "brkmap_stats");
	need(brkmap_stats_json(NULL, 0) > 100, "brkmap_stats_json");
	puts("brkmap " BRKMAP_VERSION);
	return 0;
}
