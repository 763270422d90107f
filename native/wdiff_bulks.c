#include "wdiff_bulks.h"

#include <string.h>

#include "checksum.h"
#include "wdiff_codec.h"
#include "wdiff_format.h"

size_t walb_wdiff_bulks_room(size_t n, size_t bulk_bytes)
{
    size_t per_pack = WALB_WDIFF_MAX_PACK_DATA_BYTES / bulk_bytes;

    if (per_pack > WALB_WDIFF_MAX_RECORDS)
        per_pack = WALB_WDIFF_MAX_RECORDS;
    return n * bulk_bytes + (n + per_pack - 1) / per_pack * WALB_WDIFF_PACK_HEADER_BYTES;
}

/* Puts the data of a record at dst and completes the record. */
static void put_bulk(const uint8_t *data, size_t len, int codec, int level, uint8_t *dst, walb_wdiff_record *r)
{
    size_t stored;

    if (walb_is_zero(data, len)) {
        r->kind = WALB_WDIFF_ZERO;
        return;
    }
    stored = codec == WALB_CODEC_NONE ? 0 : walb_codec_compress(codec, level, data, len, dst);
    r->codec = (uint8_t)(stored > 0 ? codec : WALB_CODEC_NONE);
    if (stored == 0) {
        memcpy(dst, data, len);
        stored = len;
    }
    r->stored_bytes = (uint32_t)stored;
    r->checksum = walb_csum(dst, stored, 0);
}

size_t walb_wdiff_pack_bulks(const uint8_t *data, size_t len, uint64_t address_lb, size_t bulk_bytes, const uint32_t *numbers,
                             size_t n, int codec, int level, uint8_t *dst)
{
    size_t done = 0, total = 0;

    while (done < n) {
        uint8_t *pack = dst + total;
        size_t used = 0;
        uint32_t i;
        for (i = 0; i < WALB_WDIFF_MAX_RECORDS && done < n; i++, done++) {
            size_t at = numbers[done] * bulk_bytes, bulk = len - at < bulk_bytes ? len - at : bulk_bytes;
            walb_wdiff_record r = {.kind = WALB_WDIFF_NORMAL,
                                   .address_lb = address_lb + at / WALB_LB_BYTES,
                                   .blocks_lb = (uint32_t)(bulk / WALB_LB_BYTES)};
            if (used + bulk > WALB_WDIFF_MAX_PACK_DATA_BYTES)
                break;
            put_bulk(data + done * bulk_bytes, bulk, codec, level, pack + WALB_WDIFF_PACK_HEADER_BYTES + used, &r);
            walb_wdiff_build_record(pack, i, &r, (uint32_t)used);
            used += r.stored_bytes;
        }
        walb_wdiff_build_pack(pack, i, (uint32_t)used, 0);
        total += WALB_WDIFF_PACK_HEADER_BYTES + used;
    }
    return total;
}
