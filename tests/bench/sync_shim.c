/* Counts the syncs of a program and can make each as slow as flash is. Loaded by LD_PRELOAD.

   BENCH_SYNC_COUNT  a file of at least 8 bytes; its first 8 hold the count of all processes.
   BENCH_SYNC_US     a sync takes at least that many microseconds; it is made in any case.

   A program that is linked statically, or that syncs by another call, is not seen. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long *count;
static long at_least_us;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("BENCH_SYNC_COUNT"), *us = getenv("BENCH_SYNC_US");
    at_least_us = us ? atol(us) : 0;
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *shared = mmap(NULL, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    count = shared == MAP_FAILED ? NULL : shared;
    close(file);
}

static int synced(long call, int file) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += at_least_us % 1000000 * 1000;
    until.tv_sec += at_least_us / 1000000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int result = (int)syscall(call, file);
    if (count)
        __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    while (at_least_us && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
        ;
    return result;
}

int fsync(int file) { return synced(SYS_fsync, file); }
int fdatasync(int file) { return synced(SYS_fdatasync, file); }
