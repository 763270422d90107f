#define _GNU_SOURCE
#include "write_path.h"

#include <errno.h>
#include <stdlib.h>

#include "zero.h"

enum {
    LB_BYTES = 512,
    /* One round of building and writing; a write of the usual sizes needs at most two packs and four pieces. */
    ROUND_PACKS = 64,
    ROUND_PIECES = 2048,
    CACHE_BLOCK_BYTES = 4096,
};

static const uint8_t ZEROS[CACHE_BLOCK_BYTES];

/* Appends zeros up to the end of the cache's block, if they are allowed to take all of it. */
static void fill_block(const walb_log_ring *ring, walb_log_piece *pieces, walb_log_built *built,
                       uint64_t zero_limit_lsid)
{
    const walb_log_piece *last = &pieces[built->n_pieces - 1];
    const uint64_t end = last->position_bytes + last->len_bytes, zero_bytes = -end % CACHE_BLOCK_BYTES;

    if (zero_bytes && end + zero_bytes <= (ring->ring_offset_pb + ring->ring_size_pb) * ring->pbs &&
        built->end_lsid + zero_bytes / ring->pbs <= zero_limit_lsid)
        pieces[built->n_pieces++] = (walb_log_piece){end, ZEROS, zero_bytes};
}

int64_t walb_device_write_log(int fd, const walb_log_ring *ring, walb_log_write *writes, uint32_t n_writes,
                              uint64_t *lsid, uint64_t limit_lsid, uint64_t zero_limit_lsid)
{
    uint8_t *headers = malloc((size_t)ROUND_PACKS * ring->pbs);
    walb_log_piece *pieces = malloc((ROUND_PIECES + 1) * sizeof *pieces);
    walb_log_built built = {.end_lsid = *lsid};
    uint32_t done = 0;
    int error = headers && pieces ? 0 : -ENOMEM;

    while (!error && done < n_writes) {
        if (walb_log_pack_build(ring, built.end_lsid, limit_lsid, writes + done, n_writes - done, headers, ROUND_PACKS,
                                pieces, ROUND_PIECES, &built)) {
            error = -EINVAL;
        } else if (built.n_pieces == 0) {
            break;
        } else {
            fill_block(ring, pieces, &built, zero_limit_lsid);
            error = walb_log_write_pieces(fd, pieces, built.n_pieces);
            done += built.n_writes;
        }
    }
    free(headers);
    free(pieces);
    if (error)
        return error;
    *lsid = built.end_lsid;
    return done;
}

static int by_address(const void *a, const void *b)
{
    const walb_log_write *x = *(const walb_log_write *const *)a, *y = *(const walb_log_write *const *)b;
    return x->offset_lb < y->offset_lb ? -1 : x->offset_lb > y->offset_lb;
}

/* Sorts by address, unless writes overlap: then the order of the log is kept. */
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
    walb_log_piece *pieces = malloc((n_writes + 1) * sizeof *pieces);
    uint32_t i, n_pieces = 0;
    int error = order && pieces ? 0 : -ENOMEM;

    if (!error)
        choose_order(order, writes, n_writes);
    for (i = 0; i < n_writes && !error; i++) {
        const walb_log_write *w = order[i];
        const uint64_t position = w->offset_lb * LB_BYTES, len = (uint64_t)w->size_lb * LB_BYTES;
        if (!w->is_discard) {
            pieces[n_pieces++] = (walb_log_piece){position, w->data, len};
            continue;
        }
        error = walb_log_write_pieces(fd, pieces, n_pieces);
        n_pieces = 0;
        if (!error)
            error = walb_zero_range(fd, position, len);
    }
    if (!error)
        error = walb_log_write_pieces(fd, pieces, n_pieces);
    free(order);
    free(pieces);
    return error;
}
