/* Moves a process's wall clock by CLOCK_AHEAD_S seconds. Loaded before the C library. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
	int failed = (int)syscall(SYS_clock_gettime, id, now);
	const char *ahead = getenv("CLOCK_AHEAD_S");
	if (!failed && id == CLOCK_REALTIME && ahead) now->tv_sec += atol(ahead);
	return failed;
}
