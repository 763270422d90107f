#include "wdiff_format.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"

#define VERSION 2
#define END_FLAG 1
#define KIND_MASK (WALB_WDIFF_ZERO | WALB_WDIFF_DISCARD)

static void put_checksum(uint8_t *field, const uint8_t *block, size_t len)
{
    walb_put32(field, 0);
    walb_put32(field, walb_csum(block, len, 0));
}

int walb_wdiff_parse_header(const uint8_t *block, int *kind, uint8_t *uuid, walb_failure *f)
{
    if (walb_csum(block, WALB_WDIFF_FILE_HEADER_BYTES, 0) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset 0: wrong checksum of the file header");
    if (walb_get16(block + 4) != VERSION)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset 4: version %u is not %d", walb_get16(block + 4), VERSION);
    if (block[6] != WALB_WDIFF_SORTED && block[6] != WALB_WDIFF_INDEXED)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset 6: type %u is unknown", block[6]);
    *kind = block[6];
    memcpy(uuid, block + 16, 16);
    return 0;
}

void walb_wdiff_build_header(uint8_t *block, int kind, const uint8_t *uuid)
{
    memset(block, 0, WALB_WDIFF_FILE_HEADER_BYTES);
    walb_put16(block + 4, VERSION);
    block[6] = (uint8_t)kind;
    memcpy(block + 16, uuid, 16);
    put_checksum(block, block, WALB_WDIFF_FILE_HEADER_BYTES);
}

/* What both formats demand of a record; its other fields are filled in before. offset is that of the record. */
static int check_record(walb_wdiff_record *r, uint64_t offset, uint64_t *last_end_lb, walb_failure *f)
{
    unsigned long long at = offset;

    if (r->kind == KIND_MASK)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: flags: zero and discard together", at);
    if (r->blocks_lb == 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: io_blocks is 0", at);
    if (r->address_lb > WALB_WDIFF_MAX_END_LB - r->blocks_lb)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: io_address %llu lies behind the largest volume", at,
                         (unsigned long long)r->address_lb);
    if (r->address_lb < *last_end_lb)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: io_address %llu is below the end of the record before, %llu",
                         at, (unsigned long long)r->address_lb, (unsigned long long)*last_end_lb);
    *last_end_lb = r->address_lb + r->blocks_lb;
    if (r->kind != WALB_WDIFF_NORMAL) {
        if (r->stored_bytes != 0)
            return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: data_size %u of a record without data", at,
                             r->stored_bytes);
        r->codec = 0;
        r->checksum = r->image_lb = r->image_skip_lb = 0;
        r->stored_offset = 0;
        return 0;
    }
    if (r->codec >= WALB_WDIFF_N_CODECS)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: compression_type %u is unknown", at, r->codec);
    if (r->image_lb > WALB_WDIFF_MAX_IMAGE_LB || r->stored_bytes > WALB_WDIFF_MAX_STORED_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: data of %u blocks in %u bytes exceed the limit of %d blocks",
                         at, r->image_lb, r->stored_bytes, WALB_WDIFF_MAX_IMAGE_LB);
    if ((uint64_t)r->image_skip_lb + r->blocks_lb > r->image_lb)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: io_offset %u and io_blocks %u exceed orig_blocks %u", at,
                         r->image_skip_lb, r->blocks_lb, r->image_lb);
    if (r->codec == 0 && r->stored_bytes != r->image_lb * WALB_LB_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: data_size %u of %u uncompressed blocks", at, r->stored_bytes,
                         r->image_lb);
    return 0;
}

static int parse_record(const uint8_t *p, uint64_t offset, uint64_t *last_end_lb, walb_wdiff_record *r, walb_failure *f)
{
    r->address_lb = walb_get64(p);
    r->blocks_lb = r->image_lb = walb_get32(p + 8);
    r->kind = p[12] & KIND_MASK;
    r->codec = p[13];
    r->stored_offset = walb_get32(p + 16);
    r->stored_bytes = walb_get32(p + 20);
    r->checksum = walb_get32(p + 24);
    r->image_skip_lb = 0;
    return check_record(r, offset, last_end_lb, f);
}

int walb_wdiff_parse_pack(const uint8_t *block, uint64_t offset, uint64_t *last_end_lb, walb_wdiff_pack *pack,
                          walb_failure *f)
{
    unsigned long long at = offset;
    uint64_t sum = 0;
    uint32_t i;
    int result;

    if (walb_csum(block, WALB_WDIFF_PACK_HEADER_BYTES, 0) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: wrong checksum of the pack header", at);
    pack->n_records = walb_get16(block + 4);
    pack->is_end = block[6] & END_FLAG;
    pack->total_bytes = walb_get32(block + 8);
    if (pack->is_end)
        return 0;
    if (pack->n_records > WALB_WDIFF_MAX_RECORDS)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: n_records %u exceeds %d", at + 4, pack->n_records,
                         WALB_WDIFF_MAX_RECORDS);
    for (i = 0; i < pack->n_records; i++) {
        const uint8_t *p = block + WALB_WDIFF_PACK_FIXED_BYTES + WALB_WDIFF_RECORD_BYTES * i;
        uint64_t here = offset + (uint64_t)(p - block);
        if (walb_get32(p + 16) != sum)
            return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: data_offset %u is not the sum of the sizes before, %llu",
                             (unsigned long long)here, walb_get32(p + 16), (unsigned long long)sum);
        sum += walb_get32(p + 20);
        result = parse_record(p, here, last_end_lb, &pack->records[i], f);
        if (result != 0)
            return result;
    }
    if (sum != pack->total_bytes)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: total_size %u is not the sum of the sizes, %llu", at + 8,
                         pack->total_bytes, (unsigned long long)sum);
    return 0;
}

