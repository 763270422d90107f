#include "wlog_redo.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "bytes.h"
#include "checksum.h"
#include "zero.h"

void walb_log_redo_init(walb_log_redo *r, uint32_t pbs, uint32_t salt, uint64_t begin_lsid, uint64_t limit_lsid,
                        int data_fd, uint64_t device_size_lb, int ignores_discards)
{
    memset(r, 0, sizeof *r);
    r->pbs = pbs;
    r->salt = salt;
    r->next_lsid = r->read_lsid = begin_lsid;
    r->limit_lsid = limit_lsid;
    r->data_fd = data_fd;
    r->device_size_lb = device_size_lb;
    r->ignores_discards = ignores_discards;
    r->need_pb = 1;
}

static int write_all(int fd, const uint8_t *data, size_t len, uint64_t position)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)position);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        data += n;
        len -= (size_t)n;
        position += (uint64_t)n;
    }
    return 0;
}

static int begin_pack(walb_log_redo *r, const uint8_t *block)
{
    int result = walb_log_pack_parse(block, r->pbs, r->salt, r->next_lsid, &r->pack);

    memcpy(r->block, block, r->pbs);
    if (result != 0)
        return result;
    if (r->next_lsid + 1 + r->pack.total_pb > r->limit_lsid)
        return WALB_LOG_BAD_RANGE;
    r->record = 0;
    r->is_in_pack = 1;
    r->read_lsid++;
    return 0;
}

/* Applies one record whose data, if it has any, are at data. */
static int apply(walb_log_redo *r, const walb_log_record *record, const uint8_t *data)
{
    int is_discard = (record->flags & WALB_LOG_DISCARD) != 0, result = 0;

    if (is_discard && r->ignores_discards)
        return 0;
    if (record->size_lb > r->device_size_lb || record->offset_lb > r->device_size_lb - record->size_lb) {
        r->n_outside++;
        return 0;
    }
    *(is_discard ? &r->discard_lb : &r->normal_lb) += record->size_lb;
    if (r->data_fd < 0)
        return 0;
    if (is_discard)
        result = walb_zero_range(r->data_fd, record->offset_lb * 512, (uint64_t)record->size_lb * 512);
    else
        result = write_all(r->data_fd, data, (size_t)record->size_lb * 512, record->offset_lb * 512);
    r->io_errno = -result;
    return result == 0 ? 0 : WALB_LOG_IO_ERROR;
}

/* Does one record; sets need_pb and returns 0 without moving when its data are not there yet. */
static int do_record(walb_log_redo *r, const uint8_t *data, uint64_t left_pb)
{
    const walb_log_record *record = &r->pack.records[r->record];
    uint32_t size_pb = record->flags & WALB_LOG_DISCARD ? 0 : walb_log_lb_to_pb(record->size_lb, r->pbs);
    int result = 0;

    r->need_pb = 0;
    if (record->flags & WALB_LOG_PADDING) {
        r->padding_pb += size_pb;
    } else if (left_pb < size_pb) {
        r->need_pb = size_pb;
        return 0;
    } else if (size_pb > 0 && walb_csum(data, (size_t)record->size_lb * 512, r->salt) != record->csum) {
        return WALB_LOG_BAD_DATA;
    } else {
        result = apply(r, record, data);
    }
    if (result == 0) {
        r->read_lsid += size_pb;
        r->record++;
    }
    return result;
}

int walb_log_redo_feed(walb_log_redo *r, const uint8_t *data, uint64_t n_pb)
{
    uint64_t begin_lsid = r->read_lsid, at_pb;
    int result;

    for (;;) {
        if (r->is_in_pack && r->record == r->pack.n_records) {
            r->is_in_pack = 0;
            r->next_lsid = r->read_lsid;
            r->n_packs++;
        }
        at_pb = r->read_lsid - begin_lsid;
        if (!r->is_in_pack && at_pb >= n_pb) {
            r->need_pb = 1;
            return WALB_LOG_MORE;
        }
        if (!r->is_in_pack) {
            result = begin_pack(r, data + at_pb * r->pbs);
        } else {
            uint64_t left_pb = at_pb < n_pb ? n_pb - at_pb : 0;
            result = do_record(r, data + (n_pb - left_pb) * r->pbs, left_pb);
            if (result == 0 && r->need_pb > 0)
                return WALB_LOG_MORE;
        }
        if (result != 0)
            return result;
    }
}

int walb_log_follow(const uint8_t *data, uint64_t n_pb, uint32_t pbs, uint32_t salt, uint64_t *lsid)
{
    uint64_t at_pb = 0;
    walb_log_pack pack;

    while (at_pb < n_pb) {
        if (walb_log_pack_parse(data + at_pb * pbs, pbs, salt, *lsid, &pack) != 0)
            return 1;
        at_pb += 1 + pack.total_pb;
        *lsid += 1 + pack.total_pb;
    }
    return 0;
}

int walb_log_find_stale(const uint8_t *data, uint64_t n_pb, uint64_t lsid, uint32_t pbs, uint32_t salt, uint64_t *index)
{
    for (; *index < n_pb; ++*index) {
        const uint8_t *block = data + *index * pbs;
        if (walb_get16(block + 4) == WALB_LOG_SECTOR_TYPE_PACK && walb_get64(block + 8) == lsid + *index &&
            walb_csum(block, pbs, salt) == 0)
            return 1;
    }
    return 0;
}
