/* Makes every fsync and fdatasync of a process cost a fixed time, TANDEM_FSYNC_US microseconds,
 * instead of what the disk happens to take: for comparisons with the data on tmpfs. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static int wait_for_disk(void)
{
    const char *text = getenv("TANDEM_FSYNC_US");
    long us = text ? atol(text) : 0;
    struct timespec left = {us / 1000000, us % 1000000 * 1000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    return 0;
}

int fsync(int fd)
{
    (void)fd;
    return wait_for_disk();
}

int fdatasync(int fd)
{
    (void)fd;
    return wait_for_disk();
}
