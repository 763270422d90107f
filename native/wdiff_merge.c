#include "wdiff_merge.h"

#include <stdlib.h>
#include <string.h>

#include "image_cache.h"
#include "span_sweep.h"
#include "wdiff_read.h"

struct walb_wdiff_merge {
    walb_wdiff_reader *readers;
    walb_wdiff_record *current;
    size_t n;
    uint8_t uuid[16];
    walb_sweep sweep;
    walb_failure *failure;
    /* The visible range that pieces are being cut from. */
    walb_span seen;
    uint64_t begin, end;
    walb_wdiff_record record;
    walb_image_cache cache;
    uint8_t *stored;
    size_t stored_room;
};

/* Makes the next record of an input known to the sweep. */
static int refill(void *context, uint32_t id)
{
    walb_wdiff_merge *m = context;
    walb_wdiff_record *r = &m->current[id];
    int result = walb_wdiff_next(&m->readers[id], r, m->failure);

    if (result < 0)
        m->failure->source = (int)id;
    else if (result > 0)
        walb_sweep_add(&m->sweep, &(walb_span){r->address_lb, r->address_lb + r->blocks_lb, id, id});
    return result < 0 ? result : 0;
}

/* Takes over the uuid of an input, or refuses it. */
static int join_uuid(walb_wdiff_merge *m, const uint8_t *uuid, walb_failure *f)
{
    static const uint8_t unknown[16];

    if (memcmp(uuid, unknown, 16) == 0 || memcmp(uuid, m->uuid, 16) == 0)
        return 0;
    if (memcmp(m->uuid, unknown, 16) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset 16: the uuid is not that of the diffs before");
    memcpy(m->uuid, uuid, 16);
    return 0;
}

walb_wdiff_merge *walb_wdiff_merge_new(const int *fds, size_t n, walb_failure *f)
{
    walb_wdiff_merge *m = calloc(1, sizeof *m);
    int result = 0;
    size_t i;

    f->source = -1;
    if (m) {
        m->n = n;
        m->failure = f;
        m->readers = malloc((n + 1) * sizeof *m->readers);
        m->current = malloc((n + 1) * sizeof *m->current);
    }
    if (!m || !m->readers || !m->current || walb_sweep_init(&m->sweep, n, refill, m) != 0)
        result = walb_fail_memory(f);
    for (i = 0; result == 0 && i < n; i++) {
        f->source = (int)i;
        result = walb_wdiff_open(&m->readers[i], fds[i], f);
        if (result == 0)
            result = join_uuid(m, m->readers[i].uuid, f);
        if (result == 0)
            result = refill(m, (uint32_t)i);
    }
    if (result == 0)
        return m;
    walb_wdiff_merge_free(m);
    return NULL;
}

void walb_wdiff_merge_free(walb_wdiff_merge *m)
{
    if (!m)
        return;
    walb_image_cache_free(&m->cache);
    walb_sweep_free(&m->sweep);
    free(m->readers);
    free(m->current);
    free(m->stored);
    free(m);
}

void walb_wdiff_merge_uuid(const walb_wdiff_merge *m, uint8_t *uuid)
{
    memcpy(uuid, m->uuid, 16);
}

int walb_wdiff_merge_next(walb_wdiff_merge *m, walb_wdiff_piece *piece, walb_failure *f)
{
    uint64_t end;

    if (m->begin == m->end) {
        int result;
        m->failure = f;
        f->source = -1;
        result = walb_sweep_next(&m->sweep, &m->seen, &m->begin, &m->end);
        if (result <= 0)
            return result;
        m->record = m->current[m->seen.id];
    }
    end = m->end;
    if (m->record.kind == WALB_WDIFF_NORMAL) {
        /* Long records are cut on a grid that starts with the record, wherever the visible range begins. */
        uint64_t grid = (m->begin - m->seen.begin) / WALB_WDIFF_MAX_IO_LB + 1;
        uint64_t next = m->seen.begin + grid * WALB_WDIFF_MAX_IO_LB;
        end = next < end ? next : end;
    }
    piece->address_lb = m->begin;
    piece->blocks_lb = (uint32_t)(end - m->begin);
    piece->source = m->seen.id;
    piece->record = m->record;
    m->begin = end;
    return 1;
}

int walb_wdiff_piece_is_whole(const walb_wdiff_piece *piece)
{
    return piece->blocks_lb == piece->record.blocks_lb && piece->record.blocks_lb == piece->record.image_lb;
}

int walb_wdiff_merge_load(walb_wdiff_merge *m, const walb_wdiff_piece *piece, uint8_t *dst, walb_failure *f)
{
    f->source = (int)piece->source;
    return walb_wdiff_load(&m->readers[piece->source], &piece->record, dst, f);
}

/* Reads and decodes the image of a piece into `image`, which has room for it. */
static int load_image(walb_wdiff_merge *m, const walb_wdiff_piece *piece, uint8_t *image, walb_failure *f)
{
    size_t bytes = piece->record.stored_bytes;
    int result;

    if (piece->record.codec == 0)
        return walb_wdiff_merge_load(m, piece, image, f);
    if (bytes > m->stored_room) {
        free(m->stored);
        m->stored = malloc(bytes);
        m->stored_room = m->stored ? bytes : 0;
        if (!m->stored)
            return walb_fail_memory(f);
    }
    result = walb_wdiff_merge_load(m, piece, m->stored, f);
    return result == 0 ? walb_wdiff_decode(&piece->record, m->stored, image, f) : result;
}

int walb_wdiff_merge_data(walb_wdiff_merge *m, const walb_wdiff_piece *piece, const uint8_t **data, walb_failure *f)
{
    const walb_wdiff_record *r = &piece->record;
    uint64_t skip_lb = r->image_skip_lb + (piece->address_lb - r->address_lb);
    size_t bytes = (size_t)r->image_lb * WALB_LB_BYTES;
    uint8_t *image = walb_image_cache_find(&m->cache, piece->source, r->stored_offset, bytes);

    if (!image) {
        walb_image_slot *slot = walb_image_cache_take(&m->cache, bytes);
        int result = slot ? load_image(m, piece, slot->data, f) : walb_fail_memory(f);
        if (result != 0)
            return result;
        walb_image_cache_keep(slot, piece->source, r->stored_offset, bytes);
        image = slot->data;
    }
    *data = image + skip_lb * WALB_LB_BYTES;
    return 0;
}
