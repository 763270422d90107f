#include "wdiff_merge.h"

#include <stdlib.h>
#include <string.h>

#include "span_sweep.h"

/* Decoded images kept for later pieces of them. */
#define CACHE_BYTES ((size_t)32 << 20)

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
    walb_wdiff_loader loader;
    uint32_t max_io_lb;
    walb_wdiff_statistics statistics;
};

void walb_wdiff_count(walb_wdiff_statistics *s, int kind, uint64_t blocks_lb, uint64_t data_bytes)
{
    int i = kind == WALB_WDIFF_NORMAL ? 0 : kind == WALB_WDIFF_ZERO ? 1 : 2;

    s->n_records[i]++;
    s->blocks_lb[i] += blocks_lb;
    s->data_bytes += data_bytes;
}

/* Makes the next record of an input known to the sweep. */
static int refill(void *context, uint32_t id)
{
    walb_wdiff_merge *m = context;
    walb_wdiff_record *r = &m->current[id];
    int result = walb_wdiff_next(&m->readers[id], r, m->failure);

    if (result < 0)
        m->failure->source = (int)id;
    if (result <= 0)
        return result;
    walb_wdiff_count(&m->statistics, r->kind, r->blocks_lb,
                     m->readers[id].kind == WALB_WDIFF_INDEXED ? 0 : r->stored_bytes);
    walb_sweep_add(&m->sweep, &(walb_span){r->address_lb, r->address_lb + r->blocks_lb, id, id});
    return 0;
}

/* Takes over the uuid of an input, or refuses it. */
static int join_uuid(walb_wdiff_merge *m, const uint8_t *uuid, int is_one_log, walb_failure *f)
{
    static const uint8_t unknown[16];

    if (memcmp(uuid, unknown, 16) == 0 || memcmp(uuid, m->uuid, 16) == 0)
        return 0;
    if (is_one_log && memcmp(m->uuid, unknown, 16) != 0)
        return walb_fail(f, WALB_FAIL_CORRUPT, "offset 16: the uuid is not that of the diffs before");
    memcpy(m->uuid, uuid, 16);
    return 0;
}

/* A merge of n inputs whose readers are not open yet; NULL without memory. */
static walb_wdiff_merge *new_merge(size_t n, uint32_t max_io_lb, walb_failure *f)
{
    walb_wdiff_merge *m = calloc(1, sizeof *m);

    f->source = -1;
    if (m) {
        m->n = n;
        m->failure = f;
        m->max_io_lb = max_io_lb;
        m->loader.cache.limit_bytes = CACHE_BYTES;
        m->readers = malloc((n + 1) * sizeof *m->readers);
        m->current = malloc((n + 1) * sizeof *m->current);
        if (m->readers && m->current && walb_sweep_init(&m->sweep, n, refill, m) == 0)
            return m;
    }
    walb_wdiff_merge_free(m);
    walb_fail_memory(f);
    return NULL;
}

walb_wdiff_merge *walb_wdiff_merge_new(const int *fds, size_t n, int is_one_log, uint32_t max_io_lb, walb_failure *f)
{
    walb_wdiff_merge *m = new_merge(n, max_io_lb, f);
    int result = 0;
    size_t i;

    for (i = 0; m && result == 0 && i < n; i++) {
        walb_wdiff_reader *r = &m->readers[i];
        f->source = (int)i;
        result = walb_wdiff_open(r, fds[i], f);
        if (result == 0)
            result = join_uuid(m, r->uuid, is_one_log, f);
        if (result == 0)
            result = refill(m, (uint32_t)i);
        if (result == 0 && r->kind == WALB_WDIFF_INDEXED)
            m->statistics.data_bytes += r->base_offset - WALB_WDIFF_FILE_HEADER_BYTES;
    }
    if (result == 0)
        return m;
    walb_wdiff_merge_free(m);
    return NULL;
}

walb_wdiff_merge *walb_wdiff_merge_new_runs(const walb_wdiff_run *runs, size_t n, const uint8_t *uuid, walb_failure *f)
{
    walb_wdiff_merge *m = new_merge(n, 0, f);
    int result = 0;
    size_t i;

    if (m)
        memcpy(m->uuid, uuid, sizeof m->uuid);
    for (i = 0; m && result == 0 && i < n; i++) {
        walb_wdiff_open_run(&m->readers[i], &runs[i]);
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
    walb_wdiff_loader_free(&m->loader);
    walb_sweep_free(&m->sweep);
    free(m->readers);
    free(m->current);
    free(m);
}

void walb_wdiff_loader_free(walb_wdiff_loader *l)
{
    walb_image_cache_free(&l->cache);
    free(l->stored);
}

void walb_wdiff_merge_statistics(const walb_wdiff_merge *m, walb_wdiff_statistics *statistics)
{
    *statistics = m->statistics;
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
    if (m->record.kind == WALB_WDIFF_NORMAL && m->max_io_lb > 0) {
        /* Long records are cut on a grid that starts with the record, wherever the visible range begins. */
        uint64_t grid = (m->begin - m->seen.begin) / m->max_io_lb + 1;
        uint64_t next = m->seen.begin + grid * m->max_io_lb;
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
static int load_image(walb_wdiff_merge *m, walb_wdiff_loader *l, const walb_wdiff_piece *piece, uint8_t *image,
                      walb_failure *f)
{
    size_t bytes = piece->record.stored_bytes;
    int result;

    if (piece->record.codec == 0)
        return walb_wdiff_merge_load(m, piece, image, f);
    if (bytes > l->room) {
        free(l->stored);
        l->stored = malloc(bytes);
        l->room = l->stored ? bytes : 0;
        if (!l->stored)
            return walb_fail_memory(f);
    }
    result = walb_wdiff_merge_load(m, piece, l->stored, f);
    return result == 0 ? walb_wdiff_decode(&piece->record, l->stored, image, f) : result;
}

int walb_wdiff_merge_data_by(walb_wdiff_merge *m, walb_wdiff_loader *l, const walb_wdiff_piece *piece, const uint8_t **data,
                             walb_failure *f)
{
    const walb_wdiff_record *r = &piece->record;
    uint64_t skip_lb = r->image_skip_lb + (piece->address_lb - r->address_lb);
    size_t bytes = (size_t)r->image_lb * WALB_LB_BYTES;
    uint8_t *image = walb_image_cache_find(&l->cache, piece->source, r->stored_offset, bytes);

    if (!image) {
        walb_image_slot *slot = walb_image_cache_take(&l->cache, bytes);
        int result = slot ? load_image(m, l, piece, slot->data, f) : walb_fail_memory(f);
        if (result != 0)
            return result;
        walb_image_cache_keep(slot, piece->source, r->stored_offset, bytes);
        image = slot->data;
    }
    *data = image + skip_lb * WALB_LB_BYTES;
    return 0;
}

int walb_wdiff_merge_data(walb_wdiff_merge *m, const walb_wdiff_piece *piece, const uint8_t **data, walb_failure *f)
{
    return walb_wdiff_merge_data_by(m, &m->loader, piece, data, f);
}
