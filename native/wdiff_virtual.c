#include "wdiff_virtual.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checksum.h"
#include "file_io.h"

/* Zeros of this length, at multiples of it, become holes. */
#define HOLE_BYTES ((size_t)64 << 10)
#define SKIP_BYTES ((size_t)64 << 10)

struct walb_wdiff_virtual {
    walb_wdiff_merge *merge;
    int base_fd, can_seek, base_ended, has_piece, is_merged;
    uint64_t size_bytes, position;
    /* How far a base that cannot seek was read. */
    uint64_t base_position;
    walb_wdiff_piece piece;
    /* The decoded data of the piece, when they were asked for. */
    const uint8_t *data;
};

walb_wdiff_virtual *walb_wdiff_virtual_new(walb_wdiff_merge *m, int base_fd, int can_seek, uint64_t size_bytes,
                                           walb_failure *f)
{
    walb_wdiff_virtual *v = calloc(1, sizeof *v);

    if (!v) {
        walb_fail_memory(f);
        return NULL;
    }
    v->merge = m;
    v->base_fd = base_fd;
    v->can_seek = can_seek;
    v->base_ended = base_fd < 0;
    v->size_bytes = size_bytes;
    return v;
}

void walb_wdiff_virtual_free(walb_wdiff_virtual *v)
{
    free(v);
}

/* Reads of the base at its position or the image's, zeros behind its end. */
static int fill(walb_wdiff_virtual *v, uint8_t *dst, size_t len, uint64_t position, walb_failure *f)
{
    while (len > 0 && !v->base_ended) {
        ssize_t n = v->can_seek ? pread(v->base_fd, dst, len, (off_t)position) : read(v->base_fd, dst, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            f->source = -1;
            return walb_fail_system(f, "cannot read");
        }
        v->base_ended = n == 0;
        dst += n;
        len -= (size_t)n;
        position += (uint64_t)n;
    }
    memset(dst, 0, len);
    return 0;
}

static int read_base(walb_wdiff_virtual *v, uint8_t *dst, size_t len, walb_failure *f)
{
    uint8_t skipped[SKIP_BYTES];
    int result = 0;

    while (result == 0 && !v->can_seek && !v->base_ended && v->base_position < v->position) {
        uint64_t left = v->position - v->base_position;
        size_t n = left < SKIP_BYTES ? (size_t)left : SKIP_BYTES;
        result = fill(v, skipped, n, v->base_position, f);
        v->base_position += n;
    }
    if (result == 0)
        result = fill(v, dst, len, v->position, f);
    v->base_position = v->position + len;
    return result;
}

/* Makes the piece at or behind the position the current one, if there is any. */
static int find_piece(walb_wdiff_virtual *v, walb_failure *f)
{
    while (!v->is_merged && (!v->has_piece || (v->piece.address_lb + v->piece.blocks_lb) * WALB_LB_BYTES <= v->position)) {
        int result = walb_wdiff_merge_next(v->merge, &v->piece, f);
        if (result < 0)
            return result;
        v->data = NULL;
        v->has_piece = result;
        v->is_merged = result == 0;
    }
    return 0;
}

static int read_piece(walb_wdiff_virtual *v, uint8_t *dst, size_t len, uint64_t skip, walb_failure *f)
{
    const walb_wdiff_piece *p = &v->piece;

    if (p->record.kind != WALB_WDIFF_NORMAL) {
        memset(dst, 0, len);
        return 0;
    }
    if (!v->data && p->record.codec == 0 && walb_wdiff_piece_is_whole(p) && len == (size_t)p->blocks_lb * WALB_LB_BYTES)
        return walb_wdiff_merge_load(v->merge, p, dst, f);
    if (!v->data) {
        int result = walb_wdiff_merge_data(v->merge, p, &v->data, f);
        if (result != 0)
            return result;
    }
    memcpy(dst, v->data + skip, len);
    return 0;
}

int64_t walb_wdiff_virtual_read(walb_wdiff_virtual *v, uint8_t *dst, size_t room, walb_failure *f)
{
    uint64_t total = v->size_bytes - v->position;
    size_t done = 0;

    if (room > total)
        room = (size_t)total;
    while (done < room) {
        uint64_t begin, end;
        size_t n = room - done;
        int result = find_piece(v, f);
        if (result != 0)
            return result;
        begin = v->has_piece ? v->piece.address_lb * WALB_LB_BYTES : UINT64_MAX;
        if (begin > v->position) {
            n = begin - v->position < n ? (size_t)(begin - v->position) : n;
            result = read_base(v, dst + done, n, f);
        } else {
            end = begin + (uint64_t)v->piece.blocks_lb * WALB_LB_BYTES;
            n = end - v->position < n ? (size_t)(end - v->position) : n;
            result = read_piece(v, dst + done, n, v->position - begin, f);
        }
        if (result != 0)
            return result;
        v->position += n;
        done += n;
    }
    return (int64_t)done;
}

int walb_write_with_holes(int fd, const uint8_t *data, size_t len, uint64_t offset, walb_failure *f)
{
    size_t begin = 0, at = 0;
    int result = 0;

    while (result == 0 && at < len) {
        size_t to_grid = HOLE_BYTES - (size_t)((offset + at) % HOLE_BYTES), n = to_grid < len - at ? to_grid : len - at;
        if (walb_is_zero(data + at, n)) {
            result = walb_write_at(fd, data + begin, at - begin, offset + begin, f);
            begin = at + n;
        }
        at += n;
    }
    return result == 0 ? walb_write_at(fd, data + begin, len - begin, offset + begin, f) : result;
}
