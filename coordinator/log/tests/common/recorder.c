/* A recorder of file operations, preloaded under the process that the power cut test watches.
 *
 * Every change to a file or folder below RECORDER_ROOT, and every sync of one, is appended to the
 * file RECORDER_TRACE, so that the test can rebuild what a disk holds of it at any moment.
 * sync_file_range is not recorded: it promises nothing after a power cut.
 *
 * An event is: kind (u8), descriptor (u32), number (u64), length of bytes (u64), bytes; integers as
 * the machine has them. Kinds: P process begins; O open (number: flags, bytes: path);
 * W write (number: offset); T truncate (number: length); B and E a sync begins and has succeeded;
 * M mkdir, U unlink or rmdir (bytes: path); R rename (bytes: old path, zero, new path).
 * A write is recorded after it was done and a sync when it begins and when it has ended: a sync
 * covers those writes whose event is before its begin.
 *
 * Making a folder with the name of RECORDER_ROOT and "kill" added kills the process, at a moment when
 * everything that was done is recorded.
 *
 * RECORDER_FAIL=OP:FIRST:COUNT:ERRNO makes calls number FIRST to FIRST+COUNT-1 of OP on files and
 * folders below the root fail. OP: open, pwrite, ftruncate, fsync, fdatasync, mkdir, unlink, rename.
 * Each is recorded as an event of kind F.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define DESCRIPTORS 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Held shared while something is done and recorded, and alone by the kill. */
static pthread_rwlock_t whole = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *root;
static size_t root_len;
static int trace = -1;
static unsigned char tracked[DESCRIPTORS];

static char fail_op[16];
static long fail_first = -1, fail_count, fail_errno, calls;

static void put(const void *bytes, size_t len) {
	while (len > 0) {
		ssize_t n = syscall(SYS_write, trace, bytes, len);
		if (n <= 0) abort();
		bytes = (const char *)bytes + n;
		len -= (size_t)n;
	}
}

static void event(char kind, int fd, uint64_t number, const void *bytes, uint64_t len) {
	uint32_t descriptor = (uint32_t)fd;
	int saved = errno;
	pthread_mutex_lock(&lock);
	put(&kind, 1);
	put(&descriptor, 4);
	put(&number, 8);
	put(&len, 8);
	put(bytes, len);
	pthread_mutex_unlock(&lock);
	errno = saved;
}

static void start(void) {
	const char *path = getenv("RECORDER_TRACE"), *fail = getenv("RECORDER_FAIL");
	root = getenv("RECORDER_ROOT");
	if (!root || !path) return;
	root_len = strlen(root);
	trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (trace < 0) abort();
	if (fail && sscanf(fail, "%15[a-z]:%ld:%ld:%ld", fail_op, &fail_first, &fail_count, &fail_errno) != 4) abort();
	event('P', 0, 0, "", 0);
}

static int watching(void) {
	pthread_once(&once, start);
	return trace >= 0;
}

/* The root ends with a slash; the folder itself is watched as well. */
static int below_root(const char *path) {
	if (!watching()) return 0;
	return strncmp(path, root, root_len) == 0 || (strlen(path) == root_len - 1 && strncmp(path, root, root_len - 1) == 0);
}

static int is_tracked(int fd) {
	return watching() && fd >= 0 && fd < DESCRIPTORS && tracked[fd];
}

static int fails(const char *op) {
	if (strcmp(op, fail_op) != 0) return 0;
	long call = __sync_add_and_fetch(&calls, 1);
	if (call < fail_first || call >= fail_first + fail_count) return 0;
	event('F', 0, (uint64_t)call, op, strlen(op));
	errno = (int)fail_errno;
	return 1;
}

static int fails_at(const char *op, const char *path) {
	return below_root(path) && fails(op);
}

static int opened(int fd, const char *path, int flags) {
	if (fd < 0 || fd >= DESCRIPTORS || !watching()) return fd;
	tracked[fd] = below_root(path) != 0;
	if (tracked[fd]) event('O', fd, (uint64_t)flags, path, strlen(path));
	return fd;
}

#define REAL(result, name, ...) \
	static result (*real)(__VA_ARGS__); \
	if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

#define BEGIN() pthread_rwlock_rdlock(&whole)
#define END(type, value) do { type ended = (value); int saved = errno; pthread_rwlock_unlock(&whole); errno = saved; return ended; } while (0)

#define MODE(flags) \
	mode_t mode = 0; \
	if ((flags) & (O_CREAT | O_TMPFILE)) { va_list args; va_start(args, flags); mode = va_arg(args, mode_t); va_end(args); }

