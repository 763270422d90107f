#define _GNU_SOURCE
#include "zero.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#define ZEROS_BYTES (1u << 20)

/* Aligned for descriptors opened with O_DIRECT. */
static const uint8_t ZEROS[ZEROS_BYTES] __attribute__((aligned(4096)));

int walb_punch_hole(int fd, uint64_t offset_bytes, uint64_t len_bytes)
{
    if (len_bytes == 0)
        return 0;
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset_bytes, (off_t)len_bytes) != 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int walb_zero_range(int fd, uint64_t offset_bytes, uint64_t len_bytes)
{
    int result = walb_punch_hole(fd, offset_bytes, len_bytes);

    if (result != -EOPNOTSUPP && result != -ENOSYS && result != -ENODEV && result != -EINVAL)
        return result;
    while (len_bytes > 0) {
        size_t want = len_bytes < ZEROS_BYTES ? (size_t)len_bytes : ZEROS_BYTES;
        ssize_t n = pwrite(fd, ZEROS, want, (off_t)offset_bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        offset_bytes += (uint64_t)n;
        len_bytes -= (uint64_t)n;
    }
    return 0;
}
