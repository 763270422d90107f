#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "file_io.h"
#include "snappy.h"
#include "wdiff_codec.h"
#include "wdiff_pack.h"

/* A pack is closed when the next record might exceed this: far below what the format allows, so that a pack stays in the
 * processor's cache from reading to sending. */
#define PACK_DATA_BYTES ((size_t)2 << 20)
/* Decoded images kept by all threads together. */
#define CACHE_BYTES ((size_t)32 << 20)
/* What is tried of data that were stored as they are. */
#define SAMPLE_BYTES ((size_t)4 << 10)

/* Pieces that make one pack. */
typedef struct {
    walb_wdiff_piece pieces[WALB_WDIFF_MAX_RECORDS];
    uint32_t n;
    size_t data_bytes;
} pack_plan;

/* Takes the pieces of packs from a merge, one thread at a time. */
typedef struct {
    walb_wdiff_merge *merge;
    /* The piece that did not fit the last pack. */
    walb_wdiff_piece piece;
    int has_piece;
} planner;

/* Makes packs of plans: what one thread needs. */
typedef struct {
    walb_wdiff_merge *merge;
    int codec, level, decodes_all;
    walb_wdiff_loader loader;
    pack_plan plan;
    size_t size, room;
    uint8_t *bytes;
    walb_wdiff_statistics statistics;
} pack_maker;

static size_t piece_bytes(const walb_wdiff_piece *piece)
{
    return piece->record.kind == WALB_WDIFF_NORMAL ? (size_t)piece->blocks_lb * WALB_LB_BYTES : 0;
}

/* Plans the next pack; it has no pieces at the end. A single piece may be larger than a pack should be. */
static int plan_pack(planner *p, pack_plan *plan, walb_failure *f)
{
    plan->n = 0;
    plan->data_bytes = 0;
    while (plan->n < WALB_WDIFF_MAX_RECORDS) {
        size_t bytes;
        int result = p->has_piece ? 1 : walb_wdiff_merge_next(p->merge, &p->piece, f);
        if (result < 0)
            return result;
        p->has_piece = 0;
        if (result == 0)
            break;
        bytes = piece_bytes(&p->piece);
        p->has_piece = plan->n > 0 && bytes > 0 && plan->data_bytes + bytes > PACK_DATA_BYTES;
        if (p->has_piece)
            break;
        plan->pieces[plan->n++] = p->piece;
        plan->data_bytes += bytes;
    }
    return 0;
}

static int maker_open(pack_maker *k, walb_wdiff_merge *m, int codec, int level, int n_threads, walb_failure *f)
{
    memset(k, 0, sizeof *k);
    k->merge = m;
    k->codec = codec;
    k->level = level;
    k->loader.cache.limit_bytes = CACHE_BYTES / (size_t)n_threads;
    k->room = WALB_WDIFF_PACK_HEADER_BYTES + PACK_DATA_BYTES;
    k->bytes = malloc(k->room);
    return k->bytes ? 0 : walb_fail_memory(f);
}

static void maker_close(pack_maker *k)
{
    walb_wdiff_loader_free(&k->loader);
    free(k->bytes);
}

/* How hard a codec tries: 0 none, 1 fast, 2 strong. */
static int strength(int codec)
{
    return codec == WALB_CODEC_NONE ? 0 : codec == WALB_CODEC_SNAPPY || codec == WALB_CODEC_LZ4 ? 1 : 2;
}

/* Whether data that were stored as they are are worth another try: they may come from a writer without compression. */
static int looks_incompressible(const uint8_t *data, size_t len)
{
    uint8_t packed[SAMPLE_BYTES];
    size_t n = len < SAMPLE_BYTES ? len : SAMPLE_BYTES;

    return walb_snappy_compress(data, n, packed, n - n / 16) == 0;
}

/* Data compressed at least as well as wanted gain nothing: they go out as they are stored. */
static int is_passed_through(const pack_maker *k, const walb_wdiff_piece *piece)
{
    const walb_wdiff_record *r = &piece->record;

    return walb_wdiff_piece_is_whole(piece) && r->stored_bytes <= r->image_lb * WALB_LB_BYTES &&
           (r->codec == WALB_CODEC_NONE || r->codec == k->codec ||
            (!k->decodes_all && strength(r->codec) >= strength(k->codec)));
}

/* Compresses a piece's data to dst and completes its record. The rest of data that did not become smaller will not do so
 * either, and trying hard takes long. */
