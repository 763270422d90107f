/* An input read as a log file (wlog-format.md section 13): its header, the rest as log. */
#ifndef WALB_FUZZ_LOG_INPUT_H
#define WALB_FUZZ_LOG_INPUT_H

#include "bytes.h"
#include "checksum.h"
#include "wlog_headers.h"
#include "wlog_parse.h"

typedef struct {
    uint32_t pbs, salt;
    uint64_t begin_lsid;
    uint8_t *log;
    size_t size;
} log_input;

/* Returns 0 when the input is too short. signs makes the checksum and lsid of each block that looks like a header right,
 * so that damage reaches what lies behind those checks. The log is a copy; free it. */
static inline int take_log_input(log_input *in, const uint8_t *data, size_t size, int signs)
{
    size_t at;

    if (size <= WALB_LOG_FILE_HEADER_BYTES)
        return 0;
    in->salt = walb_get32(data + 12);
    in->pbs = walb_get32(data + 20);
    in->begin_lsid = walb_get64(data + 40);
    in->size = size - WALB_LOG_FILE_HEADER_BYTES;
    in->log = malloc(in->size);
    MUST(in->log);
    memcpy(in->log, data + WALB_LOG_FILE_HEADER_BYTES, in->size);
    for (at = 0; signs && walb_log_is_pbs(in->pbs) && at + in->pbs <= in->size; at += in->pbs) {
        uint8_t *block = in->log + at;
        if (walb_get16(block + 4) != WALB_LOG_SECTOR_TYPE_PACK || walb_get16(block + 16) == 0)
            continue;
        walb_put64(block + 8, in->begin_lsid + at / in->pbs);
        walb_put32(block, 0);
        walb_put32(block, walb_csum(block, in->pbs, in->salt));
    }
    return 1;
}

#endif
