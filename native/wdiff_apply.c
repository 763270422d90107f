#include "wdiff_apply.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "file_io.h"
#include "zero.h"

/* Neighbouring pieces are gathered to writes of at most this. */
#define BUFFER_BYTES ((size_t)2 << 20)
/* From here on a range of zeros is made by the file system or device, below it is written. */
#define PUNCH_BYTES (64 << 10)
/* The most that one step zeroes, so that a step stays short where zeros must be written. */
#define ZERO_STEP_BYTES ((uint64_t)4 << 20)
#define PUNCH_STEP_BYTES ((uint64_t)1 << 30)

struct walb_wdiff_apply {
    walb_wdiff_merge *merge;
    int fd, discard, can_punch, can_pass_down;
    uint64_t size_lb;
    walb_wdiff_applied stats;
    /* What is gathered: used bytes for byte `at` of the image. */
    uint64_t at;
    size_t used;
    /* What is to be zeroed after it. */
    uint64_t zero_at, zero_left;
    int is_passed_down;
    walb_wdiff_piece piece;
    int has_piece;
    uint8_t buffer[BUFFER_BYTES];
};

walb_wdiff_apply *walb_wdiff_apply_new(walb_wdiff_merge *m, int fd, uint64_t size_lb, int discard, walb_failure *f)
{
    walb_wdiff_apply *a = malloc(sizeof *a);

    if (!a) {
        walb_fail_memory(f);
        return NULL;
    }
    memset(a, 0, offsetof(walb_wdiff_apply, buffer));
    a->merge = m;
    a->fd = fd;
    a->size_lb = size_lb;
    a->discard = discard;
    a->can_punch = a->can_pass_down = 1;
    return a;
}

void walb_wdiff_apply_free(walb_wdiff_apply *a)
{
    free(a);
}

void walb_wdiff_apply_stats(const walb_wdiff_apply *a, walb_wdiff_applied *stats)
{
    *stats = a->stats;
}

static int flush(walb_wdiff_apply *a, walb_failure *f)
{
    int result = walb_write_at(a->fd, a->buffer, a->used, a->at, f);

    f->source = -1;
    a->stats.written_bytes += a->used;
    a->used = 0;
    return result;
}

/* Hands a discard to a block device; anything else, and a device that cannot, is zeroed. Returns 1 when done. */
static int pass_down(walb_wdiff_apply *a, uint64_t at, uint64_t len)
{
    uint64_t range[2] = {at, len};

    if (a->can_pass_down && ioctl(a->fd, BLKDISCARD, range) == 0)
        return 1;
    a->can_pass_down = 0;
    return 0;
}

/* Lets the file system or device provide zeros, as long as it can. Returns 1 when done. */
static int punch(walb_wdiff_apply *a, uint64_t at, uint64_t len)
{
    if (a->can_punch && walb_punch_hole(a->fd, at, len) == 0)
        return 1;
    a->can_punch = 0;
    return 0;
}

/* Zeroes a part of what is left to zero. */
static int zero_step(walb_wdiff_apply *a, walb_failure *f)
{
    uint64_t len = a->zero_left < PUNCH_STEP_BYTES ? a->zero_left : PUNCH_STEP_BYTES;
    int result = 0;

    if (!(a->is_passed_down && pass_down(a, a->zero_at, len)) && !punch(a, a->zero_at, len)) {
        len = len < ZERO_STEP_BYTES ? len : ZERO_STEP_BYTES;
        result = walb_zero_range(a->fd, a->zero_at, len);
    }
    if (result != 0) {
        f->source = -1;
        errno = -result;
        return walb_fail_system(f, "cannot write zeros");
    }
    a->stats.zeroed_bytes += len;
    a->zero_at += len;
    a->zero_left -= len;
    return 0;
}

