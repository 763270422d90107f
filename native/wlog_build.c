#include "wlog_build.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "bytes.h"
#include "checksum.h"
#include "wlog_parse.h"

/* lsid_local of a discard behind the data has 16 bits, so the last of the 65535 blocks stays unused (section 10). */
#define MAX_TOTAL_PB 65534u
/* A record is cut here: whole blocks of every size, so that all parts of a write but the last leave no rest. */
#define MAX_RECORD_LB 65528u
#define MAX_IOVECS 1024

static const uint8_t ZEROS[4096];

/* All that changes while building, so that a write that does not fit is undone by assigning the old value. */
typedef struct {
    uint64_t pack_lsid;
    uint32_t n_packs, n_pieces, total_pb, n_records, n_padding;
    int is_open;
} progress;

typedef struct {
    const walb_log_ring *ring;
    uint64_t limit_lsid;
    uint8_t *headers;
    uint32_t max_packs, max_pieces, lb_per_pb;
    walb_log_piece *pieces;
    progress at;
} builder;

static uint64_t next_lsid(const progress *at)
{
    return at->is_open ? at->pack_lsid + 1 + at->total_pb : at->pack_lsid;
}

static uint8_t *open_header(builder *b)
{
    return b->headers + (size_t)(b->at.n_packs - 1) * b->ring->pbs;
}

static uint64_t position_of(const walb_log_ring *ring, uint64_t lsid)
{
    return (ring->ring_offset_pb + lsid % ring->ring_size_pb) * ring->pbs;
}

static int add_piece(builder *b, uint64_t position_bytes, const uint8_t *data, uint64_t len_bytes)
{
    if (b->at.n_pieces == b->max_pieces)
        return 0;
    b->pieces[b->at.n_pieces++] = (walb_log_piece){position_bytes, data, len_bytes};
    return 1;
}

static void put_counts(uint8_t *block, uint32_t total_pb, uint32_t n_records, uint32_t n_padding)
{
    walb_put16(block + 6, (uint16_t)total_pb);
    walb_put16(block + 16, (uint16_t)n_records);
    walb_put16(block + 18, (uint16_t)n_padding);
}

/* Zeroes the unused record slots and signs the header. */
static void seal(uint8_t *block, uint32_t pbs, uint32_t salt, uint32_t n_records)
{
    size_t used = WALB_LOG_PACK_HEADER_BYTES + (size_t)WALB_LOG_RECORD_BYTES * n_records;

    memset(block + used, 0, pbs - used);
    walb_put32(block, 0);
    walb_put32(block, walb_csum(block, pbs, salt));
}

static void close_pack(builder *b)
{
    uint8_t *block;

    if (!b->at.is_open)
        return;
    block = open_header(b);
    memset(block, 0, WALB_LOG_PACK_HEADER_BYTES);
    walb_put16(block + 4, WALB_LOG_SECTOR_TYPE_PACK);
    walb_put64(block + 8, b->at.pack_lsid);
    put_counts(block, b->at.total_pb, b->at.n_records, b->at.n_padding);
    seal(block, b->ring->pbs, b->ring->salt, b->at.n_records);
    b->at.pack_lsid = next_lsid(&b->at);
    b->at.is_open = 0;
}

static int open_pack(builder *b)
{
    close_pack(b);
    if (b->at.n_packs == b->max_packs || b->limit_lsid - b->at.pack_lsid < 1)
        return 0;
    b->at.n_packs++;
    b->at.total_pb = b->at.n_records = b->at.n_padding = 0;
    b->at.is_open = 1;
    return add_piece(b, position_of(b->ring, b->at.pack_lsid), open_header(b), b->ring->pbs);
}

