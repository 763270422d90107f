#include "wlog_parse.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"

const char *walb_log_error(int code)
{
    switch (code) {
    case WALB_LOG_BAD_TYPE:
        return "no log pack header";
    case WALB_LOG_BAD_CHECKSUM:
        return "wrong checksum of the log pack header";
    case WALB_LOG_BAD_LSID:
        return "log pack header of another lsid";
    case WALB_LOG_BAD_EMPTY:
        return "log pack without records";
    case WALB_LOG_BAD_COUNT:
        return "impossible number of records in the log pack header";
    case WALB_LOG_BAD_RANGE:
        return "log pack ends behind the largest lsid";
    case WALB_LOG_BAD_RECORD:
        return "invalid record in the log pack header";
    case WALB_LOG_BAD_LAYOUT:
        return "records of the log pack contradict its size";
    case WALB_LOG_BAD_OFFSET:
        return "record of the log pack lies behind the largest address";
    case WALB_LOG_BAD_DATA:
        return "wrong checksum of the data of a record";
    case WALB_LOG_BAD_PBS:
        return "physical block size is not 512, 1024, 2048 or 4096";
    default:
        return "unknown error";
    }
}

static void parse_record(const uint8_t *p, walb_log_record *r)
{
    r->csum = walb_get32(p);
    r->flags = (uint16_t)(walb_get32(p + 4) & (WALB_LOG_EXIST | WALB_LOG_PADDING | WALB_LOG_DISCARD));
    r->offset_lb = walb_get64(p + 8);
    r->size_lb = walb_get32(p + 16);
    r->lsid_local = walb_get16(p + 20);
    r->lsid = walb_get64(p + 24);
}

/* Rule 5 of section 8. */
static int is_valid_record(const walb_log_record *r, uint64_t pack_lsid)
{
    if (!(r->flags & WALB_LOG_EXIST))
        return 0;
    if (r->size_lb == 0 && !(r->flags & WALB_LOG_PADDING))
        return 0;
    if (r->size_lb > WALB_LOG_MAX_NORMAL_LB && !(r->flags & WALB_LOG_DISCARD))
        return 0;
    return r->lsid_local > 0 && r->lsid != UINT64_MAX && r->lsid - r->lsid_local == pack_lsid;
}

int walb_log_pack_parse(const uint8_t *block, uint32_t pbs, uint32_t salt, uint64_t expected_lsid, walb_log_pack *out)
{
    uint64_t local = 1;
    uint32_t n_padding = 0, i;
    int is_consistent = 1, is_in_range = 1;

    if (!walb_log_is_pbs(pbs))
        return WALB_LOG_BAD_PBS;
    if (walb_get16(block + 4) != WALB_LOG_SECTOR_TYPE_PACK)
        return WALB_LOG_BAD_TYPE;
    out->total_pb = walb_get16(block + 6);
    out->lsid = walb_get64(block + 8);
    out->n_records = walb_get16(block + 16);
    out->n_padding = walb_get16(block + 18);
    if (out->n_records == 0)
        return out->lsid == UINT64_MAX && out->total_pb == 0 && out->n_padding == 0 ? WALB_LOG_END : WALB_LOG_BAD_EMPTY;
    if (walb_csum(block, pbs, salt) != 0)
        return WALB_LOG_BAD_CHECKSUM;
    if (out->lsid != expected_lsid)
        return WALB_LOG_BAD_LSID;
    if (out->n_records > walb_log_max_records(pbs) || out->n_padding > 1 || out->n_padding > out->n_records)
        return WALB_LOG_BAD_COUNT;
    if (out->lsid > UINT64_MAX - 1 - out->total_pb)
        return WALB_LOG_BAD_RANGE;
    for (i = 0; i < out->n_records; i++) {
        walb_log_record *r = &out->records[i];
        parse_record(block + WALB_LOG_PACK_HEADER_BYTES + WALB_LOG_RECORD_BYTES * i, r);
        if (!is_valid_record(r, out->lsid))
            return WALB_LOG_BAD_RECORD;
        is_consistent &= r->lsid_local == local;
        n_padding += (r->flags & WALB_LOG_PADDING) != 0;
        is_in_range &= (r->flags & WALB_LOG_PADDING) || r->offset_lb <= UINT64_MAX - r->size_lb;
        if (!(r->flags & WALB_LOG_DISCARD))
            local += walb_log_lb_to_pb(r->size_lb, pbs);
    }
    /* The count of the header may be wrong (readers in use never compared it), but one is the limit. */
    if (!is_consistent || n_padding > 1 || local != 1 + (uint64_t)out->total_pb)
        return WALB_LOG_BAD_LAYOUT;
    return is_in_range ? 0 : WALB_LOG_BAD_OFFSET;
}

/* States of a stream below 0 are final errors, above STATE_HEADER none is. */
enum { STATE_HEADER, STATE_RECORD, STATE_DATA, STATE_SKIP, STATE_PACK_END, STATE_END };

