/* A disk that does not answer: no forced write of a process ends while the file SLOW_DISK is there. Loaded
 * before the C library. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for_the_disk(void)
{
	const char *file = getenv("SLOW_DISK");
	while (file && access(file, F_OK) == 0) usleep(1000);
}

int fsync(int fd)
{
	wait_for_the_disk();
	return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	wait_for_the_disk();
	return (int)syscall(SYS_fdatasync, fd);
}
