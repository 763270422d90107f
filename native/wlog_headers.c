#include "wlog_headers.h"

#include <string.h>

#include "bytes.h"
#include "checksum.h"
#include "wlog_parse.h"

#define LOG_VERSION 2
#define LB_BYTES 512
#define TYPE_SUPER 1
#define TYPE_FILE 4
/* Blocks between the super sector and the ring: the sector itself, and the unused place of a second one. */
#define SUPER_BLOCKS 2

#define REFUSE(at, ...) return walb_fail(f, WALB_FAIL_CORRUPT, "offset " #at ": " __VA_ARGS__)

static void sign(uint8_t *block, size_t len, uint8_t *field)
{
    walb_put32(field, 0);
    walb_put32(field, walb_csum(block, len, 0));
}

static int check_place(const walb_log_super *s, uint64_t ldev_bytes, walb_failure *f)
{
    uint64_t before_pb = WALB_LOG_RESERVED_BYTES / s->pbs + SUPER_BLOCKS, ldev_pb = ldev_bytes / s->pbs;

    if (s->ring_size_pb == 0)
        REFUSE(4168, "ring without blocks");
    if (ldev_pb < before_pb || s->ring_size_pb > ldev_pb - before_pb)
        REFUSE(4168, "ring of %llu blocks is larger than the log device", (unsigned long long)s->ring_size_pb);
    if (s->oldest_lsid == UINT64_MAX || s->written_lsid == UINT64_MAX || s->oldest_lsid > s->written_lsid)
        REFUSE(4176, "lsids oldest %llu written %llu", (unsigned long long)s->oldest_lsid,
               (unsigned long long)s->written_lsid);
    return 0;
}

int walb_log_super_parse(const uint8_t *block, uint32_t pbs, uint64_t ldev_bytes, walb_log_super *out, walb_failure *f)
{
    size_t i;

    if (!walb_log_is_pbs(pbs))
        REFUSE(4108, "physical block size %u", pbs);
    if (walb_get16(block) != TYPE_SUPER)
        REFUSE(4096, "sector type %u", walb_get16(block));
    if (walb_csum(block, pbs, 0) != 0)
        REFUSE(4100, "wrong checksum");
    if (walb_get16(block + 2) != LOG_VERSION)
        REFUSE(4098, "version %u", walb_get16(block + 2));
    if (walb_get32(block + 8) != LB_BYTES)
        REFUSE(4104, "logical block size %u", walb_get32(block + 8));
    if (walb_get32(block + 12) != pbs)
        REFUSE(4108, "physical block size %u, the device has %u", walb_get32(block + 12), pbs);
    if (walb_get32(block + 16) != 0)
        REFUSE(4112, "metadata size %u", walb_get32(block + 16));
    memcpy(out->name, block + 40, sizeof out->name);
    for (i = 0; i < sizeof out->name && out->name[i] != 0; i++)
        if (out->name[i] & 0x80)
            REFUSE(4136, "name is not ASCII");
    if (i == sizeof out->name)
        REFUSE(4136, "name without end");
    out->pbs = pbs;
    out->salt = walb_get32(block + 20);
    memcpy(out->uuid, block + 24, sizeof out->uuid);
    out->ring_size_pb = walb_get64(block + 72);
    out->oldest_lsid = walb_get64(block + 80);
    out->written_lsid = walb_get64(block + 88);
    out->device_size_lb = walb_get64(block + 96);
    return check_place(out, ldev_bytes, f);
}

void walb_log_super_build(uint8_t *block, const walb_log_super *s)
{
    memset(block, 0, s->pbs);
    walb_put16(block, TYPE_SUPER);
    walb_put16(block + 2, LOG_VERSION);
    walb_put32(block + 8, LB_BYTES);
    walb_put32(block + 12, s->pbs);
    walb_put32(block + 20, s->salt);
    memcpy(block + 24, s->uuid, sizeof s->uuid);
    memcpy(block + 40, s->name, sizeof s->name);
    walb_put64(block + 72, s->ring_size_pb);
    walb_put64(block + 80, s->oldest_lsid);
    walb_put64(block + 88, s->written_lsid);
    walb_put64(block + 96, s->device_size_lb);
    sign(block, s->pbs, block + 4);
}

int walb_log_file_header_parse(const uint8_t *block, walb_log_file_header *out, walb_failure *f)
{
    if (walb_get16(block) != TYPE_FILE)
        REFUSE(0, "sector type %u", walb_get16(block));
    if (walb_csum(block, WALB_LOG_FILE_HEADER_BYTES, 0) != 0)
        REFUSE(8, "wrong checksum");
    if (walb_get16(block + 2) != LOG_VERSION)
        REFUSE(2, "version %u", walb_get16(block + 2));
    if (walb_get16(block + 4) != WALB_LOG_FILE_HEADER_BYTES)
        REFUSE(4, "header size %u", walb_get16(block + 4));
    if (walb_get32(block + 16) != LB_BYTES)
        REFUSE(16, "logical block size %u", walb_get32(block + 16));
    out->salt = walb_get32(block + 12);
    out->pbs = walb_get32(block + 20);
    memcpy(out->uuid, block + 24, sizeof out->uuid);
    out->begin_lsid = walb_get64(block + 40);
    out->end_lsid = walb_get64(block + 48);
    if (!walb_log_is_pbs(out->pbs))
        REFUSE(20, "physical block size %u", out->pbs);
    if (out->begin_lsid >= out->end_lsid)
        REFUSE(40, "lsid range %llu..%llu", (unsigned long long)out->begin_lsid, (unsigned long long)out->end_lsid);
    return 0;
}

void walb_log_file_header_build(uint8_t *block, const walb_log_file_header *h)
{
    memset(block, 0, WALB_LOG_FILE_HEADER_BYTES);
    walb_put16(block, TYPE_FILE);
    walb_put16(block + 2, LOG_VERSION);
    walb_put16(block + 4, WALB_LOG_FILE_HEADER_BYTES);
    walb_put32(block + 12, h->salt);
    walb_put32(block + 16, LB_BYTES);
    walb_put32(block + 20, h->pbs);
    memcpy(block + 24, h->uuid, sizeof h->uuid);
    walb_put64(block + 40, h->begin_lsid);
    walb_put64(block + 48, h->end_lsid);
    sign(block, WALB_LOG_FILE_HEADER_BYTES, block + 8);
}