void walb_log_stream_init(walb_log_stream *s, uint32_t pbs, uint32_t salt, uint64_t begin_lsid)
{
    memset(s, 0, sizeof *s);
    s->pbs = pbs;
    s->salt = salt;
    s->next_lsid = begin_lsid;
    s->state = walb_log_is_pbs(pbs) ? STATE_HEADER : WALB_LOG_BAD_PBS;
}

int walb_log_at_boundary(const walb_log_stream *s)
{
    return (s->state == STATE_HEADER && s->have == 0) || s->state == STATE_END;
}

/* Collects a header block; returns MORE, PACK, END or an error. */
static int take_header(walb_log_stream *s, const uint8_t **pos, const uint8_t *end)
{
    size_t left = (size_t)(end - *pos), want = s->pbs - s->have, n = left < want ? left : want;
    int result;

    if (n > 0)
        memcpy(s->block + s->have, *pos, n);
    *pos += n;
    s->have += n;
    if (s->have < s->pbs)
        return WALB_LOG_MORE;
    s->have = 0;
    result = walb_log_pack_parse(s->block, s->pbs, s->salt, s->next_lsid, &s->pack);
    if (result == 0) {
        s->record = 0;
        s->state = STATE_RECORD;
        return WALB_LOG_PACK;
    }
    s->state = result == WALB_LOG_END ? STATE_END : result;
    return result;
}

/* Begins the next record; returns RECORD for a discard, MORE to go on. */
static int begin_record(walb_log_stream *s, walb_log_event *ev)
{
    const walb_log_record *r = &s->pack.records[s->record];

    if (s->record == s->pack.n_records) {
        s->state = STATE_PACK_END;
        return WALB_LOG_MORE;
    }
    if (r->flags & WALB_LOG_DISCARD) {
        ev->record = s->record++;
        return r->flags & WALB_LOG_PADDING ? WALB_LOG_MORE : WALB_LOG_RECORD;
    }
    if (r->flags & WALB_LOG_PADDING) {
        s->record++;
        s->skip = (uint64_t)walb_log_lb_to_pb(r->size_lb, s->pbs) * s->pbs;
        s->state = STATE_SKIP;
    } else {
        s->sum = s->salt;
        s->state = STATE_DATA;
    }
    return WALB_LOG_MORE;
}

/* Hands out a piece of the current record's data, or its completion. */
static int take_data(walb_log_stream *s, const uint8_t **pos, const uint8_t *end, walb_log_event *ev)
{
    const walb_log_record *r = &s->pack.records[s->record];
    uint64_t size = (uint64_t)r->size_lb * 512, want = size - s->have;
    size_t left = (size_t)(end - *pos), n = left < want ? left : (size_t)want;

    ev->record = s->record;
    if (want == 0) {
        s->have = 0;
        if (0u - s->sum != r->csum)
            return s->state = WALB_LOG_BAD_DATA;
        s->record++;
        s->skip = (uint64_t)walb_log_lb_to_pb(r->size_lb, s->pbs) * s->pbs - size;
        s->state = STATE_SKIP;
        return WALB_LOG_RECORD;
    }
    if (n == 0)
        return WALB_LOG_MORE;
    s->sum = walb_csum_piece(*pos, n, s->have, s->sum);
    ev->data = *pos;
    ev->len = n;
    ev->data_offset = s->have;
    s->have += n;
    *pos += n;
    return WALB_LOG_DATA;
}

int walb_log_next(walb_log_stream *s, const uint8_t **pos, const uint8_t *end, walb_log_event *ev)
{
    int result;
    size_t n;

    for (;;) {
        switch (s->state) {
        case STATE_HEADER:
            return take_header(s, pos, end);
        case STATE_RECORD:
            result = begin_record(s, ev);
            if (result != WALB_LOG_MORE)
                return result;
            break;
        case STATE_DATA:
            return take_data(s, pos, end, ev);
        case STATE_SKIP:
            n = (size_t)(end - *pos) < s->skip ? (size_t)(end - *pos) : (size_t)s->skip;
            *pos += n;
            s->skip -= n;
            if (s->skip > 0)
                return WALB_LOG_MORE;
            s->state = STATE_RECORD;
            break;
        case STATE_PACK_END:
            s->next_lsid += 1 + (uint64_t)s->pack.total_pb;
            s->state = STATE_HEADER;
            return WALB_LOG_PACK_END;
        case STATE_END:
            return WALB_LOG_END;
        default:
            return s->state;
        }
    }
}

int walb_log_verify(walb_log_stream *s, const uint8_t *data, size_t len, uint64_t limit_lsid, size_t *used)
{
    const uint8_t *pos = data, *end = data + len;
    walb_log_event ev;
    int result;

    *used = 0;
    for (;;) {
        result = walb_log_next(s, &pos, end, &ev);
        if (result == WALB_LOG_PACK && s->next_lsid + 1 + s->pack.total_pb > limit_lsid) {
            s->state = STATE_HEADER;
            return WALB_LOG_MORE;
        }
        if (result < 0)
            return result;
        *used = (size_t)(pos - data);
        if (result == WALB_LOG_MORE || result == WALB_LOG_END)
            return result;
    }
}
