#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "checksum.h"
#include "wdiff_pack.h"

/* Data are verified and written in steps of this, so that they are in the processor's cache the second time. */
#define STEP_BYTES ((size_t)256 << 10)

void walb_wdiff_verifier_init(walb_wdiff_verifier *v)
{
    memset(v, 0, sizeof *v);
    v->offset = WALB_WDIFF_FILE_HEADER_BYTES;
}

int walb_wdiff_verifier_is_complete(const walb_wdiff_verifier *v)
{
    return v->have == 0;
}

void walb_wdiff_build_end(uint8_t *block)
{
    walb_wdiff_build_pack(block, 0, 0, 1);
}

/* What a stream must not hold although a file may. */
static int check_header(walb_wdiff_verifier *v, walb_failure *f)
{
    unsigned long long at = v->offset;
    int result = walb_wdiff_parse_pack(v->header, v->offset, &v->last_end_lb, &v->pack, f);

    if (result != 0)
        return result;
    if (v->header[6] != 0 || v->header[7] != 0 || walb_get32(v->header + 12) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: flags or reserved fields of the pack header are set", at);
    if (v->pack.n_records == 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: pack without records", at);
    if (v->pack.total_bytes > WALB_WDIFF_MAX_PACK_DATA_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: total_size %u exceeds %d", at + 8, v->pack.total_bytes,
                         WALB_WDIFF_MAX_PACK_DATA_BYTES);
    return 0;
}

/* Passes over records that are complete; after the last one the next pack is expected. */
static int end_records(walb_wdiff_verifier *v, walb_failure *f)
{
    for (; v->record < v->pack.n_records; v->record++) {
        const walb_wdiff_record *r = &v->pack.records[v->record];
        if (v->record_have < r->stored_bytes)
            return 0;
        if (r->kind == WALB_WDIFF_NORMAL && 0u - v->sum != r->checksum)
            return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: wrong checksum of the data of the record at block %llu",
                             (unsigned long long)(v->offset + WALB_WDIFF_PACK_HEADER_BYTES + r->stored_offset),
                             (unsigned long long)r->address_lb);
        v->record_have = 0;
        v->sum = 0;
    }
    v->offset += WALB_WDIFF_PACK_HEADER_BYTES + v->pack.total_bytes;
    v->have = 0;
    return 0;
}

int walb_wdiff_verify(walb_wdiff_verifier *v, const uint8_t *data, size_t len, walb_failure *f)
{
    int result = 0;

    while (len > 0 && result == 0) {
        size_t n;
        if (v->have < WALB_WDIFF_PACK_HEADER_BYTES) {
            n = WALB_WDIFF_PACK_HEADER_BYTES - v->have < len ? WALB_WDIFF_PACK_HEADER_BYTES - v->have : len;
            memcpy(v->header + v->have, data, n);
            v->have += (uint32_t)n;
            if (v->have == WALB_WDIFF_PACK_HEADER_BYTES) {
                v->record = v->record_have = v->sum = 0;
                result = check_header(v, f);
                if (result == 0)
                    result = end_records(v, f);
            }
        } else {
            uint32_t left = v->pack.records[v->record].stored_bytes - v->record_have;
            n = left < len ? left : len;
            v->sum = walb_csum_piece(data, n, v->record_have, v->sum);
            v->record_have += (uint32_t)n;
            result = end_records(v, f);
        }
        data += n;
        len -= n;
    }
    return result;
}

static int append(int fd, const uint8_t *data, size_t len, walb_failure *f)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return walb_fail_system(f, "cannot write");
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int walb_wdiff_receive(walb_wdiff_verifier *v, int fd, const uint8_t *data, size_t len, walb_failure *f)
{
    int result = 0;

    while (len > 0 && result == 0) {
        size_t n = len < STEP_BYTES ? len : STEP_BYTES;
        result = walb_wdiff_verify(v, data, n, f);
        if (result == 0)
            result = append(fd, data, n, f);
        data += n;
        len -= n;
    }
    return result;
}
