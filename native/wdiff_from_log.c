#include "wdiff_from_log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "file_io.h"

/* A part has at least so much log, and ends with a pack. */
#define PART_BYTES ((uint64_t)1 << 20)
#define READ_BYTES ((size_t)256 << 10)

struct walb_wdiff_from_log {
    walb_log_stream stream;
    walb_wdiff_part *part;
    /* Where the log of this lsid lies in the source. */
    uint64_t source_offset, source_lsid;
};

static int is_no_pack(int code)
{
    return code <= WALB_LOG_BAD_TYPE && code >= WALB_LOG_BAD_RECORD;
}

walb_wdiff_from_log *walb_wdiff_from_log_new(walb_wdiff_builder *b, uint64_t number, uint32_t pbs, uint32_t salt,
                                             uint64_t begin_lsid, walb_failure *f)
{
    walb_wdiff_from_log *w = calloc(1, sizeof *w);

    if (!w) {
        walb_fail_memory(f);
        return NULL;
    }
    walb_log_stream_init(&w->stream, pbs, salt, begin_lsid);
    w->part = walb_wdiff_part_new(b, f);
    if (!w->part) {
        free(w);
        return NULL;
    }
    walb_wdiff_part_begin(w->part, number);
    return w;
}

void walb_wdiff_from_log_free(walb_wdiff_from_log *w)
{
    if (!w)
        return;
    walb_wdiff_part_free(w->part);
    free(w);
}

static int check_places(const walb_log_stream *s, walb_failure *f)
{
    uint32_t i;

    for (i = 0; i < s->pack.n_records; i++) {
        const walb_log_record *r = &s->pack.records[i];
        if (!(r->flags & WALB_LOG_PADDING) && r->offset_lb > WALB_WDIFF_MAX_END_LB - r->size_lb)
            return walb_fail(f, WALB_FAIL_CORRUPT, "lsid %llu: record %u: offset %llu lies behind the largest volume",
                             (unsigned long long)s->next_lsid, i, (unsigned long long)r->offset_lb);
    }
    return 0;
}

/* A piece of a record's data. The checksum of data stored as they are is that of the log without its salt. */
static int take_data(walb_wdiff_from_log *w, const walb_log_event *ev, walb_failure *f)
{
    const walb_log_record *r = &w->stream.pack.records[ev->record];

    if (ev->data_offset == 0)
        walb_wdiff_part_io(w->part, &(walb_wdiff_io){
                                        .address_lb = r->offset_lb,
                                        .source_offset = w->source_offset + (r->lsid - w->source_lsid) * w->stream.pbs,
                                        .blocks_lb = r->size_lb,
                                        .csum = r->csum + w->stream.salt,
                                        .has_csum = 1,
                                        .finds_zeros = 1,
                                    });
    return walb_wdiff_part_data(w->part, ev->data, ev->len, f);
}

int walb_wdiff_from_log_feed(walb_wdiff_from_log *w, const uint8_t *data, size_t len, walb_failure *f)
{
    const uint8_t *pos = data, *end = data + len;
    walb_log_event ev;
    int event, result = 0;

    while (result == 0) {
        event = walb_log_next(&w->stream, &pos, end, &ev);
        if (event == WALB_LOG_MORE || (event == WALB_LOG_END && pos == end))
            break;
        if (event < 0)
            return walb_fail(f, WALB_FAIL_CORRUPT, "lsid %llu: %s", (unsigned long long)w->stream.next_lsid,
                             walb_log_error(event));
        if (event == WALB_LOG_END)
            return walb_fail(f, WALB_FAIL_CORRUPT, "lsid %llu: bytes behind the end of the log",
                             (unsigned long long)w->stream.next_lsid);
        if (event == WALB_LOG_PACK) {
            result = check_places(&w->stream, f);
        } else if (event == WALB_LOG_DATA) {
            result = take_data(w, &ev, f);
        } else if (event == WALB_LOG_RECORD) {
            const walb_log_record *r = &w->stream.pack.records[ev.record];
            if (r->flags & WALB_LOG_DISCARD)
                result = walb_wdiff_part_discard(w->part, r->offset_lb, r->size_lb, f);
        } else if (event == WALB_LOG_PACK_END && walb_wdiff_part_is_full(w->part)) {
            result = walb_wdiff_part_flush(w->part, f);
        }
    }
    return result;
}

int walb_wdiff_from_log_end(walb_wdiff_from_log *w, uint64_t *end_lsid, walb_failure *f)
{
    if (!walb_log_at_boundary(&w->stream))
        return walb_fail(f, WALB_FAIL_CORRUPT, "lsid %llu: the log ends inside a pack",
                         (unsigned long long)w->stream.next_lsid);
    *end_lsid = w->stream.next_lsid;
    return walb_wdiff_part_end(w->part, f);
}