/* Appends a record and moves over its data; returns 0 when the log may not grow that far. */
static int add_record(builder *b, uint32_t flags, uint64_t offset_lb, uint32_t size_lb, uint32_t size_pb, uint32_t csum)
{
    uint8_t *p = open_header(b) + WALB_LOG_PACK_HEADER_BYTES + (size_t)WALB_LOG_RECORD_BYTES * b->at.n_records;

    if (b->limit_lsid - next_lsid(&b->at) < size_pb)
        return 0;
    walb_put32(p, csum);
    walb_put32(p + 4, flags);
    walb_put64(p + 8, offset_lb);
    walb_put32(p + 16, size_lb);
    walb_put16(p + 20, (uint16_t)(1 + b->at.total_pb));
    walb_put16(p + 22, 0);
    walb_put64(p + 24, next_lsid(&b->at));
    b->at.n_records++;
    b->at.total_pb += size_pb;
    return 1;
}

/* Blocks left before the ring ends at the place where the next data would go. */
static uint64_t before_ring_end(const builder *b)
{
    return b->ring->ring_size_pb - next_lsid(&b->at) % b->ring->ring_size_pb;
}

/* True when n records with size_pb blocks of data may go into the open pack. */
static int fits(const builder *b, uint32_t n_records, uint64_t size_pb)
{
    uint64_t total_pb = b->at.total_pb + size_pb;

    if (!b->at.is_open || b->at.n_records + n_records > walb_log_max_records(b->ring->pbs) || total_pb > MAX_TOTAL_PB)
        return 0;
    return size_pb == 0 || b->at.n_records == 0 || b->ring->max_pack_pb == 0 || total_pb <= b->ring->max_pack_pb;
}

/* Makes room for size_pb contiguous blocks of data in a pack, with padding where the ring ends too early. */
static int make_room(builder *b, uint32_t size_pb)
{
    uint64_t rest;

    for (;;) {
        rest = b->at.is_open ? before_ring_end(b) : 0;
        if (rest >= size_pb && fits(b, 1, size_pb))
            return 1;
        if (rest < size_pb && b->at.n_padding == 0 && fits(b, 2, rest + size_pb)) {
            b->at.n_padding = 1;
            return add_record(b, WALB_LOG_EXIST | WALB_LOG_PADDING, 0, (uint32_t)rest * b->lb_per_pb, (uint32_t)rest, 0);
        }
        if (b->at.is_open && b->at.n_records == 0) {
            /* A fresh pack cannot hold padding and data together: it ends with the padding. */
            b->at.n_padding = 1;
            if (!add_record(b, WALB_LOG_EXIST | WALB_LOG_PADDING, 0, (uint32_t)rest * b->lb_per_pb, (uint32_t)rest, 0))
                return 0;
        }
        if (!open_pack(b))
            return 0;
    }
}

static int add_discard(builder *b, walb_log_write *w)
{
    if (!fits(b, 1, 0) && !open_pack(b))
        return 0;
    w->lsid = w->end_lsid = next_lsid(&b->at);
    return add_record(b, WALB_LOG_EXIST | WALB_LOG_DISCARD, w->offset_lb, w->size_lb, 0, 0);
}

/* Adds one record with data, zeroing the rest of its last block so that nothing old leaks into the log. */
static int add_normal(builder *b, uint64_t offset_lb, const uint8_t *data, uint32_t size_lb)
{
    uint32_t size_pb = walb_log_lb_to_pb(size_lb, b->ring->pbs);
    uint64_t position, size = (uint64_t)size_lb * 512, whole = (uint64_t)size_pb * b->ring->pbs;

    if (!make_room(b, size_pb) || b->limit_lsid - next_lsid(&b->at) < size_pb)
        return 0;
    position = position_of(b->ring, next_lsid(&b->at));
    if (!add_piece(b, position, data, size) || (whole > size && !add_piece(b, position + size, ZEROS, whole - size)))
        return 0;
    return add_record(b, WALB_LOG_EXIST, offset_lb, size_lb, size_pb, walb_csum(data, size, b->ring->salt));
}

