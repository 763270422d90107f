/* One header block of a log. Input: 4 bytes block size, 4 salt, 8 lsid, then the block. */
#include <string.h>

#include "fuzz.h"
#include "bytes.h"
#include "checksum.h"
#include "wlog_build.h"
#include "wlog_parse.h"

enum { FIXED_BYTES = 16 };

/* An accepted header keeps the rules, and so does each shorter pack cut from it. */
static void check(uint8_t *block, uint32_t pbs, uint32_t salt, uint64_t lsid)
{
    walb_log_pack pack, cut;
    uint32_t i, k, total = 0;

    if (walb_log_pack_parse(block, pbs, salt, lsid, &pack) != 0)
        return;
    MUST(pack.lsid == lsid && pack.n_records > 0 && pack.n_records <= walb_log_max_records(pbs));
    for (i = 0; i < pack.n_records; i++) {
        const walb_log_record *r = &pack.records[i];
        MUST(r->lsid == lsid + 1 + total);
        if (!(r->flags & WALB_LOG_DISCARD))
            total += walb_log_lb_to_pb(r->size_lb, pbs);
    }
    MUST(total == pack.total_pb && lsid + 1 + total > lsid);
    for (i = pack.n_records; i > 0; i--) {
        walb_log_pack_shrink(block, pbs, salt, i);
        MUST(walb_log_pack_parse(block, pbs, salt, lsid, &cut) == 0 && cut.n_records == i);
        for (k = 0; k < i; k++)
            MUST(cut.records[k].lsid == pack.records[k].lsid && cut.records[k].offset_lb == pack.records[k].offset_lb &&
                 cut.records[k].csum == pack.records[k].csum && cut.records[k].flags == pack.records[k].flags);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t pbs, salt;
    uint64_t lsid;
    uint8_t *block;
    walb_log_pack pack;

    if (size < FIXED_BYTES + WALB_LOG_PACK_HEADER_BYTES)
        return 0;
    pbs = walb_get32(data);
    salt = walb_get32(data + 4);
    lsid = walb_get64(data + 8);
    if (!walb_log_is_pbs(pbs)) {
        MUST(walb_log_pack_parse(data + FIXED_BYTES, pbs, salt, lsid, &pack) == WALB_LOG_BAD_PBS);
        pbs = 512;
    }
    block = calloc(1, pbs);
    MUST(block);
    memcpy(block, data + FIXED_BYTES, size - FIXED_BYTES < pbs ? size - FIXED_BYTES : pbs);
    check(block, pbs, salt, lsid);
    walb_put64(block + 8, lsid);
    walb_put32(block, 0);
    walb_put32(block, walb_csum(block, pbs, salt));
    check(block, pbs, salt, lsid);
    free(block);
    return 0;
}
