#define _GNU_SOURCE
#include "nbd_reads.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/* Layouts and numbers of the NBD protocol, all big-endian (doc/proto.md of NetworkBlockDevice). */
enum {
    REQUEST_BYTES = 28,
    SIMPLE_REPLY_BYTES = 16,
    DATA_CHUNK_BYTES = 28,
    REQUEST_MAGIC = 0x25609513,
    SIMPLE_REPLY_MAGIC = 0x67446698,
    CHUNK_MAGIC = 0x668e33ef,
    CHUNK_IS_LAST = 1,
    CHUNK_OFFSET_DATA = 1,
    COMMAND_READ = 0,
    FLAGS_OF_READ = 1 << 0 | 1 << 2, /* FUA and DF say nothing here: one chunk is never a fragment */
    LB_BYTES = 512,
};

typedef struct {
    uint64_t cookie, offset_bytes; /* the cookie as it came */
    uint32_t size_bytes;
} read_request;

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return be16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

static void put16(uint8_t *p, uint16_t v)
{
    v = htobe16(v);
    memcpy(p, &v, sizeof v);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htobe32(v);
    memcpy(p, &v, sizeof v);
}

/* Returns 1 when the request at p is a read that may be answered here. */
static int parse(const uint8_t *p, const walb_nbd_source *source, read_request *r)
{
    if (get32(p) != REQUEST_MAGIC || get16(p + 4) & ~FLAGS_OF_READ || get16(p + 6) != COMMAND_READ)
        return 0;
    memcpy(&r->cookie, p + 8, sizeof r->cookie);
    r->offset_bytes = get64(p + 16);
    r->size_bytes = get32(p + 24);
    return r->size_bytes > 0 && r->size_bytes <= source->max_read_bytes && r->size_bytes % LB_BYTES == 0 &&
           r->offset_bytes % LB_BYTES == 0 && r->size_bytes <= source->device_bytes &&
           r->offset_bytes <= source->device_bytes - r->size_bytes;
}

static void put_head(uint8_t *p, const read_request *r, int is_structured)
{
    if (!is_structured) {
        put32(p, SIMPLE_REPLY_MAGIC);
        put32(p + 4, 0);
        memcpy(p + 8, &r->cookie, sizeof r->cookie);
        return;
    }
    put32(p, CHUNK_MAGIC);
    put16(p + 4, CHUNK_IS_LAST);
    put16(p + 6, CHUNK_OFFSET_DATA);
    memcpy(p + 8, &r->cookie, sizeof r->cookie);
    put32(p + 16, (uint32_t)sizeof r->offset_bytes + r->size_bytes);
    put32(p + 20, (uint32_t)(r->offset_bytes >> 32));
    put32(p + 24, (uint32_t)r->offset_bytes);
}

void walb_nbd_answer_reads(const walb_nbd_source *source, const uint8_t *requests, size_t request_bytes,
                           uint8_t *answers, size_t answer_bytes, walb_nbd_answered *out)
{
    const size_t head_bytes = source->is_structured ? DATA_CHUNK_BYTES : SIMPLE_REPLY_BYTES;
    read_request r;

    *out = (walb_nbd_answered){0};
    while (request_bytes - out->request_bytes >= REQUEST_BYTES && parse(requests + out->request_bytes, source, &r)) {
        uint8_t *answer = answers + out->answer_bytes;
        struct iovec data = {answer + head_bytes, r.size_bytes};
        ssize_t n;

        if (answer_bytes - out->answer_bytes < head_bytes + r.size_bytes)
            return;
        n = preadv2(source->data_fd, &data, 1, (off_t)r.offset_bytes, RWF_NOWAIT);
        if (n != (ssize_t)r.size_bytes) {
            out->is_refused = n < 0 && (errno == EOPNOTSUPP || errno == EINVAL);
            return;
        }
        put_head(answer, &r, source->is_structured);
        out->request_bytes += REQUEST_BYTES;
        out->answer_bytes += head_bytes + r.size_bytes;
    }
}