int open(const char *path, int flags, ...) {
	MODE(flags)
	REAL(int, "open", const char *, int, ...);
	if (fails_at("open", path)) return -1;
	BEGIN();
	END(int, opened(real(path, flags, mode), path, flags));
}

int open64(const char *path, int flags, ...) {
	MODE(flags)
	REAL(int, "open64", const char *, int, ...);
	if (fails_at("open", path)) return -1;
	BEGIN();
	END(int, opened(real(path, flags, mode), path, flags));
}

/* Used below a folder's descriptor only to remove trees, which creates nothing. */
int openat64(int dir, const char *path, int flags, ...) {
	MODE(flags)
	REAL(int, "openat64", int, const char *, int, ...);
	int fd = real(dir, path, flags, mode);
	if (fd >= 0 && fd < DESCRIPTORS) tracked[fd] = 0;
	return fd;
}

static ssize_t wrote(int fd, const void *bytes, ssize_t n, off_t offset) {
	if (n > 0 && is_tracked(fd)) event('W', fd, (uint64_t)offset, bytes, (uint64_t)n);
	return n;
}

ssize_t write(int fd, const void *bytes, size_t len) {
	REAL(ssize_t, "write", int, const void *, size_t);
	off_t offset = is_tracked(fd) ? lseek(fd, 0, SEEK_CUR) : 0;
	BEGIN();
	END(ssize_t, wrote(fd, bytes, real(fd, bytes, len), offset));
}

static ssize_t pwrite_any(ssize_t (*real)(int, const void *, size_t, off_t), int fd, const void *bytes, size_t len, off_t offset) {
	if (is_tracked(fd) && fails("pwrite")) return -1;
	BEGIN();
	END(ssize_t, wrote(fd, bytes, real(fd, bytes, len, offset), offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset) {
	REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
	return pwrite_any(real, fd, bytes, len, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset) {
	REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
	return pwrite_any(real, fd, bytes, len, offset);
}

int ftruncate64(int fd, off_t length) {
	REAL(int, "ftruncate64", int, off_t);
	if (is_tracked(fd) && fails("ftruncate")) return -1;
	BEGIN();
	int result = real(fd, length);
	if (result == 0 && is_tracked(fd)) event('T', fd, (uint64_t)length, "", 0);
	END(int, result);
}

static void sync_event(char kind, int fd) {
	BEGIN();
	event(kind, fd, 0, "", 0);
	pthread_rwlock_unlock(&whole);
}

static int synced(int (*real)(int), int fd) {
	if (!is_tracked(fd)) return real(fd);
	sync_event('B', fd);
	int result = real(fd);
	int saved = errno;
	if (result == 0) sync_event('E', fd);
	errno = saved;
	return result;
}

int fsync(int fd) {
	REAL(int, "fsync", int);
	if (is_tracked(fd) && fails("fsync")) return -1;
	return synced(real, fd);
}

int fdatasync(int fd) {
	REAL(int, "fdatasync", int);
	if (is_tracked(fd) && fails("fdatasync")) return -1;
	return synced(real, fd);
}

int mkdir(const char *path, mode_t mode) {
	REAL(int, "mkdir", const char *, mode_t);
	if (watching() && strncmp(path, root, root_len) == 0 && strcmp(path + root_len, "kill") == 0) {
		pthread_rwlock_wrlock(&whole);
		syscall(SYS_kill, getpid(), SIGKILL);
	}
	if (fails_at("mkdir", path)) return -1;
	BEGIN();
	int result = real(path, mode);
	if (result == 0 && below_root(path)) event('M', 0, 0, path, strlen(path));
	END(int, result);
}

int unlink(const char *path) {
	REAL(int, "unlink", const char *);
	if (fails_at("unlink", path)) return -1;
	BEGIN();
	int result = real(path);
	if (result == 0 && below_root(path)) event('U', 0, 0, path, strlen(path));
	END(int, result);
}

int rename(const char *from, const char *to) {
	REAL(int, "rename", const char *, const char *);
	if (fails_at("rename", from)) return -1;
	BEGIN();
	int result = real(from, to);
	if (result == 0 && below_root(from)) {
		char both[2 * PATH_MAX];
		size_t len = strlen(from) + 1;
		if (len + strlen(to) > sizeof both) abort();
		memcpy(both, from, len);
		memcpy(both + len, to, strlen(to));
		event('R', 0, 0, both, len + strlen(to));
	}
	END(int, result);
}
