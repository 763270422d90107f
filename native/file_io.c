#include "file_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define OUTPUT_BYTES (256 << 10)
/* Shorter pieces are worth copying, longer ones a system call. */
#define DIRECT_BYTES (16 << 10)

int walb_read_at(int fd, uint8_t *dst, size_t len, uint64_t offset, walb_failure *f)
{
    while (len > 0) {
        ssize_t n = pread(fd, dst, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return walb_fail_system(f, "cannot read");
        if (n == 0)
            return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: the file ends too early", (unsigned long long)offset);
        dst += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int walb_write_at(int fd, const uint8_t *src, size_t len, uint64_t offset, walb_failure *f)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, src, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return walb_fail_system(f, "cannot write");
        src += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

int walb_output_open(walb_output *out, int fd, walb_failure *f)
{
    memset(out, 0, sizeof *out);
    out->fd = fd;
    out->buffer = malloc(OUTPUT_BYTES);
    return out->buffer ? 0 : walb_fail_memory(f);
}

void walb_output_close(walb_output *out)
{
    free(out->buffer);
    out->buffer = NULL;
}

static int write_parts(int fd, struct iovec *part, int n_parts, walb_failure *f)
{
    while (n_parts > 0) {
        ssize_t n = writev(fd, part, n_parts);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return walb_fail_system(f, "cannot write");
        while (n_parts > 0 && (size_t)n >= part->iov_len) {
            n -= (ssize_t)part->iov_len;
            part++;
            n_parts--;
        }
        if (n_parts > 0) {
            part->iov_base = (uint8_t *)part->iov_base + n;
            part->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int walb_write_all(int fd, const uint8_t *src, size_t len, walb_failure *f)
{
    struct iovec part = {(void *)src, len};

    return write_parts(fd, &part, 1, f);
}

int walb_output_put(walb_output *out, const uint8_t *data, size_t len, walb_failure *f)
{
    out->offset += len;
    if (len < DIRECT_BYTES && out->used + len <= OUTPUT_BYTES) {
        memcpy(out->buffer + out->used, data, len);
        out->used += len;
        return 0;
    }
    struct iovec parts[2] = {{out->buffer, out->used}, {(void *)data, len}};
    out->used = 0;
    return write_parts(out->fd, parts, 2, f);
}

int walb_output_flush(walb_output *out, walb_failure *f)
{
    struct iovec part = {out->buffer, out->used};

    out->used = 0;
    return write_parts(out->fd, &part, 1, f);
}
