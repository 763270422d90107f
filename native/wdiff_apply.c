#include "wdiff_apply.h"

#include <errno.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "file_io.h"
#include "zero.h"

/* What one step loads and writes at most; neighbouring pieces make one write. */
#define BUFFER_BYTES ((size_t)1 << 20)
#define MAX_PIECES 1024
/* Decoded images kept by all workers together. */
#define CACHE_BYTES ((size_t)32 << 20)
/* From here on a range of zeros is made by the file system or device, below it is written. */
#define PUNCH_BYTES (64 << 10)
/* The most that one step zeroes, so that a step stays short where zeros must be written. */
#define ZERO_STEP_BYTES ((uint64_t)4 << 20)
#define PUNCH_STEP_BYTES ((uint64_t)1 << 30)
#define IDLE UINT64_MAX

/* What a worker does next: pieces of write_bytes in all, in address order from byte `at` on, or zero_bytes to zero there. */
typedef struct {
    walb_wdiff_piece pieces[MAX_PIECES];
    size_t n, write_bytes;
    uint64_t at, zero_bytes;
    int is_passed_down;
} range_plan;

struct walb_wdiff_apply {
    int fd, discard;
    uint64_t size_lb;
    /* Holds for all that follows. */
    pthread_mutex_t lock;
    walb_wdiff_merge *merge;
    /* The piece that did not fit the last range. */
    walb_wdiff_piece piece;
    int has_piece, is_ended;
    uint64_t planned_lb;
    walb_wdiff_applier *workers;
    walb_wdiff_applied stats;
};

struct walb_wdiff_applier {
    walb_wdiff_apply *apply;
    walb_wdiff_applier *next;
    /* Where the range at work begins, IDLE for none; under the lock. */
    uint64_t begin_lb;
    walb_wdiff_loader loader;
    range_plan plan;
    int can_punch, can_pass_down;
    uint8_t buffer[BUFFER_BYTES];
};

walb_wdiff_apply *walb_wdiff_apply_new(walb_wdiff_merge *m, int fd, uint64_t size_lb, int discard, walb_failure *f)
{
    walb_wdiff_apply *a = calloc(1, sizeof *a);

    if (!a) {
        walb_fail_memory(f);
        return NULL;
    }
    pthread_mutex_init(&a->lock, NULL);
    a->merge = m;
    a->fd = fd;
    a->size_lb = size_lb;
    a->discard = discard;
    return a;
}

