/* Makes the disk beneath one log fail, for the tests of tests/crash/faults.rs. Loaded with
 * LD_PRELOAD; acts on files whose path begins with FERRUM_SHIM_LOG, as told by the first word in the
 * file FERRUM_SHIM_CONTROL (no file: everything works):
 *
 *   full    a write takes half of its bytes, the next ones fail with ENOSPC
 *   short   every write takes half of its bytes and says so
 *   broken  writes fail with EIO
 *   unsynced fsync and fdatasync fail with EIO
 *   lost    as unsynced, and the bytes since the last sync that went well become zeros
 *   slow    fsync and fdatasync take five seconds
 *
 * Each sync is noted in the file FERRUM_SHIM_JOURNAL: its beginning and end in nanoseconds since
 * 1970, the size of the file at its beginning, and its result. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the log that a sync has made durable; -1 before the first. */
static atomic_llong synced = -1;
/* Whether the full disk has taken its last half of a write. */
static atomic_int is_full;

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (long long)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int is_log(int fd) {
    const char *log = getenv("FERRUM_SHIM_LOG");
    struct stat status;
    char link[64], path[PATH_MAX];
    if (!log || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, log, strlen(log)) == 0;
}

static int mode_is(const char *mode) {
    const char *control = getenv("FERRUM_SHIM_CONTROL");
    char word[32] = {0};
    int saved = errno, fd = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        ssize_t length = syscall(SYS_read, fd, word, sizeof word - 1);
        close(fd);
        if (length < 0) word[0] = 0;
    }
    errno = saved;
    if (strcmp(word, "full") != 0) is_full = 0;
    return strcmp(word, mode) == 0;
}

/* How many of the bytes a write takes; -1 with errno when it takes none. */
static ssize_t allowed(int fd, size_t length) {
    if (!is_log(fd)) return (ssize_t)length;
    if (mode_is("broken")) {
        errno = EIO;
        return -1;
    }
    if (mode_is("full")) {
        if (length > 1 && !atomic_exchange(&is_full, 1)) return (ssize_t)(length / 2);
        errno = ENOSPC;
        return -1;
    }
    if (length > 1 && mode_is("short")) return (ssize_t)(length / 2);
    return (ssize_t)length;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    ssize_t count = allowed(fd, length);
    return count < 0 ? -1 : syscall(SYS_write, fd, bytes, (size_t)count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t offset) {
    ssize_t count = allowed(fd, length);
    return count < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, (size_t)count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
    return pwrite64(fd, bytes, length, offset);
}

/* The first pieces of a vectored write that make up `count` bytes, at most a thousand. */
static int head(const struct iovec *pieces, int piece_count, size_t count, struct iovec *taken) {
    int used = 0;
    for (; used < piece_count && used < 1000 && count > 0; used++) {
        taken[used] = pieces[used];
        if (taken[used].iov_len > count) taken[used].iov_len = count;
        count -= taken[used].iov_len;
    }
    return used;
}

static size_t total(const struct iovec *pieces, int count) {
    size_t sum = 0;
    for (int at = 0; at < count; at++) sum += pieces[at].iov_len;
    return sum;
}

ssize_t writev(int fd, const struct iovec *pieces, int piece_count) {
    struct iovec taken[1000];
    ssize_t count = allowed(fd, total(pieces, piece_count));
    if (count < 0) return -1;
    return syscall(SYS_writev, fd, taken, head(pieces, piece_count, (size_t)count, taken));
}

ssize_t pwritev64(int fd, const struct iovec *pieces, int piece_count, off64_t offset) {
    struct iovec taken[1000];
    ssize_t count = allowed(fd, total(pieces, piece_count));
    if (count < 0) return -1;
    int used = head(pieces, piece_count, (size_t)count, taken);
    return syscall(SYS_pwritev, fd, taken, used, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *pieces, int piece_count, off_t offset) {
    return pwritev64(fd, pieces, piece_count, offset);
}

/* What a disk may do that fails to sync: nothing is left of what it had in its cache. */
static void lose_unsynced(int fd, long long size) {
    char link[64];
    static const char zeros[65536];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int other = open(link, O_WRONLY | O_CLOEXEC);
    for (long long at = synced; other >= 0 && at >= 0 && at < size;) {
        size_t length = (size_t)(size - at) < sizeof zeros ? (size_t)(size - at) : sizeof zeros;
        ssize_t count = syscall(SYS_pwrite64, other, zeros, length, at);
        if (count <= 0) break;
        at += count;
    }
    if (other >= 0) close(other);
}

static int synchronize(int fd, long number) {
    if (!is_log(fd)) return (int)syscall(number, fd);
    struct stat status = {0};
    fstat(fd, &status);
    long long start = now(), size = status.st_size;
    int result = 0;
    if (mode_is("slow")) sleep(5);
    if (mode_is("lost") || mode_is("unsynced")) {
        if (mode_is("lost")) lose_unsynced(fd, size);
        errno = EIO;
        result = -1;
    } else {
        result = (int)syscall(number, fd);
        if (result == 0) synced = size;
    }
    int saved = errno;
    const char *journal = getenv("FERRUM_SHIM_JOURNAL");
    int file = journal ? open(journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (file >= 0) {
        char line[128];
        int length = snprintf(line, sizeof line, "%lld %lld %lld %d\n", start, now(), size, result);
        syscall(SYS_write, file, line, (size_t)length);
        close(file);
    }
    errno = saved;
    return result;
}

int fsync(int fd) { return synchronize(fd, SYS_fsync); }

int fdatasync(int fd) { return synchronize(fd, SYS_fdatasync); }