static int add_write(builder *b, walb_log_write *w)
{
    uint32_t done = 0;

    if (w->starts_pack)
        close_pack(b);
    if (w->is_discard)
        return add_discard(b, w);
    while (done < w->size_lb) {
        uint32_t size_lb = w->size_lb - done < MAX_RECORD_LB ? w->size_lb - done : MAX_RECORD_LB;
        if (!add_normal(b, w->offset_lb + done, w->data + (size_t)done * 512, size_lb))
            return 0;
        w->end_lsid = next_lsid(&b->at);
        if (done == 0)
            w->lsid = w->end_lsid - walb_log_lb_to_pb(size_lb, b->ring->pbs);
        done += size_lb;
    }
    return 1;
}

/* Wherever the log stands, the write fits into an empty ring: data, less padding than data, two headers a record. */
static int is_possible(const walb_log_ring *ring, const walb_log_write *w)
{
    uint64_t records = w->size_lb / MAX_RECORD_LB + 1, size_pb = walb_log_lb_to_pb(w->size_lb, ring->pbs);

    return w->size_lb > 0 && w->offset_lb <= UINT64_MAX - w->size_lb &&
           (w->is_discard || 2 * (size_pb + records) <= ring->ring_size_pb);
}

int walb_log_pack_build(const walb_log_ring *ring, uint64_t lsid, uint64_t limit_lsid, walb_log_write *writes,
                        uint32_t n_writes, uint8_t *headers, uint32_t max_packs, walb_log_piece *pieces,
                        uint32_t max_pieces, walb_log_built *out)
{
    builder b = {ring, limit_lsid, headers, max_packs, max_pieces, ring->pbs / 512, pieces, {.pack_lsid = lsid}};
    int result = 0;
    uint32_t i;

    for (i = 0; lsid <= limit_lsid && i < n_writes; i++) {
        progress before = b.at;
        if (!is_possible(ring, &writes[i])) {
            result = WALB_LOG_BAD_WRITE;
            break;
        }
        if (!add_write(&b, &writes[i])) {
            b.at = before;
            break;
        }
    }
    close_pack(&b);
    *out = (walb_log_built){b.at.pack_lsid, i, b.at.n_packs, b.at.n_pieces};
    return result;
}

/* Writes count vectors from position on; continues after short writes. */
static int write_run(int fd, struct iovec *iov, int count, uint64_t position)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, iov, count, (off_t)position);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        position += (uint64_t)n;
        for (; count > 0 && (size_t)n >= iov->iov_len; iov++, count--)
            n -= (ssize_t)iov->iov_len;
        if (count > 0) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return 0;
}

int walb_log_write_pieces(int fd, const walb_log_piece *pieces, uint32_t n_pieces)
{
    struct iovec iov[MAX_IOVECS];
    uint32_t i = 0;

    while (i < n_pieces) {
        uint64_t start = pieces[i].position_bytes, position = start;
        int count = 0, result;
        for (; i < n_pieces && count < MAX_IOVECS && pieces[i].position_bytes == position; i++) {
            iov[count++] = (struct iovec){(void *)(uintptr_t)pieces[i].data, pieces[i].len_bytes};
            position += pieces[i].len_bytes;
        }
        result = write_run(fd, iov, count, start);
        if (result != 0)
            return result;
    }
    return 0;
}

void walb_log_pack_shrink(uint8_t *block, uint32_t pbs, uint32_t salt, uint32_t n_records)
{
    uint32_t total_pb = 0, n_padding = 0, i;

    for (i = 0; i < n_records; i++) {
        const uint8_t *p = block + WALB_LOG_PACK_HEADER_BYTES + (size_t)WALB_LOG_RECORD_BYTES * i;
        uint32_t flags = walb_get32(p + 4);
        if (!(flags & WALB_LOG_DISCARD))
            total_pb += walb_log_lb_to_pb(walb_get32(p + 16), pbs);
        n_padding += (flags & WALB_LOG_PADDING) != 0;
    }
    put_counts(block, total_pb, n_records, n_padding);
    seal(block, pbs, salt, n_records);
}
