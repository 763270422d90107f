#include "wdiff_from_log.h"

#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "file_io.h"
#include "wdiff_codec.h"
#include "wdiff_index.h"
#include "wlog_parse.h"

#define SLICE_BYTES ((size_t)WALB_WDIFF_MAX_IO_LB * WALB_LB_BYTES)

/* An IO longer than a slice is cut at aligned addresses, where index records end anyway; memory is one slice. */
struct walb_wdiff_from_log {
    walb_log_stream stream;
    walb_output out;
    walb_wdiff_index index;
    uint32_t n_ios;
    /* The slice that is coming in: its place, and what of it came with earlier calls. */
    uint64_t slice_lb;
    size_t slice_bytes, have;
    uint8_t *gathered, *compressed;
};

walb_wdiff_from_log *walb_wdiff_from_log_new(int fd, const uint8_t *uuid, uint32_t pbs, uint32_t salt, uint64_t begin_lsid,
                                             walb_failure *f)
{
    uint8_t header[WALB_WDIFF_FILE_HEADER_BYTES];
    walb_wdiff_from_log *w = calloc(1, sizeof *w);

    if (!w) {
        walb_fail_memory(f);
        return NULL;
    }
    walb_log_stream_init(&w->stream, pbs, salt, begin_lsid);
    w->gathered = malloc(SLICE_BYTES);
    w->compressed = malloc(SLICE_BYTES);
    walb_wdiff_build_header(header, WALB_WDIFF_INDEXED, uuid);
    if (walb_output_open(&w->out, fd, f) != 0 || !w->gathered || !w->compressed) {
        walb_fail_memory(f);
        walb_wdiff_from_log_free(w);
        return NULL;
    }
    /* Fits the output's buffer: nothing can fail here. */
    walb_output_put(&w->out, header, sizeof header, f);
    return w;
}

void walb_wdiff_from_log_free(walb_wdiff_from_log *w)
{
    if (!w)
        return;
    walb_output_close(&w->out);
    walb_wdiff_index_free(&w->index);
    free(w->gathered);
    free(w->compressed);
    free(w);
}

/* Where the slice that holds byte `offset` of a record begins, and its length. */
static void find_slice(walb_wdiff_from_log *w, const walb_log_record *r, uint64_t offset)
{
    uint64_t begin = r->offset_lb + offset / WALB_LB_BYTES, end = r->offset_lb + r->size_lb, next;

    next = r->size_lb <= WALB_WDIFF_MAX_IO_LB ? end : (begin / WALB_WDIFF_MAX_IO_LB + 1) * WALB_WDIFF_MAX_IO_LB;
    w->slice_lb = begin;
    w->slice_bytes = (size_t)((next < end ? next : end) - begin) * WALB_LB_BYTES;
}

/* Stores a whole slice. The checksum of data stored as they are is that of the log with another salt. */
static int put_slice(walb_wdiff_from_log *w, const walb_log_record *log, const uint8_t *data, walb_failure *f)
{
    size_t len = w->slice_bytes, stored;
    uint32_t blocks = (uint32_t)(len / WALB_LB_BYTES);
    walb_wdiff_record r = {.address_lb = w->slice_lb, .blocks_lb = blocks, .stored_offset = w->out.offset};

    if (walb_is_zero(data, len)) {
        r.kind = WALB_WDIFF_ZERO;
        return walb_wdiff_index_add(&w->index, &r, f);
    }
    stored = walb_codec_compress(WALB_CODEC_SNAPPY, 0, data, len, w->compressed);
    if (stored > 0) {
        data = w->compressed;
        r.codec = WALB_CODEC_SNAPPY;
        r.checksum = walb_csum(data, stored, 0);
    } else {
        stored = len;
        r.checksum = blocks == log->size_lb ? log->csum + w->stream.salt : walb_csum(data, len, 0);
    }
    r.image_lb = blocks;
    r.stored_bytes = (uint32_t)stored;
    if (walb_output_put(&w->out, data, stored, f) != 0)
        return f->code;
    return walb_wdiff_index_add(&w->index, &r, f);
}

