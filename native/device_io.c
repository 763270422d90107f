#define _GNU_SOURCE
#include "device_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    LB_BYTES = 512,
    MAX_IOV = 1000,
    ZEROS_BYTES = 1 << 16,
    /* One round of building and writing; a write needs at most two packs and four pieces. */
    ROUND_PACKS = 64,
    ROUND_PIECES = 2048,
};

/* Never written: ranges of devices that cannot make holes take their zeros from here. */
static uint8_t zeros[ZEROS_BYTES];

/* ---- the log device ---- */

int64_t walb_device_write_log(int fd, const walb_log_ring *ring, walb_log_write *writes, uint32_t n_writes,
                              uint64_t *lsid, uint64_t limit_lsid)
{
    uint8_t *headers = malloc((size_t)ROUND_PACKS * ring->pbs);
    walb_log_piece *pieces = malloc(ROUND_PIECES * sizeof *pieces);
    walb_log_built built = {.end_lsid = *lsid};
    uint32_t done = 0;
    int error = headers && pieces ? 0 : -ENOMEM;

    while (!error && done < n_writes) {
        if (walb_log_pack_build(ring, built.end_lsid, limit_lsid, writes + done, n_writes - done, headers, ROUND_PACKS,
                                pieces, ROUND_PIECES, &built))
            error = -EINVAL;
        else if (built.n_pieces == 0)
            break;
        else
            error = walb_log_write_pieces(fd, pieces, built.n_pieces);
        done += built.n_writes;
    }
    free(headers);
    free(pieces);
    if (error)
        return error;
    *lsid = built.end_lsid;
    return done;
}

/* ---- the data device ---- */

/* Consecutive pieces of one file, written with as few system calls as possible. */
typedef struct {
    int fd;
    int n_iov;
    uint64_t begin, end;
    struct iovec iov[MAX_IOV];
} gather;

static int gather_flush(gather *g)
{
    struct iovec *iov = g->iov;
    while (g->n_iov > 0) {
        ssize_t done = pwritev(g->fd, iov, g->n_iov, (off_t)g->begin);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        g->begin += (uint64_t)done;
        while (done > 0) {
            size_t piece = (size_t)done < iov->iov_len ? (size_t)done : iov->iov_len;
            iov->iov_base = (uint8_t *)iov->iov_base + piece;
            iov->iov_len -= piece;
            done -= (ssize_t)piece;
            if (iov->iov_len == 0) {
                iov++;
                g->n_iov--;
            }
        }
    }
    return 0;
}

static int gather_add(gather *g, const void *data, size_t len, uint64_t offset)
{
    if (len == 0)
        return 0;
    if (g->n_iov > 0 && (offset != g->end || g->n_iov == MAX_IOV)) {
        int error = gather_flush(g);
        if (error)
            return error;
    }
    if (g->n_iov == 0)
        g->begin = offset;
    g->iov[g->n_iov].iov_base = (void *)(uintptr_t)data;
    g->iov[g->n_iov].iov_len = len;
    g->n_iov++;
    g->end = offset + len;
    return 0;
}

static int write_zeros(int fd, uint64_t offset, uint64_t len)
{
    while (len > 0) {
        const size_t piece = len < ZEROS_BYTES ? (size_t)len : ZEROS_BYTES;
        ssize_t done = pwrite(fd, zeros, piece, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return done < 0 ? -errno : -EIO;
        offset += (uint64_t)done;
        len -= (uint64_t)done;
    }
    return 0;
}

static int discard(int fd, const walb_log_write *io)
{
    const uint64_t offset = io->offset_lb * LB_BYTES, len = (uint64_t)io->size_lb * LB_BYTES;
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) != 0) {
        if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
            return write_zeros(fd, offset, len);
        if (errno != EINTR)
            return -errno;
    }
    return 0;
}

static int by_address(const void *a, const void *b)
{
    const walb_log_write *x = *(const walb_log_write *const *)a, *y = *(const walb_log_write *const *)b;
    return x->offset_lb < y->offset_lb ? -1 : x->offset_lb > y->offset_lb;
}

/* Sorts by address, unless records overlap: then the order of the log is kept. */
static void choose_order(const walb_log_write **order, const walb_log_write *writes, uint32_t n_writes)
{
    uint32_t i;
    for (i = 0; i < n_writes; i++)
        order[i] = &writes[i];
    qsort(order, n_writes, sizeof *order, by_address);
    for (i = 1; i < n_writes; i++)
        if (order[i - 1]->offset_lb + order[i - 1]->size_lb > order[i]->offset_lb)
            break;
    if (i < n_writes)
        for (i = 0; i < n_writes; i++)
            order[i] = &writes[i];
}

int walb_device_write_data(int fd, const walb_log_write *writes, uint32_t n_writes)
{
    const walb_log_write **order = malloc((n_writes + 1) * sizeof *order);
    gather *g = malloc(sizeof *g);
    int error = order && g ? 0 : -ENOMEM;
    if (!error) {
        g->fd = fd;
        g->n_iov = 0;
        choose_order(order, writes, n_writes);
        for (uint32_t i = 0; i < n_writes && !error; i++) {
            const walb_log_write *io = order[i];
            if (!io->is_discard) {
                error = gather_add(g, io->data, (size_t)io->size_lb * LB_BYTES, io->offset_lb * LB_BYTES);
            } else {
                error = gather_flush(g);
                if (!error)
                    error = discard(fd, io);
            }
        }
        if (!error)
            error = gather_flush(g);
    }
    free(order);
    free(g);
    return error;
}