static int check_place(const walb_wdiff_apply *a, walb_failure *f)
{
    const walb_wdiff_piece *p = &a->piece;

    if (p->address_lb <= a->size_lb && p->blocks_lb <= a->size_lb - p->address_lb)
        return 0;
    f->source = (int)p->source;
    return walb_fail(f, WALB_FAIL_RANGE, "record of %u blocks at block %llu reaches behind the volume of %llu blocks",
                     p->blocks_lb, (unsigned long long)p->address_lb, (unsigned long long)a->size_lb);
}

/* Adds the bytes of a normal piece, or zeros, to what is gathered; they fit. */
static int gather(walb_wdiff_apply *a, uint64_t at, size_t len, walb_failure *f)
{
    uint8_t *dst = a->buffer + a->used;
    const uint8_t *data;
    int result = 0;

    if (a->used == 0)
        a->at = at;
    if (a->piece.record.kind != WALB_WDIFF_NORMAL) {
        memset(dst, 0, len);
    } else if (a->piece.record.codec == 0 && walb_wdiff_piece_is_whole(&a->piece)) {
        result = walb_wdiff_merge_load(a->merge, &a->piece, dst, f);
    } else {
        result = walb_wdiff_merge_data(a->merge, &a->piece, &data, f);
        if (result == 0)
            memcpy(dst, data, len);
    }
    if (result == 0)
        a->used += len;
    return result;
}

/* Counts a piece and tells whether it is to be done at all. */
static int count(walb_wdiff_apply *a)
{
    const walb_wdiff_piece *p = &a->piece;

    if (p->record.kind == WALB_WDIFF_NORMAL)
        a->stats.n_normal++;
    else if (p->record.kind == WALB_WDIFF_ZERO)
        a->stats.n_zero++;
    else
        a->stats.n_discard++;
    if (p->record.kind != WALB_WDIFF_DISCARD || a->discard != WALB_DISCARD_IGNORE)
        return 1;
    a->stats.ignored_bytes += (uint64_t)p->blocks_lb * WALB_LB_BYTES;
    return 0;
}

/* Takes the current piece: gathered, or kept for a later step (has_piece), or as a range to zero. */
static int take_piece(walb_wdiff_apply *a, walb_failure *f)
{
    uint64_t at = a->piece.address_lb * WALB_LB_BYTES, len = (uint64_t)a->piece.blocks_lb * WALB_LB_BYTES;
    int is_passed_down = a->piece.record.kind == WALB_WDIFF_DISCARD && a->discard == WALB_DISCARD_PASSDOWN;
    int is_bare = a->piece.record.kind != WALB_WDIFF_NORMAL && (len >= PUNCH_BYTES || is_passed_down);

    if (!is_bare && a->used > 0 && (a->at + a->used != at || a->used + len > BUFFER_BYTES))
        return 0;
    a->has_piece = 0;
    if (!count(a))
        return 0;
    if (!is_bare)
        return gather(a, at, (size_t)len, f);
    a->zero_at = at;
    a->zero_left = len;
    a->is_passed_down = is_passed_down;
    return 0;
}

int walb_wdiff_apply_step(walb_wdiff_apply *a, uint64_t *done_lb, walb_failure *f)
{
    int result = 0, has_more = 1;

    if (a->zero_left > 0) {
        result = zero_step(a, f);
        *done_lb = a->zero_at / WALB_LB_BYTES;
        return result == 0 ? 1 : result;
    }
    while (result == 0 && a->zero_left == 0) {
        if (!a->has_piece) {
            has_more = walb_wdiff_merge_next(a->merge, &a->piece, f);
            if (has_more <= 0)
                break;
            a->has_piece = 1;
            result = check_place(a, f);
        }
        if (result == 0)
            result = take_piece(a, f);
        if (a->has_piece)
            break;
    }
    if (result == 0 && has_more >= 0) {
        *done_lb = a->used > 0 ? (a->at + a->used) / WALB_LB_BYTES : *done_lb;
        result = flush(a, f);
    }
    if (has_more < 0)
        return has_more;
    return result != 0 ? result : has_more;
}
