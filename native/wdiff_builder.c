#include "wdiff_builder.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "file_io.h"
#include "wdiff_codec.h"
#include "wdiff_index.h"
#include "wdiff_merge.h"

/* Images that a part gathers before it waits for its turn. */
#define GATHERED_BYTES ((size_t)2 << 20)
/* Records that a part keeps. */
#define PART_RECORDS ((size_t)16 << 10)

struct walb_wdiff_builder {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    uint64_t turn;
    int is_stopped;
    /* What follows belongs to the part whose turn it is. */
    int images_fd, can_seek, run_fd, source_fd, is_aligned;
    uint32_t slice_lb;
    size_t run_records;
    uint64_t images_offset, run_offset, n_ios;
    walb_wdiff_index index;
    walb_wdiff_run *runs;
    size_t n_runs, runs_room;
};

struct walb_wdiff_part {
    walb_wdiff_builder *builder;
    uint64_t number, n_ios;
    /* Records not yet set down; stored_offset of those with an image here counts from the begin of `images`. */
    walb_wdiff_record *records;
    size_t n, room, used;
    uint8_t *images;
    /* The IO that comes in, and the slice of it. */
    walb_wdiff_io io;
    uint64_t slice_lb;
    size_t slice_bytes, have, slice_room;
    uint8_t *gathered, *compressed;
};

walb_wdiff_builder *walb_wdiff_builder_new(int images_fd, uint64_t images_offset, int can_seek, int run_fd,
                                           size_t run_records, uint32_t slice_lb, int is_aligned, walb_failure *f)
{
    walb_wdiff_builder *b = calloc(1, sizeof *b);

    if (!b) {
        walb_fail_memory(f);
        return NULL;
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->moved, NULL);
    b->images_fd = images_fd;
    b->images_offset = images_offset;
    b->can_seek = can_seek;
    b->run_fd = run_fd;
    b->run_records = run_records;
    b->source_fd = -1;
    b->slice_lb = slice_lb;
    b->is_aligned = is_aligned;
    return b;
}

void walb_wdiff_builder_free(walb_wdiff_builder *b)
{
    if (!b)
        return;
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->moved);
    walb_wdiff_index_free(&b->index);
    free(b->runs);
    free(b);
}

/* Sets the records in memory down as a run. */
static int end_run(walb_wdiff_builder *b, walb_failure *f)
{
    walb_wdiff_run run = {.fd = b->run_fd, .images_fd = b->images_fd, .source_fd = b->source_fd, .offset = b->run_offset};
    int result = walb_wdiff_index_clean_up(&b->index, f);

    if (result != 0 || b->index.n == 0)
        return result;
    if (b->n_runs == b->runs_room) {
        size_t room = b->runs_room ? 2 * b->runs_room : 16;
        walb_wdiff_run *grown = realloc(b->runs, room * sizeof *grown);
        if (!grown)
            return walb_fail_memory(f);
        b->runs = grown;
        b->runs_room = room;
    }
    run.n_records = b->index.n;
    result = walb_write_at(b->run_fd, (const uint8_t *)b->index.records, b->index.n * sizeof *b->index.records, b->run_offset,
                           f);
    b->run_offset += b->index.n * sizeof *b->index.records;
    b->runs[b->n_runs++] = run;
    b->index.n = b->index.clean = 0;
    return result;
}

int walb_wdiff_builder_source(walb_wdiff_builder *b, int source_fd, walb_failure *f)
{
    int result = b->run_fd >= 0 ? end_run(b, f) : 0;

    b->source_fd = source_fd;
    return result;
}

void walb_wdiff_builder_stop(walb_wdiff_builder *b)
{
    pthread_mutex_lock(&b->lock);
    b->is_stopped = 1;
    pthread_cond_broadcast(&b->moved);
    pthread_mutex_unlock(&b->lock);
}

uint64_t walb_wdiff_builder_n_ios(const walb_wdiff_builder *b)
{
    return b->n_ios;
}