static void put_compressed(const pack_maker *k, int old_codec, const uint8_t *data, size_t len, uint8_t *dst,
                           walb_wdiff_record *r)
{
    size_t stored = 0;

    if (old_codec != WALB_CODEC_NONE || !looks_incompressible(data, len))
        stored = walb_codec_compress(k->codec, k->level, data, len, dst);

    r->codec = (uint8_t)(stored > 0 ? k->codec : WALB_CODEC_NONE);
    if (stored == 0) {
        memcpy(dst, data, len);
        stored = len;
    }
    r->stored_bytes = (uint32_t)stored;
    r->checksum = walb_csum(dst, stored, 0);
}

/* Puts the data of a normal piece at dst and completes its record. */
static int put_data(pack_maker *k, const walb_wdiff_piece *piece, uint8_t *dst, walb_wdiff_record *r, walb_failure *f)
{
    size_t len = piece_bytes(piece);
    const uint8_t *data;
    int result;

    if (is_passed_through(k, piece)) {
        /* Decoded all the same: who merges removes the inputs, and relies on it that the output can be read. */
        if (piece->record.codec != WALB_CODEC_NONE) {
            result = walb_wdiff_merge_data_by(k->merge, &k->loader, piece, &data, f);
            if (result != 0)
                return result;
        }
        r->codec = piece->record.codec;
        r->stored_bytes = piece->record.stored_bytes;
        r->checksum = piece->record.checksum;
        result = walb_wdiff_merge_load(k->merge, piece, dst, f);
        if (result != 0 || r->codec != WALB_CODEC_NONE || k->codec == WALB_CODEC_NONE || looks_incompressible(dst, len))
            return result;
    }
    result = walb_wdiff_merge_data_by(k->merge, &k->loader, piece, &data, f);
    if (result == 0)
        put_compressed(k, piece->record.codec, data, len, dst, r);
    return result;
}

/* Makes the pack of the plan. */
static int make_pack(pack_maker *k, walb_failure *f)
{
    const pack_plan *plan = &k->plan;
    size_t used = 0;
    uint32_t i;

    if (WALB_WDIFF_PACK_HEADER_BYTES + plan->data_bytes > k->room) {
        free(k->bytes);
        k->room = WALB_WDIFF_PACK_HEADER_BYTES + plan->data_bytes;
        k->bytes = malloc(k->room);
        if (!k->bytes)
            return walb_fail_memory(f);
    }
    for (i = 0; i < plan->n; i++) {
        const walb_wdiff_piece *piece = &plan->pieces[i];
        walb_wdiff_record r = {
            .kind = piece->record.kind, .address_lb = piece->address_lb, .blocks_lb = piece->blocks_lb};
        int result = 0;
        if (r.kind == WALB_WDIFF_NORMAL)
            result = put_data(k, piece, k->bytes + WALB_WDIFF_PACK_HEADER_BYTES + used, &r, f);
        if (result != 0)
            return result;
        walb_wdiff_build_record(k->bytes, i, &r, (uint32_t)used);
        walb_wdiff_count(&k->statistics, r.kind, r.blocks_lb, r.stored_bytes);
        used += r.stored_bytes;
    }
    walb_wdiff_build_pack(k->bytes, plan->n, (uint32_t)used, 0);
    k->size = WALB_WDIFF_PACK_HEADER_BYTES + used;
    return 0;
}

struct walb_wdiff_packer {
    planner planner;
    pack_maker maker;
    /* The pack being sent: bytes from sent to maker.size. */
    size_t sent;
    int is_ended;
};

walb_wdiff_packer *walb_wdiff_packer_new(walb_wdiff_merge *m, int codec, int level, walb_failure *f)
{
    walb_wdiff_packer *p = calloc(1, sizeof *p);

    if (!p) {
        walb_fail_memory(f);
        return NULL;
    }
    p->planner.merge = m;
    if (maker_open(&p->maker, m, codec, level, 1, f) == 0)
        return p;
    free(p);
    return NULL;
}

void walb_wdiff_packer_free(walb_wdiff_packer *p)
{
    if (!p)
        return;
    maker_close(&p->maker);
    free(p);
}

int64_t walb_wdiff_packer_read(walb_wdiff_packer *p, uint8_t *dst, size_t room, walb_failure *f)
{
    size_t done = 0, n;

    while (done < room) {
        if (p->sent == p->maker.size && !p->is_ended) {
            int result = plan_pack(&p->planner, &p->maker.plan, f);
            p->is_ended = p->maker.plan.n == 0;
            if (result == 0 && !p->is_ended)
                result = make_pack(&p->maker, f);
            if (result != 0)
                return result;
            p->sent = 0;
        }
        if (p->is_ended)
            break;
        n = p->maker.size - p->sent < room - done ? p->maker.size - p->sent : room - done;
        memcpy(dst + done, p->maker.bytes + p->sent, n);
        p->sent += n;
        done += n;
    }
    return (int64_t)done;
}

