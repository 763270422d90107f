#define _GNU_SOURCE
#include "nbd_requests.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

/* Layouts and numbers of the NBD protocol, all big-endian (doc/proto.md of NetworkBlockDevice). */
enum {
    REQUEST_BYTES = 28,
    DATA_CHUNK_BYTES = 28,
    REQUEST_MAGIC = 0x25609513,
    REPLY_MAGIC = 0x67446698,
    CHUNK_MAGIC = 0x668e33ef,
    CHUNK_IS_LAST = 1,
    CHUNK_OFFSET_DATA = 1,
    COMMAND_READ = 0,
    COMMAND_WRITE = 1,
    FLAG_FUA = 1,
    FLAGS_OF_READ = FLAG_FUA | 1 << 2, /* FUA and DF say nothing here: one chunk is never a fragment */
    LB_BYTES = 512,
};

typedef struct {
    const uint8_t *cookie;
    uint64_t offset_bytes;
    uint32_t size_bytes;
    uint16_t flags;
} nbd_request;

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

/* Returns 1 when the request at p is of this command, well formed, at most max_bytes long and within the device. */
static int parse(const uint8_t *p, uint16_t command, uint64_t max_bytes, uint64_t device_bytes, nbd_request *r)
{
    if (get32(p) != REQUEST_MAGIC || get16(p + 6) != command)
        return 0;
    *r = (nbd_request){p + 8, get64(p + 16), get32(p + 24), get16(p + 4)};
    return r->size_bytes > 0 && r->size_bytes <= max_bytes && r->size_bytes % LB_BYTES == 0 &&
           r->offset_bytes % LB_BYTES == 0 && r->size_bytes <= device_bytes &&
           r->offset_bytes <= device_bytes - r->size_bytes;
}

static void put_reply(uint8_t *p, const nbd_request *r)
{
    put32(p, REPLY_MAGIC);
    put32(p + 4, 0);
    memcpy(p + 8, r->cookie, 8);
}

static void put_data_chunk(uint8_t *p, const nbd_request *r)
{
    put32(p, CHUNK_MAGIC);
    put16(p + 4, CHUNK_IS_LAST);
    put16(p + 6, CHUNK_OFFSET_DATA);
    memcpy(p + 8, r->cookie, 8);
    put32(p + 16, (uint32_t)sizeof r->offset_bytes + r->size_bytes);
    put32(p + 20, (uint32_t)(r->offset_bytes >> 32));
    put32(p + 24, (uint32_t)r->offset_bytes);
}

void walb_nbd_answer_reads(const walb_nbd_source *source, const uint8_t *requests, size_t request_bytes,
                           uint8_t *answers, size_t answer_bytes, walb_nbd_answered *out)
{
    const size_t head_bytes = source->is_structured ? DATA_CHUNK_BYTES : WALB_NBD_REPLY_BYTES;
    nbd_request r;

    *out = (walb_nbd_answered){0};
    while (request_bytes - out->request_bytes >= REQUEST_BYTES &&
           parse(requests + out->request_bytes, COMMAND_READ, source->max_read_bytes, source->device_bytes, &r) &&
           !(r.flags & ~FLAGS_OF_READ) && answer_bytes - out->answer_bytes >= head_bytes + r.size_bytes) {
        uint8_t *answer = answers + out->answer_bytes;
        struct iovec data = {answer + head_bytes, r.size_bytes};
        ssize_t n = preadv2(source->data_fd, &data, 1, (off_t)r.offset_bytes, RWF_NOWAIT);

        if (n != (ssize_t)r.size_bytes) {
            out->is_refused = n < 0 && (errno == EOPNOTSUPP || errno == EINVAL);
            return;
        }
        if (source->is_structured)
            put_data_chunk(answer, &r);
        else
            put_reply(answer, &r);
        out->request_bytes += REQUEST_BYTES;
        out->answer_bytes += head_bytes + r.size_bytes;
    }
}

void walb_nbd_take_writes(uint64_t device_bytes, uint32_t max_record_lb, const uint8_t *requests, size_t request_bytes,
                          walb_log_write *writes, uint8_t *replies, uint32_t max_writes, walb_nbd_taken *out)
{
    const uint64_t max_bytes = (uint64_t)max_record_lb * LB_BYTES;
    nbd_request r;

    *out = (walb_nbd_taken){0};
    while (out->n_writes < max_writes && request_bytes - out->request_bytes >= REQUEST_BYTES &&
           parse(requests + out->request_bytes, COMMAND_WRITE, max_bytes, device_bytes, &r) && !(r.flags & ~FLAG_FUA) &&
           request_bytes - out->request_bytes - REQUEST_BYTES >= r.size_bytes) {
        if (out->n_writes == 0)
            out->is_fua = r.flags;
        else if (out->is_fua != r.flags)
            return;
        writes[out->n_writes] = (walb_log_write){
            .offset_lb = r.offset_bytes / LB_BYTES,
            .data = requests + out->request_bytes + REQUEST_BYTES,
            .size_lb = r.size_bytes / LB_BYTES,
        };
        put_reply(replies + (size_t)out->n_writes * WALB_NBD_REPLY_BYTES, &r);
        out->n_writes++;
        out->log_bytes += r.size_bytes;
        out->request_bytes += REQUEST_BYTES + r.size_bytes;
    }
}