static int store(walb_wdiff_builder *b, const uint8_t *data, size_t len, walb_failure *f)
{
    int result = b->can_seek ? walb_write_at(b->images_fd, data, len, b->images_offset, f)
                             : walb_write_all(b->images_fd, data, len, f);

    b->images_offset += len;
    return result;
}

int walb_wdiff_builder_runs(walb_wdiff_builder *b, const walb_wdiff_run **runs, size_t *n, walb_failure *f)
{
    int result = end_run(b, f);

    *runs = b->runs;
    *n = b->n_runs;
    return result;
}

/* Calls put for every visible range of all runs, in address order. */
static int for_each_visible(walb_wdiff_builder *b, walb_wdiff_index_output *out, walb_failure *f)
{
    static const uint8_t unknown[16];
    walb_wdiff_merge *m;
    walb_wdiff_piece piece;
    int result = end_run(b, f);

    if (result != 0)
        return result;
    m = walb_wdiff_merge_new_runs(b->runs, b->n_runs, unknown, f);
    if (!m)
        return f->code;
    while ((result = walb_wdiff_merge_next(m, &piece, f)) > 0) {
        walb_wdiff_record r = piece.record;
        r.image_skip_lb += (uint32_t)(piece.address_lb - r.address_lb);
        r.address_lb = piece.address_lb;
        r.blocks_lb = piece.blocks_lb;
        result = walb_wdiff_index_output_put(out, &r, f);
        if (result != 0)
            break;
    }
    walb_wdiff_merge_free(m);
    return result;
}

int walb_wdiff_builder_finish_indexed(walb_wdiff_builder *b, uint32_t piece_lb, uint32_t *n_records, uint64_t *file_bytes,
                                      walb_failure *f)
{
    static const uint8_t zeros[8];
    uint8_t super[WALB_WDIFF_SUPER_BYTES];
    walb_wdiff_index_output out;
    uint64_t index_offset;
    int result = store(b, zeros, (size_t)(-b->images_offset & 7), f);

    index_offset = b->images_offset;
    if (result == 0)
        result = walb_wdiff_index_output_open(&out, b->images_fd, b->can_seek ? (int64_t)index_offset : -1, piece_lb, f);
    if (result != 0)
        return result;
    result = b->n_runs > 0 ? for_each_visible(b, &out, f) : walb_wdiff_index_write(&b->index, &out, f);
    if (result == 0)
        result = walb_wdiff_index_output_flush(&out, f);
    if (result == 0 && (out.n > UINT32_MAX || b->n_ios > UINT32_MAX))
        result = walb_fail(f, WALB_FAIL_CORRUPT, "too many IOs for one file: %llu in %llu records",
                           (unsigned long long)b->n_ios, (unsigned long long)out.n);
    b->images_offset += out.n * WALB_WDIFF_INDEX_BYTES;
    *n_records = (uint32_t)out.n;
    walb_wdiff_index_output_close(&out);
    if (result != 0)
        return result;
    walb_wdiff_build_super(super, index_offset, *n_records, (uint32_t)b->n_ios);
    result = store(b, super, sizeof super, f);
    *file_bytes = b->images_offset;
    return result;
}

walb_wdiff_part *walb_wdiff_part_new(walb_wdiff_builder *b, walb_failure *f)
{
    walb_wdiff_part *p = calloc(1, sizeof *p);

    if (p) {
        p->builder = b;
        p->images = malloc(GATHERED_BYTES);
        if (p->images)
            return p;
    }
    walb_wdiff_part_free(p);
    walb_fail_memory(f);
    return NULL;
}

void walb_wdiff_part_free(walb_wdiff_part *p)
{
    if (!p)
        return;
    free(p->records);
    free(p->images);
    free(p->gathered);
    free(p->compressed);
    free(p);
}