void walb_wdiff_apply_free(walb_wdiff_apply *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void walb_wdiff_apply_stats(walb_wdiff_apply *a, walb_wdiff_applied *stats, uint64_t *done_lb)
{
    const walb_wdiff_applier *w;

    pthread_mutex_lock(&a->lock);
    *stats = a->stats;
    *done_lb = a->planned_lb;
    for (w = a->workers; w; w = w->next)
        *done_lb = w->begin_lb < *done_lb ? w->begin_lb : *done_lb;
    pthread_mutex_unlock(&a->lock);
}

walb_wdiff_applier *walb_wdiff_applier_new(walb_wdiff_apply *a, size_t n_workers, walb_failure *f)
{
    walb_wdiff_applier *w = malloc(sizeof *w);

    if (!w) {
        walb_fail_memory(f);
        return NULL;
    }
    memset(w, 0, offsetof(walb_wdiff_applier, buffer));
    w->apply = a;
    w->begin_lb = IDLE;
    w->loader.cache.limit_bytes = CACHE_BYTES / n_workers;
    w->can_punch = w->can_pass_down = 1;
    pthread_mutex_lock(&a->lock);
    w->next = a->workers;
    a->workers = w;
    pthread_mutex_unlock(&a->lock);
    return w;
}

void walb_wdiff_applier_free(walb_wdiff_applier *w)
{
    walb_wdiff_applier **at;

    if (!w)
        return;
    pthread_mutex_lock(&w->apply->lock);
    for (at = &w->apply->workers; *at != w; at = &(*at)->next)
        ;
    *at = w->next;
    pthread_mutex_unlock(&w->apply->lock);
    walb_wdiff_loader_free(&w->loader);
    free(w);
}

static int check_place(const walb_wdiff_apply *a, walb_failure *f)
{
    const walb_wdiff_piece *p = &a->piece;

    f->source = (int)p->source;
    if (p->record.kind == WALB_WDIFF_NORMAL && p->blocks_lb > BUFFER_BYTES / WALB_LB_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "record of %u blocks at block %llu is longer than the merge should make it",
                         p->blocks_lb, (unsigned long long)p->address_lb);
    if (p->address_lb <= a->size_lb && p->blocks_lb <= a->size_lb - p->address_lb)
        return 0;
    return walb_fail(f, WALB_FAIL_RANGE, "record of %u blocks at block %llu reaches behind the volume of %llu blocks",
                     p->blocks_lb, (unsigned long long)p->address_lb, (unsigned long long)a->size_lb);
}

/* Makes the next piece the current one. Returns 1, 0 at the end, or a failure. */
static int want_piece(walb_wdiff_apply *a, walb_failure *f)
{
    int result;

    if (a->has_piece)
        return 1;
    result = walb_wdiff_merge_next(a->merge, &a->piece, f);
    if (result <= 0)
        return result;
    a->has_piece = 1;
    result = check_place(a, f);
    return result == 0 ? 1 : result;
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

/* Adds the current piece to the plan. Returns 0 when it must wait for the next one. */
static int plan_piece(walb_wdiff_apply *a, range_plan *plan)
{
    uint64_t at = a->piece.address_lb * WALB_LB_BYTES, len = (uint64_t)a->piece.blocks_lb * WALB_LB_BYTES;
    int is_passed_down = a->piece.record.kind == WALB_WDIFF_DISCARD && a->discard == WALB_DISCARD_PASSDOWN;
    int is_bare = a->piece.record.kind != WALB_WDIFF_NORMAL && (len >= PUNCH_BYTES || is_passed_down);

    if (plan->n > 0 && (is_bare || plan->n == MAX_PIECES || plan->write_bytes + len > BUFFER_BYTES))
        return 0;
    a->has_piece = 0;
    if (!count(a))
        return 1;
    if (plan->n == 0)
        plan->at = at;
    if (is_bare) {
        plan->zero_bytes = len;
        plan->is_passed_down = is_passed_down;
    } else {
        plan->pieces[plan->n++] = a->piece;
        plan->write_bytes += (size_t)len;
    }
    a->planned_lb = a->piece.address_lb + a->piece.blocks_lb;
    return 1;
}

/* Takes the next range. Returns 1, 0 at the end, or a failure. */
static int plan_range(walb_wdiff_applier *w, walb_failure *f)
{
    walb_wdiff_apply *a = w->apply;
    range_plan *plan = &w->plan;
    int result = 0;

    plan->n = plan->write_bytes = 0;
    pthread_mutex_lock(&a->lock);
    while (!a->is_ended && plan->zero_bytes == 0) {
        result = want_piece(a, f);
        if (result <= 0)
            a->is_ended = 1;
        else if (!plan_piece(a, plan))
            break;
    }
    if (result >= 0) {
        result = plan->n > 0 || plan->zero_bytes > 0;
        if (result)
            w->begin_lb = plan->at / WALB_LB_BYTES;
    }
    pthread_mutex_unlock(&a->lock);
    return result;
}

/* Hands a discard to a block device; anything else, and a device that cannot, is zeroed. Returns 1 when done. */
static int pass_down(walb_wdiff_applier *w, uint64_t at, uint64_t len)
{
    uint64_t range[2] = {at, len};

    if (w->can_pass_down && ioctl(w->apply->fd, BLKDISCARD, range) == 0)
        return 1;
    w->can_pass_down = 0;
    return 0;
}

/* Lets the file system or device provide zeros, as long as it can. Returns 1 when done. */
static int punch(walb_wdiff_applier *w, uint64_t at, uint64_t len)
{
    if (w->can_punch && walb_punch_hole(w->apply->fd, at, len) == 0)
        return 1;
    w->can_punch = 0;
    return 0;
}

/* Zeroes a part of what the plan has to zero. */
static int zero_step(walb_wdiff_applier *w, uint64_t *zeroed_bytes, walb_failure *f)
{
    range_plan *plan = &w->plan;
    uint64_t len = plan->zero_bytes < PUNCH_STEP_BYTES ? plan->zero_bytes : PUNCH_STEP_BYTES;
    int result = 0;

    if (!(plan->is_passed_down && pass_down(w, plan->at, len)) && !punch(w, plan->at, len)) {
        len = len < ZERO_STEP_BYTES ? len : ZERO_STEP_BYTES;
        result = walb_zero_range(w->apply->fd, plan->at, len);
    }
    if (result != 0) {
        f->source = -1;
        errno = -result;
        return walb_fail_system(f, "cannot write zeros");
    }
    *zeroed_bytes = len;
    plan->at += len;
    plan->zero_bytes -= len;
    return 0;
}

/* Puts the content of a piece at dst. */
static int load(walb_wdiff_applier *w, const walb_wdiff_piece *piece, uint8_t *dst, walb_failure *f)
{
    size_t len = (size_t)piece->blocks_lb * WALB_LB_BYTES;
    const uint8_t *data;
    int result = 0;

    if (piece->record.kind != WALB_WDIFF_NORMAL) {
        memset(dst, 0, len);
    } else if (piece->record.codec == 0 && walb_wdiff_piece_is_whole(piece)) {
        result = walb_wdiff_merge_load(w->apply->merge, piece, dst, f);
    } else {
        result = walb_wdiff_merge_data_by(w->apply->merge, &w->loader, piece, &data, f);
        if (result == 0)
            memcpy(dst, data, len);
    }
    return result;
}

/* Loads the pieces from number i on that follow each other without a gap, and writes them at once. Returns the number
 * after them, or a failure. */
static int64_t write_run(walb_wdiff_applier *w, size_t i, walb_failure *f)
{
    const range_plan *plan = &w->plan;
    uint64_t begin_lb = plan->pieces[i].address_lb, end_lb = begin_lb;
    int result = 0;

    for (; i < plan->n && plan->pieces[i].address_lb == end_lb; i++) {
        result = load(w, &plan->pieces[i], w->buffer + (end_lb - begin_lb) * WALB_LB_BYTES, f);
        if (result != 0)
            return result;
        end_lb += plan->pieces[i].blocks_lb;
    }
    f->source = -1;
    result = walb_write_at(w->apply->fd, w->buffer, (end_lb - begin_lb) * WALB_LB_BYTES, begin_lb * WALB_LB_BYTES, f);
    return result == 0 ? (int64_t)i : result;
}

/* Writes the pieces of the plan. */
static int write_pieces(walb_wdiff_applier *w, walb_failure *f)
{
    int64_t i = 0;

    while (i >= 0 && (size_t)i < w->plan.n)
        i = write_run(w, (size_t)i, f);
    return i < 0 ? (int)i : 0;
}

int walb_wdiff_apply_step(walb_wdiff_applier *w, walb_failure *f)
{
    walb_wdiff_apply *a = w->apply;
    uint64_t zeroed_bytes = 0;
    int result = w->plan.zero_bytes > 0 ? 1 : plan_range(w, f);

    if (result <= 0)
        return result;
    result = w->plan.zero_bytes > 0 ? zero_step(w, &zeroed_bytes, f) : write_pieces(w, f);
    pthread_mutex_lock(&a->lock);
    if (result != 0) {
        a->is_ended = 1;
        pthread_mutex_unlock(&a->lock);
        return result;
    }
    w->begin_lb = w->plan.zero_bytes > 0 ? w->plan.at / WALB_LB_BYTES : IDLE;
    a->stats.written_bytes += w->plan.write_bytes;
    a->stats.zeroed_bytes += zeroed_bytes;
    pthread_mutex_unlock(&a->lock);
    return 1;
}