struct walb_log_walk {
    pthread_mutex_t lock;
    int fd, is_strict, is_ended, has_end_block;
    uint64_t offset, file_bytes, lsid, next_number;
    uint32_t pbs, salt;
    walb_log_pack pack;
    uint8_t block[4096];
};

typedef struct {
    uint64_t number, offset, end_offset, lsid;
} part_range;

walb_log_walk *walb_log_walk_new(int fd, uint64_t offset, uint64_t file_bytes, uint32_t pbs, uint32_t salt,
                                 uint64_t begin_lsid, int is_strict, uint64_t first_number, walb_failure *f)
{
    walb_log_walk *w = calloc(1, sizeof *w);

    if (!w) {
        walb_fail_memory(f);
        return NULL;
    }
    pthread_mutex_init(&w->lock, NULL);
    w->fd = fd;
    w->offset = offset;
    w->file_bytes = file_bytes;
    w->pbs = pbs;
    w->salt = salt;
    w->lsid = begin_lsid;
    w->is_strict = is_strict;
    w->next_number = first_number;
    return w;
}

void walb_log_walk_free(walb_log_walk *w)
{
    if (!w)
        return;
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void walb_log_walk_get_end(const walb_log_walk *w, walb_log_walk_end *end)
{
    *end = (walb_log_walk_end){w->offset, w->lsid, w->next_number, w->has_end_block};
}

/* Passes over a pack or the end block. Returns 1 after a pack, 0 at the end of the log, or a failure. */
static int walk_pack(walb_log_walk *w, walb_failure *f)
{
    unsigned long long at = w->offset, lsid = w->lsid;
    uint64_t left = w->file_bytes - w->offset;
    int result;

    if (left < w->pbs) {
        if (!w->is_strict)
            return 0;
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: lsid %llu: the file ends without an end block", at, lsid);
    }
    result = walb_read_at(w->fd, w->block, w->pbs, w->offset, f);
    if (result != 0)
        return result;
    result = walb_log_pack_parse(w->block, w->pbs, w->salt, w->lsid, &w->pack);
    if (result == WALB_LOG_END) {
        w->has_end_block = 1;
        w->offset += w->pbs;
        return 0;
    }
    if (result < 0) {
        if (!w->is_strict && is_no_pack(result))
            return 0;
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: lsid %llu: %s", at, lsid, walb_log_error(result));
    }
    if ((left - w->pbs) / w->pbs < w->pack.total_pb)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: lsid %llu: the file ends inside a pack", at, lsid);
    w->offset += (1 + (uint64_t)w->pack.total_pb) * w->pbs;
    w->lsid += 1 + (uint64_t)w->pack.total_pb;
    return 1;
}

/* Cuts off the next part. Returns 1, 0 when none is left, or a failure. */
static int take_part(walb_log_walk *w, part_range *range, walb_failure *f)
{
    int result = 1;

    pthread_mutex_lock(&w->lock);
    *range = (part_range){.number = w->next_number, .offset = w->offset, .end_offset = w->offset, .lsid = w->lsid};
    while (!w->is_ended && range->end_offset - range->offset < PART_BYTES) {
        result = walk_pack(w, f);
        w->is_ended = result <= 0;
        if (result > 0)
            range->end_offset = w->offset;
    }
    if (result >= 0)
        result = range->end_offset > range->offset;
    w->next_number += result > 0;
    pthread_mutex_unlock(&w->lock);
    return result;
}

static int convert(walb_wdiff_from_log *c, const walb_log_walk *w, const part_range *range, uint8_t *buffer, walb_failure *f)
{
    uint64_t offset = range->offset;
    int result = 0;

    walb_log_stream_init(&c->stream, w->pbs, w->salt, range->lsid);
    c->source_offset = range->offset;
    c->source_lsid = range->lsid;
    walb_wdiff_part_begin(c->part, range->number);
    while (result == 0 && offset < range->end_offset) {
        uint64_t left = range->end_offset - offset;
        size_t n = left < READ_BYTES ? (size_t)left : READ_BYTES;
        result = walb_read_at(w->fd, buffer, n, offset, f);
        if (result == 0)
            result = walb_wdiff_from_log_feed(c, buffer, n, f);
        offset += n;
    }
    return result == 0 ? walb_wdiff_part_end(c->part, f) : result;
}

int walb_wdiff_from_log_parts(walb_wdiff_builder *b, walb_log_walk *w, walb_failure *f)
{
    walb_wdiff_from_log *c = walb_wdiff_from_log_new(b, 0, w->pbs, w->salt, 0, f);
    uint8_t *buffer = malloc(READ_BYTES);
    int result = c && buffer ? 0 : walb_fail_memory(f);
    part_range range;

    while (result == 0 && (result = take_part(w, &range, f)) > 0)
        result = convert(c, w, &range, buffer, f);
    if (result < 0)
        walb_wdiff_builder_stop(b);
    free(buffer);
    walb_wdiff_from_log_free(c);
    return result;
}