void walb_wdiff_part_begin(walb_wdiff_part *p, uint64_t number)
{
    p->number = number;
}

static int wait_for_turn(walb_wdiff_part *p, walb_failure *f)
{
    walb_wdiff_builder *b = p->builder;
    int is_stopped;

    pthread_mutex_lock(&b->lock);
    while (b->turn != p->number && !b->is_stopped)
        pthread_cond_wait(&b->moved, &b->lock);
    is_stopped = b->is_stopped;
    pthread_mutex_unlock(&b->lock);
    return is_stopped ? walb_fail(f, WALB_FAIL_STOPPED, "stopped") : 0;
}

/* Stores images and adds the records, which point into them. */
static int set_down(walb_wdiff_part *p, const uint8_t *images, size_t len, walb_failure *f)
{
    walb_wdiff_builder *b = p->builder;
    uint64_t base;
    size_t i;
    int result = wait_for_turn(p, f);

    if (result != 0)
        return result;
    base = b->images_offset;
    result = store(b, images, len, f);
    for (i = 0; result == 0 && i < p->n; i++) {
        walb_wdiff_record *r = &p->records[i];
        if (!(r->stored_offset & WALB_WDIFF_IN_SOURCE))
            r->stored_offset += base;
        if (b->run_fd >= 0 && b->index.n >= b->run_records)
            result = end_run(b, f);
        if (result == 0)
            result = walb_wdiff_index_add(&b->index, r, f);
    }
    b->n_ios += p->n_ios;
    p->n_ios = 0;
    p->n = p->used = 0;
    return result;
}

int walb_wdiff_part_flush(walb_wdiff_part *p, walb_failure *f)
{
    return set_down(p, p->images, p->used, f);
}

int walb_wdiff_part_is_full(const walb_wdiff_part *p)
{
    return p->n >= PART_RECORDS;
}

int walb_wdiff_part_end(walb_wdiff_part *p, walb_failure *f)
{
    walb_wdiff_builder *b = p->builder;
    int result = walb_wdiff_part_flush(p, f);

    if (result != 0)
        return result;
    pthread_mutex_lock(&b->lock);
    b->turn++;
    pthread_cond_broadcast(&b->moved);
    pthread_mutex_unlock(&b->lock);
    return 0;
}

static int add(walb_wdiff_part *p, const walb_wdiff_record *r, walb_failure *f)
{
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 1024;
        walb_wdiff_record *grown = realloc(p->records, room * sizeof *grown);
        if (!grown)
            return walb_fail_memory(f);
        p->records = grown;
        p->room = room;
    }
    p->records[p->n++] = *r;
    return 0;
}

int walb_wdiff_part_discard(walb_wdiff_part *p, uint64_t address_lb, uint32_t blocks_lb, walb_failure *f)
{
    p->n_ios++;
    if (blocks_lb == 0)
        return 0;
    return add(p,
               &(walb_wdiff_record){
                   .address_lb = address_lb, .blocks_lb = blocks_lb, .kind = WALB_WDIFF_DISCARD, .stored_offset = p->used},
               f);
}

void walb_wdiff_part_io(walb_wdiff_part *p, const walb_wdiff_io *io)
{
    p->n_ios++;
    p->io = *io;
    p->slice_lb = io->address_lb;
    p->slice_bytes = p->have = 0;
}

/* The next slice begins at slice_lb: finds its length and makes room for it. */
static int begin_slice(walb_wdiff_part *p, walb_failure *f)
{
    const walb_wdiff_builder *b = p->builder;
    uint64_t end = p->io.address_lb + p->io.blocks_lb, next = end;

    if (b->slice_lb > 0 && (!b->is_aligned || p->io.blocks_lb > b->slice_lb))
        next = p->slice_lb + b->slice_lb - (b->is_aligned ? p->slice_lb % b->slice_lb : 0);
    p->slice_bytes = (size_t)((next < end ? next : end) - p->slice_lb) * WALB_LB_BYTES;
    if (p->slice_bytes > p->slice_room) {
        free(p->gathered);
        free(p->compressed);
        p->gathered = malloc(p->slice_bytes);
        p->compressed = malloc(p->slice_bytes);
        p->slice_room = p->gathered && p->compressed ? p->slice_bytes : 0;
    }
    return p->slice_bytes > p->slice_room ? walb_fail_memory(f) : 0;
}

