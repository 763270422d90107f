/* Preloaded into a process, records every write and sync of the files it is told to watch: what a power cut may lose.
 * The journal lies in memory, as a sequence of entries; a write is followed by its bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MAX_FILES = 16 };
enum kind { WRITE_BEGIN = 1, ZERO_BEGIN, WRITE_END, SYNC_BEGIN, SYNC_END, MARK, SYNC_FAILED };

typedef struct {
    uint32_t kind, file;
    uint64_t number, offset, len;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    dev_t dev;
    ino_t ino;
} files[MAX_FILES];
static int n_files;
static int broken_file = -1; /* its syncs fail */
static uint8_t *journal;
static size_t used, room;
static uint64_t calls;

static void put(const void *data, size_t len)
{
    if (used + len > room) {
        room = 2 * (used + len);
        journal = realloc(journal, room);
        if (!journal)
            abort();
    }
    memcpy(journal + used, data, len);
    used += len;
}

/* The number of the call. iov gives the bytes of a WRITE_BEGIN. */
static uint64_t note(enum kind kind, int file, uint64_t number, uint64_t offset, uint64_t len, const struct iovec *iov,
                     int n_iov)
{
    pthread_mutex_lock(&lock);
    entry e = {kind, (uint32_t)file, number ? number : ++calls, offset, len};
    put(&e, sizeof e);
    for (int i = 0; i < n_iov; i++)
        put(iov[i].iov_base, iov[i].iov_len);
    pthread_mutex_unlock(&lock);
    return e.number;
}

static int watched(int fd)
{
    struct stat s;
    if (n_files == 0 || fstat(fd, &s))
        return -1;
    for (int i = 0; i < n_files; i++)
        if (files[i].dev == s.st_dev && files[i].ino == s.st_ino)
            return i;
    return -1;
}

/* ---- what the test calls ---- */

void recorder_watch(const char *const *paths, int n_paths)
{
    n_files = 0;
    for (int i = 0; i < n_paths && i < MAX_FILES; i++) {
        struct stat s;
        if (stat(paths[i], &s))
            abort();
        files[i].dev = s.st_dev;
        files[i].ino = s.st_ino;
    }
    used = 0;
    n_files = n_paths;
}

void recorder_break(int file)
{
    pthread_mutex_lock(&lock);
    broken_file = file;
    pthread_mutex_unlock(&lock);
}

void recorder_mark(uint64_t value)
{
    note(MARK, 0, 0, value, 0, NULL, 0);
}

const uint8_t *recorder_journal(size_t *size)
{
    *size = used;
    return journal;
}

/* ---- what the process calls ---- */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t pwritev(int fd, const struct iovec *iov, int n_iov, off_t offset)
{
    static __typeof__(&pwritev) real;
    if (!real)
        real = REAL(pwritev);
    int file = watched(fd);
    if (file < 0)
        return real(fd, iov, n_iov, offset);
    uint64_t len = 0;
    for (int i = 0; i < n_iov; i++)
        len += iov[i].iov_len;
    uint64_t number = note(WRITE_BEGIN, file, 0, (uint64_t)offset, len, iov, n_iov);
    ssize_t result = real(fd, iov, n_iov, offset);
    if (result != (ssize_t)len)
        abort(); /* the model has no short writes */
    note(WRITE_END, file, number, 0, 0, NULL, 0);
    return result;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int n_iov, off64_t offset)
{
    return pwritev(fd, iov, n_iov, offset);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    static __typeof__(&pwrite) real;
    if (!real)
        real = REAL(pwrite);
    if (watched(fd) < 0)
        return real(fd, data, len, offset);
    struct iovec iov = {(void *)data, len};
    return pwritev(fd, &iov, 1, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return pwrite(fd, data, len, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    static __typeof__(&fallocate) real;
    if (!real)
        real = REAL(fallocate);
    int file = watched(fd);
    if (file < 0)
        return real(fd, mode, offset, len);
    uint64_t number = note(ZERO_BEGIN, file, 0, (uint64_t)offset, (uint64_t)len, NULL, 0);
    int result = real(fd, mode, offset, len);
    note(WRITE_END, file, number, 0, 0, NULL, 0);
    return result;
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fallocate(fd, mode, offset, len);
}

static int synced(int fd, int (*real)(int))
{
    int file = watched(fd);
    if (file < 0)
        return real(fd);
    uint64_t number = note(SYNC_BEGIN, file, 0, 0, 0, NULL, 0);
    if (real(fd))
        abort();
    pthread_mutex_lock(&lock);
    int is_broken = file == broken_file;
    pthread_mutex_unlock(&lock);
    note(is_broken ? SYNC_FAILED : SYNC_END, file, number, 0, 0, NULL, 0);
    errno = EIO;
    return is_broken ? -1 : 0;
}

int fdatasync(int fd)
{
    static __typeof__(&fdatasync) real;
    if (!real)
        real = REAL(fdatasync);
    return synced(fd, real);
}

int fsync(int fd)
{
    static __typeof__(&fsync) real;
    if (!real)
        real = REAL(fsync);
    return synced(fd, real);
}
