#include "wdiff_read.h"

#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "checksum.h"
#include "file_io.h"
#include "wdiff_codec.h"

static int open_indexed(walb_wdiff_reader *r, walb_failure *f)
{
    uint8_t super[WALB_WDIFF_SUPER_BYTES];
    uint32_t n_records = 0;
    int result;

    if (r->file_bytes < WALB_WDIFF_FILE_HEADER_BYTES + WALB_WDIFF_SUPER_BYTES)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: the file ends before the index super block",
                         (unsigned long long)r->file_bytes);
    result = walb_read_at(r->fd, super, sizeof super, r->file_bytes - sizeof super, f);
    if (result == 0)
        result = walb_wdiff_parse_super(super, r->file_bytes, &r->base_offset, &n_records, f);
    r->n_left = n_records;
    r->next_offset = r->base_offset;
    return result;
}

int walb_wdiff_open(walb_wdiff_reader *r, int fd, walb_failure *f)
{
    uint8_t header[WALB_WDIFF_FILE_HEADER_BYTES];
    struct stat status;
    int result;

    r->fd = r->images_fd = fd;
    r->source_fd = -1;
    r->last_end_lb = 0;
    r->i = r->n = 0;
    r->n_left = 0;
    r->base_offset = 0;
    r->next_offset = WALB_WDIFF_FILE_HEADER_BYTES;
    if (fstat(fd, &status) != 0)
        return walb_fail_system(f, "cannot stat");
    r->file_bytes = (uint64_t)status.st_size;
    result = walb_read_at(fd, header, sizeof header, 0, f);
    if (result == 0)
        result = walb_wdiff_parse_header(header, &r->kind, r->uuid, f);
    if (result == 0 && r->kind == WALB_WDIFF_INDEXED)
        result = open_indexed(r, f);
    return result;
}

/* Goes on to the next pack that has records. Returns 1, 0 at the end pack, or a failure. */
static int next_pack(walb_wdiff_reader *r, walb_failure *f)
{
    uint8_t block[WALB_WDIFF_PACK_HEADER_BYTES];
    int result;

    do {
        if (r->file_bytes < r->next_offset + sizeof block)
            return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: the end pack is missing",
                             (unsigned long long)r->next_offset);
        result = walb_read_at(r->fd, block, sizeof block, r->next_offset, f);
        if (result == 0)
            result = walb_wdiff_parse_pack(block, r->next_offset, &r->last_end_lb, &r->u.pack, f);
        if (result != 0 || r->u.pack.is_end)
            return result;
        r->base_offset = r->next_offset + sizeof block;
        r->next_offset = r->base_offset + r->u.pack.total_bytes;
        if (r->next_offset > r->file_bytes)
            return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: the file ends inside the data of a pack",
                             (unsigned long long)r->file_bytes);
    } while (r->u.pack.n_records == 0);
    r->i = 0;
    r->n = r->u.pack.n_records;
    return 1;
}

static int next_sorted(walb_wdiff_reader *r, walb_wdiff_record *out, walb_failure *f)
{
    if (r->i == r->n) {
        int result = next_pack(r, f);
        if (result <= 0)
            return result;
    }
    *out = r->u.pack.records[r->i++];
    out->stored_offset += r->base_offset;
    return 1;
}

static int next_indexed(walb_wdiff_reader *r, walb_wdiff_record *out, walb_failure *f)
{
    int result;

    if (r->i == r->n) {
        uint32_t room = sizeof r->u.index / WALB_WDIFF_INDEX_BYTES;
        if (r->n_left == 0)
            return 0;
        r->n = r->n_left < room ? (uint32_t)r->n_left : room;
        result = walb_read_at(r->fd, r->u.index, (size_t)r->n * WALB_WDIFF_INDEX_BYTES, r->next_offset, f);
        if (result != 0)
            return result;
        r->n_left -= r->n;
        r->next_offset += (uint64_t)r->n * WALB_WDIFF_INDEX_BYTES;
        r->i = 0;
    }
    result = walb_wdiff_parse_index(r->u.index + WALB_WDIFF_INDEX_BYTES * r->i,
                                    r->next_offset - (uint64_t)(r->n - r->i) * WALB_WDIFF_INDEX_BYTES, r->base_offset,
                                    &r->last_end_lb, out, f);
    if (result != 0)
        return result;
    r->i++;
    return 1;
}

void walb_wdiff_open_run(walb_wdiff_reader *r, const walb_wdiff_run *run)
{
    memset(r, 0, offsetof(walb_wdiff_reader, u));
    r->kind = WALB_WDIFF_RUN;
    r->fd = run->fd;
    r->images_fd = run->images_fd;
    r->source_fd = run->source_fd;
    r->next_offset = run->offset;
    r->n_left = run->n_records;
}

static int next_of_run(walb_wdiff_reader *r, walb_wdiff_record *out, walb_failure *f)
{
    if (r->i == r->n) {
        size_t room = sizeof r->u.run / sizeof *r->u.run;
        int result;
        if (r->n_left == 0)
            return 0;
        r->n = (uint32_t)(r->n_left < room ? r->n_left : room);
        result = walb_read_at(r->fd, (uint8_t *)r->u.run, r->n * sizeof *r->u.run, r->next_offset, f);
        if (result != 0)
            return result;
        r->n_left -= r->n;
        r->next_offset += r->n * sizeof *r->u.run;
        r->i = 0;
    }
    *out = r->u.run[r->i++];
    return 1;
}

int walb_wdiff_next(walb_wdiff_reader *r, walb_wdiff_record *out, walb_failure *f)
{
    if (r->kind == WALB_WDIFF_RUN)
        return next_of_run(r, out, f);
    return r->kind == WALB_WDIFF_SORTED ? next_sorted(r, out, f) : next_indexed(r, out, f);
}

int walb_wdiff_load(const walb_wdiff_reader *r, const walb_wdiff_record *record, uint8_t *dst, walb_failure *f)
{
    int fd = record->stored_offset & WALB_WDIFF_IN_SOURCE ? r->source_fd : r->images_fd;
    int result = walb_read_at(fd, dst, record->stored_bytes, record->stored_offset & ~WALB_WDIFF_IN_SOURCE, f);

    if (result == 0 && walb_csum(dst, record->stored_bytes, 0) != record->checksum)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: wrong checksum of the data of the record at block %llu",
                         (unsigned long long)(record->stored_offset & ~WALB_WDIFF_IN_SOURCE),
                         (unsigned long long)record->address_lb);
    return result;
}

int walb_wdiff_decode(const walb_wdiff_record *record, const uint8_t *stored, uint8_t *image, walb_failure *f)
{
    if (walb_codec_decompress(record->codec, stored, record->stored_bytes, image,
                              (size_t)record->image_lb * WALB_LB_BYTES) == 0)
        return 0;
    return walb_fail(f, WALB_FAIL_CORRUPT, "offset %llu: data of compression_type %u do not decode to %u blocks",
                     (unsigned long long)record->stored_offset, record->codec, record->image_lb);
}