/* Takes a piece of a record's data: whole slices straight from it, the rest gathered. */
static int take_data(walb_wdiff_from_log *w, const walb_log_event *ev, walb_failure *f)
{
    const walb_log_record *log = &w->stream.pack.records[ev->record];
    const uint8_t *data = ev->data;
    size_t left = ev->len;
    uint64_t offset = ev->data_offset;
    int result = 0;

    while (left > 0 && result == 0) {
        size_t n;
        if (w->have == 0)
            find_slice(w, log, offset);
        n = w->slice_bytes - w->have < left ? w->slice_bytes - w->have : left;
        if (n < w->slice_bytes)
            memcpy(w->gathered + w->have, data, n);
        w->have += n;
        if (w->have == w->slice_bytes) {
            w->have = 0;
            result = put_slice(w, log, n < w->slice_bytes ? w->gathered : data, f);
        }
        data += n;
        offset += n;
        left -= n;
    }
    return result;
}

static int take_record(walb_wdiff_from_log *w, const walb_log_record *log, walb_failure *f)
{
    w->n_ios++;
    if (!(log->flags & WALB_LOG_DISCARD) || log->size_lb == 0)
        return 0;
    return walb_wdiff_index_add(&w->index,
                                &(walb_wdiff_record){.address_lb = log->offset_lb,
                                                     .blocks_lb = log->size_lb,
                                                     .kind = WALB_WDIFF_DISCARD,
                                                     .stored_offset = w->out.offset},
                                f);
}

static int check_place(const walb_wdiff_from_log *w, walb_failure *f)
{
    uint32_t i;

    for (i = 0; i < w->stream.pack.n_records; i++) {
        const walb_log_record *r = &w->stream.pack.records[i];
        if (!(r->flags & WALB_LOG_PADDING) && r->offset_lb > WALB_WDIFF_MAX_END_LB - r->size_lb)
            return walb_fail(f, WALB_FAIL_CORRUPT, "lsid %llu: record %u: offset %llu lies behind the largest volume",
                             (unsigned long long)w->stream.next_lsid, i, (unsigned long long)r->offset_lb);
    }
    return 0;
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
        if (event == WALB_LOG_PACK)
            result = check_place(w, f);
        else if (event == WALB_LOG_DATA)
            result = take_data(w, &ev, f);
        else if (event == WALB_LOG_RECORD)
            result = take_record(w, &w->stream.pack.records[ev.record], f);
    }
    return result;
}

int walb_wdiff_from_log_finish(walb_wdiff_from_log *w, walb_wdiff_converted *result, walb_failure *f)
{
    static const uint8_t zeros[8];
    uint8_t super[WALB_WDIFF_SUPER_BYTES];
    uint64_t index_offset;

    if (!walb_log_at_boundary(&w->stream))
        return walb_fail(f, WALB_FAIL_CORRUPT, "lsid %llu: the log ends inside a pack",
                         (unsigned long long)w->stream.next_lsid);
    /* What goes through the padding is at most 7 bytes, so it stays in the buffer or fails with it. */
    if (walb_output_put(&w->out, zeros, (size_t)(-w->out.offset & 7), f) != 0)
        return f->code;
    index_offset = w->out.offset;
    if (walb_wdiff_index_write(&w->index, &w->out, &result->n_index_records, f) != 0)
        return f->code;
    walb_wdiff_build_super(super, index_offset, result->n_index_records, w->n_ios);
    if (walb_output_put(&w->out, super, sizeof super, f) != 0 || walb_output_flush(&w->out, f) != 0)
        return f->code;
    result->next_lsid = w->stream.next_lsid;
    result->file_bytes = w->out.offset;
    result->n_ios = w->n_ios;
    return 0;
}
