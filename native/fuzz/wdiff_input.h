/* An input read as a wdiff file: its checksums can be made right, so that damage reaches what lies behind them. */
#ifndef WALB_FUZZ_WDIFF_INPUT_H
#define WALB_FUZZ_WDIFF_INPUT_H

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "wdiff_format.h"

static inline void sign(uint8_t *field, const uint8_t *block, size_t len)
{
    walb_put32(field, 0);
    walb_put32(field, walb_csum(block, len, 0));
}

/* The checksum of stored bytes, where they lie in the input. */
static inline void sign_data(uint8_t *field, const uint8_t *data, size_t size, uint64_t offset, uint64_t len)
{
    if (offset <= size && len <= size - offset)
        walb_put32(field, walb_csum(data + offset, len, 0));
}

static inline void sign_sorted(uint8_t *data, size_t size)
{
    size_t at = WALB_WDIFF_FILE_HEADER_BYTES, i, n, total;

    while (size - at >= WALB_WDIFF_PACK_HEADER_BYTES) {
        uint8_t *block = data + at;
        at += WALB_WDIFF_PACK_HEADER_BYTES;
        n = walb_get16(block + 4);
        for (i = 0; i < n && i < WALB_WDIFF_MAX_RECORDS; i++) {
            uint8_t *p = block + WALB_WDIFF_PACK_FIXED_BYTES + WALB_WDIFF_RECORD_BYTES * i;
            sign_data(p + 24, data + at, size - at, walb_get32(p + 16), walb_get32(p + 20));
        }
        sign(block, block, WALB_WDIFF_PACK_HEADER_BYTES);
        total = walb_get32(block + 8);
        if (total > size - at)
            break;
        at += total;
    }
}

static inline void sign_indexed(uint8_t *data, size_t size)
{
    uint8_t *super = data + size - WALB_WDIFF_SUPER_BYTES;
    uint64_t at = walb_get64(super);

    sign(super + 20, super, WALB_WDIFF_SUPER_BYTES);
    for (; at < size && size - at >= WALB_WDIFF_INDEX_BYTES + WALB_WDIFF_SUPER_BYTES; at += WALB_WDIFF_INDEX_BYTES) {
        uint8_t *p = data + at;
        sign_data(p + 40, data, size, walb_get64(p + 16), walb_get32(p + 24));
        sign(p + 44, p, WALB_WDIFF_INDEX_BYTES);
    }
}

static inline void sign_wdiff(uint8_t *data, size_t size)
{
    if (size < WALB_WDIFF_FILE_HEADER_BYTES + WALB_WDIFF_SUPER_BYTES)
        return;
    sign(data, data, WALB_WDIFF_FILE_HEADER_BYTES);
    if (data[6] == WALB_WDIFF_INDEXED)
        sign_indexed(data, size);
    else
        sign_sorted(data, size);
}

#endif
