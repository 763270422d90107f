#include "wdiff_index.h"

#include <stdlib.h>
#include <unistd.h>

#include "span_sweep.h"

#define FIRST_CAPACITY 4096
/* Longest piece without data: 2 GiB still fits 32 bits in bytes, which some readers compute with. */
#define MAX_BARE_PIECE_LB (1u << 22)

void walb_wdiff_index_free(walb_wdiff_index *x)
{
    free(x->records);
    x->records = NULL;
}

int walb_wdiff_index_clean_up(walb_wdiff_index *x, walb_failure *f)
{
    walb_sweep sweep;
    walb_span span;
    walb_wdiff_record *kept = NULL, *grown;
    size_t n_kept = 0, room = 0, i;
    uint64_t begin, end;

    if (x->n > UINT32_MAX || walb_sweep_init(&sweep, x->n, NULL, NULL) != 0) {
        if (x->n <= UINT32_MAX)
            walb_sweep_free(&sweep);
        return walb_fail_memory(f);
    }
    for (i = 0; i < x->n; i++) {
        const walb_wdiff_record *r = &x->records[i];
        walb_sweep_add(&sweep, &(walb_span){r->address_lb, r->address_lb + r->blocks_lb, (uint32_t)i, (uint32_t)i});
    }
    while (walb_sweep_next(&sweep, &span, &begin, &end) > 0) {
        if (n_kept == room) {
            room = room ? 2 * room : x->n;
            grown = realloc(kept, room * sizeof *kept);
            if (!grown) {
                free(kept);
                walb_sweep_free(&sweep);
                return walb_fail_memory(f);
            }
            kept = grown;
        }
        kept[n_kept] = x->records[span.id];
        kept[n_kept].image_skip_lb += (uint32_t)(begin - span.begin);
        kept[n_kept].address_lb = begin;
        kept[n_kept++].blocks_lb = (uint32_t)(end - begin);
    }
    walb_sweep_free(&sweep);
    free(x->records);
    x->records = kept;
    x->n = x->clean = n_kept;
    x->capacity = room;
    return 0;
}

int walb_wdiff_index_add(walb_wdiff_index *x, const walb_wdiff_record *r, walb_failure *f)
{
    walb_wdiff_record *grown;
    size_t capacity;

    /* A clean-up costs about as much as the records it looks at, so it waits until they have doubled. */
    if (x->n == x->capacity && x->n >= 2 * x->clean && x->n >= FIRST_CAPACITY) {
        int result = walb_wdiff_index_clean_up(x, f);
        if (result != 0)
            return result;
    }
    if (x->n == x->capacity) {
        capacity = x->capacity ? 2 * x->capacity : FIRST_CAPACITY;
        grown = realloc(x->records, capacity * sizeof *grown);
        if (!grown)
            return walb_fail_memory(f);
        x->records = grown;
        x->capacity = capacity;
    }
    x->records[x->n++] = *r;
    return 0;
}

/* The largest power of two that divides the address, is at most blocks and at most the limit of the kind. */
static uint32_t aligned_piece(uint64_t address_lb, uint32_t blocks_lb, uint32_t limit_lb)
{
    uint32_t size = limit_lb;

    while (size > blocks_lb || (address_lb & (size - 1)) != 0)
        size /= 2;
    return size;
}

int walb_wdiff_index_output_open(walb_wdiff_index_output *o, int fd, int64_t offset, uint32_t piece_lb, walb_failure *f)
{
    if (offset >= 0 && lseek(fd, offset, SEEK_SET) < 0)
        return walb_fail_system(f, "cannot seek");
    o->piece_lb = piece_lb;
    o->n = 0;
    return walb_output_open(&o->out, fd, f);
}

void walb_wdiff_index_output_close(walb_wdiff_index_output *o)
{
    walb_output_close(&o->out);
}

int walb_wdiff_index_output_flush(walb_wdiff_index_output *o, walb_failure *f)
{
    return walb_output_flush(&o->out, f);
}

int walb_wdiff_index_output_put(walb_wdiff_index_output *o, const walb_wdiff_record *visible, walb_failure *f)
{
    uint8_t bytes[WALB_WDIFF_INDEX_BYTES];
    walb_wdiff_record rest = *visible, piece;
    int result = 0;

    while (result == 0 && rest.blocks_lb > 0) {
        piece = rest;
        piece.blocks_lb = aligned_piece(rest.address_lb, rest.blocks_lb,
                                        rest.kind == WALB_WDIFF_NORMAL ? o->piece_lb : MAX_BARE_PIECE_LB);
        walb_wdiff_build_index(bytes, &piece);
        result = walb_output_put(&o->out, bytes, sizeof bytes, f);
        rest.address_lb += piece.blocks_lb;
        rest.image_skip_lb += piece.blocks_lb;
        rest.blocks_lb -= piece.blocks_lb;
        o->n++;
    }
    return result;
}

int walb_wdiff_index_write(walb_wdiff_index *x, walb_wdiff_index_output *o, walb_failure *f)
{
    size_t i;
    int result = walb_wdiff_index_clean_up(x, f);

    for (i = 0; result == 0 && i < x->n; i++)
        result = walb_wdiff_index_output_put(o, &x->records[i], f);
    return result;
}