struct walb_wdiff_pack_writer {
    pthread_mutex_t planning, lock;
    pthread_cond_t moved;
    planner planner;
    int codec, level, n_threads, fd, can_seek, is_stopped, is_planned;
    /* Numbers of the pack planned next and of the one to be written. */
    uint64_t planned, turn, offset;
    walb_wdiff_statistics statistics;
};

walb_wdiff_pack_writer *walb_wdiff_pack_writer_new(walb_wdiff_merge *m, int codec, int level, int n_threads, int fd,
                                                   uint64_t offset, int can_seek, walb_failure *f)
{
    walb_wdiff_pack_writer *w = calloc(1, sizeof *w);

    if (!w) {
        walb_fail_memory(f);
        return NULL;
    }
    pthread_mutex_init(&w->planning, NULL);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->moved, NULL);
    w->planner.merge = m;
    w->codec = codec;
    w->level = level;
    w->n_threads = n_threads;
    w->fd = fd;
    w->offset = offset;
    w->can_seek = can_seek;
    return w;
}

void walb_wdiff_pack_writer_free(walb_wdiff_pack_writer *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->planning);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->moved);
    free(w);
}

uint64_t walb_wdiff_pack_writer_offset(const walb_wdiff_pack_writer *w)
{
    return w->offset;
}

void walb_wdiff_pack_writer_statistics(const walb_wdiff_pack_writer *w, walb_wdiff_statistics *statistics)
{
    *statistics = w->statistics;
}

static int stop(walb_wdiff_pack_writer *w, int result)
{
    pthread_mutex_lock(&w->lock);
    w->is_stopped = 1;
    pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
    return result;
}

/* Writes a finished pack when its number comes. */
static int write_in_turn(walb_wdiff_pack_writer *w, const pack_maker *k, uint64_t number, walb_failure *f)
{
    int result;

    pthread_mutex_lock(&w->lock);
    while (w->turn != number && !w->is_stopped)
        pthread_cond_wait(&w->moved, &w->lock);
    result = w->is_stopped ? walb_fail(f, WALB_FAIL_STOPPED, "stopped") : 0;
    pthread_mutex_unlock(&w->lock);
    if (result != 0)
        return result;
    f->source = -1;
    result = w->can_seek ? walb_write_at(w->fd, k->bytes, k->size, w->offset, f)
                         : walb_write_all(w->fd, k->bytes, k->size, f);
    if (result != 0)
        return result;
    pthread_mutex_lock(&w->lock);
    w->offset += k->size;
    w->turn++;
    pthread_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
    return 0;
}

static int plan_next(walb_wdiff_pack_writer *w, pack_plan *plan, uint64_t *number, walb_failure *f)
{
    int result;

    pthread_mutex_lock(&w->planning);
    result = w->is_planned ? 0 : plan_pack(&w->planner, plan, f);
    if (w->is_planned)
        plan->n = 0;
    w->is_planned |= result != 0 || plan->n == 0;
    *number = w->planned++;
    pthread_mutex_unlock(&w->planning);
    return result;
}

int walb_wdiff_write_packs(walb_wdiff_pack_writer *w, walb_failure *f)
{
    pack_maker k;
    uint64_t number;
    int i, result;

    if (maker_open(&k, w->planner.merge, w->codec, w->level, w->n_threads, f) != 0)
        return stop(w, f->code);
    k.decodes_all = w->codec == WALB_CODEC_NONE;
    for (;;) {
        result = plan_next(w, &k.plan, &number, f);
        if (result != 0 || k.plan.n == 0)
            break;
        result = make_pack(&k, f);
        if (result == 0)
            result = write_in_turn(w, &k, number, f);
        if (result != 0)
            break;
    }
    maker_close(&k);
    pthread_mutex_lock(&w->lock);
    for (i = 0; i < 3; i++) {
        w->statistics.n_records[i] += k.statistics.n_records[i];
        w->statistics.blocks_lb[i] += k.statistics.blocks_lb[i];
    }
    w->statistics.data_bytes += k.statistics.data_bytes;
    pthread_mutex_unlock(&w->lock);
    return result == 0 ? 0 : stop(w, result);
}
