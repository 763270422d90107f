/* Queue files: the walk over the records, by either header. */
#include <string.h>

#include "fuzz.h"
#include "bytes.h"
#include "checksum.h"
#include "queue_file.h"

enum { HEADER_BYTES = 28, AREA_OFFSET = 56, RECORD_BYTES = 16 };

static void check(const uint8_t *file, size_t size)
{
    int copy, result;

    for (copy = 1; copy <= 2; copy++) {
        walb_queue_walk w;
        walb_failure f;
        size_t end = AREA_OFFSET;

        if (walb_queue_open(&w, file, size, copy, &f) != 0)
            continue;
        while ((result = walb_queue_next(&w, &f)) > 0) {
            MUST(w.offset >= end + RECORD_BYTES && w.offset <= size && w.size <= size - w.offset - RECORD_BYTES);
            MUST(w.size <= WALB_QUEUE_MAX_RECORD_BYTES);
            end = w.offset + w.size;
        }
        MUST(result == 0 || memcmp(f.text, "offset ", 7) == 0);
    }
}

/* Makes preambles and checksums right, of the headers and of the records that follow each other. */
static void sign(uint8_t *file, size_t size)
{
    int copy;

    for (copy = 0; copy < 2; copy++) {
        uint8_t *p = file + copy * HEADER_BYTES;
        uint64_t at = walb_get64(p + 12);
        walb_put32(p, WALB_QUEUE_PREAMBLE);
        walb_put32(p + 4, 0);
        walb_put32(p + 4, walb_csum(p, HEADER_BYTES, 0));
        while (at <= size - AREA_OFFSET && size - AREA_OFFSET - at >= RECORD_BYTES) {
            uint8_t *r = file + AREA_OFFSET + at;
            size_t left = size - AREA_OFFSET - RECORD_BYTES - (size_t)at, len = walb_get32(r + 8);
            walb_put32(r, WALB_QUEUE_PREAMBLE);
            if (len > left)
                break;
            walb_put32(r + 4, walb_csum(r + RECORD_BYTES, len, walb_get32(p + 8)));
            at += RECORD_BYTES + len;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    MUST(copy);
    memcpy(copy, data, size);
    check(copy, size);
    if (size >= AREA_OFFSET + RECORD_BYTES) {
        sign(copy, size);
        check(copy, size);
    }
    free(copy);
    return 0;
}
