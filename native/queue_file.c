#include "queue_file.h"

#include "bytes.h"
#include "checksum.h"

#define HEADER_BYTES 28
#define AREA_OFFSET (2 * HEADER_BYTES)
#define RECORD_HEADER_BYTES 16

int walb_queue_open(walb_queue_walk *w, const uint8_t *file, size_t len, int copy, walb_failure *f)
{
    size_t offset = copy == 1 ? 0 : HEADER_BYTES;
    const uint8_t *p = file + offset;

    memset(w, 0, sizeof *w);
    if (len < AREA_OFFSET + RECORD_HEADER_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: the file ends within its headers", len);
    if (walb_get32(p) != WALB_QUEUE_PREAMBLE)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: wrong preamble of the header", offset);
    if (walb_csum(p, HEADER_BYTES, 0) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: wrong checksum of the header", offset + 4);
    w->file = file;
    w->len = len;
    w->salt = walb_get32(p + 8);
    w->position = walb_get64(p + 12);
    w->end = walb_get64(p + 20);
    if (w->position > w->end || w->end > len - AREA_OFFSET - RECORD_HEADER_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: begin %llu and end %llu lie outside the file", offset + 12,
                         (unsigned long long)w->position, (unsigned long long)w->end);
    return 0;
}

int walb_queue_next(walb_queue_walk *w, walb_failure *f)
{
    size_t at = AREA_OFFSET + (size_t)w->position;
    const uint8_t *p = w->file + at;
    uint32_t size;

    if (walb_get32(p) != WALB_QUEUE_PREAMBLE)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: wrong preamble of the record", at);
    if (w->has_previous && walb_get32(p + 12) != w->previous_bytes)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: distance %u does not lead to the record before", at + 12,
                         walb_get32(p + 12));
    if (w->position == w->end)
        return 0;
    size = walb_get32(p + 8);
    /* What follows must end with, at the latest, the stub: that lies inside the file. */
    if (size > WALB_QUEUE_MAX_RECORD_BYTES || w->end - w->position < RECORD_HEADER_BYTES + (uint64_t)size)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: record of %u bytes", at + 8, size);
    w->offset = at + RECORD_HEADER_BYTES;
    w->size = size;
    if (walb_csum(w->file + w->offset, size, w->salt) != walb_get32(p + 4))
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %zu: wrong checksum of the record", at + 4);
    w->previous_bytes = RECORD_HEADER_BYTES + size;
    w->has_previous = 1;
    w->position += w->previous_bytes;
    return 1;
}
