/* The super sector. Input: 8 bytes size of the log device, then the block. */
#include <string.h>

#include "fuzz.h"
#include "bytes.h"
#include "checksum.h"
#include "wlog_headers.h"
#include "wlog_parse.h"

enum { MAX_PBS = 4096 };

static void check(const uint8_t *block, uint32_t pbs, uint64_t ldev_bytes)
{
    uint8_t *again;
    walb_log_super s, t;
    walb_failure f;

    if (walb_log_super_parse(block, pbs, ldev_bytes, &s, &f) != 0) {
        MUST(memcmp(f.text, "offset ", 7) == 0);
        return;
    }
    MUST(walb_log_is_pbs(s.pbs) && s.oldest_lsid <= s.written_lsid && s.ring_size_pb > 0);
    MUST(s.ring_size_pb <= ldev_bytes / s.pbs - WALB_LOG_RESERVED_BYTES / s.pbs - 2);
    again = malloc(pbs);
    MUST(again && memchr(s.name, 0, sizeof s.name));
    walb_log_super_build(again, &s);
    MUST(walb_log_super_parse(again, pbs, ldev_bytes, &t, &f) == 0 && memcmp(s.name, t.name, sizeof s.name) == 0);
    MUST(s.salt == t.salt && s.written_lsid == t.written_lsid && s.device_size_lb == t.device_size_lb);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *block;
    uint32_t pbs;

    if (size < 8 + 104)
        return 0;
    pbs = walb_get32(data + 20);
    if (pbs < 104 || pbs > MAX_PBS)
        pbs = 512;
    block = calloc(1, pbs);
    MUST(block);
    memcpy(block, data + 8, size - 8 < pbs ? size - 8 : pbs);
    check(block, pbs, walb_get64(data));
    walb_put32(block + 4, 0);
    walb_put32(block + 4, walb_csum(block, pbs, 0));
    check(block, pbs, walb_get64(data));
    free(block);
    return 0;
}