void walb_wdiff_build_record(uint8_t *block, uint32_t i, const walb_wdiff_record *r, uint32_t data_offset)
{
    uint8_t *p = block + WALB_WDIFF_PACK_FIXED_BYTES + WALB_WDIFF_RECORD_BYTES * i;

    walb_put64(p, r->address_lb);
    walb_put32(p + 8, r->blocks_lb);
    p[12] = r->kind;
    p[13] = r->codec;
    walb_put16(p + 14, 0);
    walb_put32(p + 16, data_offset);
    walb_put32(p + 20, r->stored_bytes);
    walb_put32(p + 24, r->checksum);
    walb_put32(p + 28, 0);
}

void walb_wdiff_build_pack(uint8_t *block, uint32_t n_records, uint32_t total_bytes, int is_end)
{
    size_t used = WALB_WDIFF_PACK_FIXED_BYTES + (size_t)WALB_WDIFF_RECORD_BYTES * n_records;

    memset(block, 0, WALB_WDIFF_PACK_FIXED_BYTES);
    memset(block + used, 0, WALB_WDIFF_PACK_HEADER_BYTES - used);
    walb_put16(block + 4, (uint16_t)n_records);
    block[6] = is_end ? END_FLAG : 0;
    walb_put32(block + 8, total_bytes);
    put_checksum(block, block, WALB_WDIFF_PACK_HEADER_BYTES);
}

int walb_wdiff_parse_index(const uint8_t *p, uint64_t offset, uint64_t index_offset, uint64_t *last_end_lb,
                           walb_wdiff_record *r, walb_failure *f)
{
    int result;

    if (walb_csum(p, WALB_WDIFF_INDEX_BYTES, 0) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: wrong checksum of the index record",
                         (unsigned long long)offset);
    r->address_lb = walb_get64(p);
    r->blocks_lb = walb_get32(p + 8);
    r->kind = p[12] & KIND_MASK;
    r->codec = p[13];
    r->stored_offset = walb_get64(p + 16);
    r->stored_bytes = walb_get32(p + 24);
    r->image_skip_lb = walb_get32(p + 28);
    r->image_lb = walb_get32(p + 32);
    r->checksum = walb_get32(p + 40);
    result = check_record(r, offset, last_end_lb, f);
    if (result != 0)
        return result;
    if (r->kind == WALB_WDIFF_NORMAL &&
        (r->stored_offset < WALB_WDIFF_FILE_HEADER_BYTES || r->stored_offset > index_offset ||
         r->stored_bytes > index_offset - r->stored_offset))
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: data_offset %llu and data_size %u leave the data area",
                         (unsigned long long)offset, (unsigned long long)r->stored_offset, r->stored_bytes);
    return 0;
}

void walb_wdiff_build_index(uint8_t *p, const walb_wdiff_record *r)
{
    memset(p, 0, WALB_WDIFF_INDEX_BYTES);
    walb_put64(p, r->address_lb);
    walb_put32(p + 8, r->blocks_lb);
    p[12] = r->kind;
    p[13] = r->codec;
    walb_put64(p + 16, r->stored_offset);
    walb_put32(p + 24, r->stored_bytes);
    walb_put32(p + 28, r->image_skip_lb);
    walb_put32(p + 32, r->image_lb);
    walb_put32(p + 40, r->checksum);
    put_checksum(p + 44, p, WALB_WDIFF_INDEX_BYTES);
}

int walb_wdiff_parse_super(const uint8_t *p, uint64_t file_bytes, uint64_t *index_offset, uint32_t *n_records,
                           walb_failure *f)
{
    unsigned long long at = file_bytes - WALB_WDIFF_SUPER_BYTES;

    if (walb_csum(p, WALB_WDIFF_SUPER_BYTES, 0) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: wrong checksum of the index super block", at);
    *index_offset = walb_get64(p);
    *n_records = walb_get32(p + 8);
    if (*index_offset < WALB_WDIFF_FILE_HEADER_BYTES || *index_offset > at ||
        at - *index_offset != (uint64_t)WALB_WDIFF_INDEX_BYTES * *n_records)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: index_offset %llu and n_records %u do not fit the file", at,
                         (unsigned long long)*index_offset, *n_records);
    return 0;
}

void walb_wdiff_build_super(uint8_t *p, uint64_t index_offset, uint32_t n_records, uint32_t n_data)
{
    memset(p, 0, WALB_WDIFF_SUPER_BYTES);
    walb_put64(p, index_offset);
    walb_put32(p + 8, n_records);
    walb_put32(p + 12, n_data);
    put_checksum(p + 20, p, WALB_WDIFF_SUPER_BYTES);
}