/* Zeros: a record of their own, or the longer end of the same IO's zeros before them. */
static int put_zeros(walb_wdiff_part *p, uint32_t blocks, walb_failure *f)
{
    walb_wdiff_record *last = p->n > 0 && p->slice_lb > p->io.address_lb ? &p->records[p->n - 1] : NULL;

    if (last && last->kind == WALB_WDIFF_ZERO) {
        last->blocks_lb += blocks;
        return 0;
    }
    return add(p,
               &(walb_wdiff_record){
                   .address_lb = p->slice_lb, .blocks_lb = blocks, .kind = WALB_WDIFF_ZERO, .stored_offset = p->used},
               f);
}

/* Gathers an image; one that is larger than the room is set down at once. */
static int put_image(walb_wdiff_part *p, walb_wdiff_record *r, const uint8_t *data, walb_failure *f)
{
    int result = p->used + r->stored_bytes > GATHERED_BYTES ? walb_wdiff_part_flush(p, f) : 0;

    if (result != 0)
        return result;
    r->stored_offset = p->used;
    if (r->stored_bytes <= GATHERED_BYTES) {
        memcpy(p->images + p->used, data, r->stored_bytes);
        p->used += r->stored_bytes;
        return add(p, r, f);
    }
    result = add(p, r, f);
    return result == 0 ? set_down(p, data, r->stored_bytes, f) : result;
}

static int put_slice(walb_wdiff_part *p, const uint8_t *data, walb_failure *f)
{
    size_t len = p->slice_bytes, stored;
    uint32_t blocks = (uint32_t)(len / WALB_LB_BYTES);
    walb_wdiff_record r = {.address_lb = p->slice_lb, .blocks_lb = blocks, .image_lb = blocks};

    if (p->io.finds_zeros && walb_is_zero(data, len))
        return put_zeros(p, blocks, f);
    stored = walb_codec_compress(WALB_CODEC_SNAPPY, 0, data, len, p->compressed);
    if (stored > 0) {
        r.codec = WALB_CODEC_SNAPPY;
        r.stored_bytes = (uint32_t)stored;
        r.checksum = walb_csum(p->compressed, stored, 0);
        return put_image(p, &r, p->compressed, f);
    }
    r.stored_bytes = (uint32_t)len;
    r.checksum = p->io.has_csum && blocks == p->io.blocks_lb ? p->io.csum : walb_csum(data, len, 0);
    if (p->builder->source_fd < 0)
        return put_image(p, &r, data, f);
    r.stored_offset = WALB_WDIFF_IN_SOURCE | (p->io.source_offset + (p->slice_lb - p->io.address_lb) * WALB_LB_BYTES);
    return add(p, &r, f);
}

int walb_wdiff_part_data(walb_wdiff_part *p, const uint8_t *data, size_t len, walb_failure *f)
{
    int result = 0;

    while (len > 0 && result == 0) {
        size_t n;
        if (p->have == 0) {
            result = begin_slice(p, f);
            if (result != 0)
                return result;
        }
        n = p->slice_bytes - p->have < len ? p->slice_bytes - p->have : len;
        if (n < p->slice_bytes)
            memcpy(p->gathered + p->have, data, n);
        p->have += n;
        if (p->have == p->slice_bytes) {
            result = put_slice(p, n < p->slice_bytes ? p->gathered : data, f);
            p->slice_lb += p->slice_bytes / WALB_LB_BYTES;
            p->have = 0;
        }
        data += n;
        len -= n;
    }
    return result;
}
