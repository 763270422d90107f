#include "wdiff_index.h"

#include <stdlib.h>

#include "span_sweep.h"

#define FIRST_CAPACITY 4096
/* Longest piece without data: 2 GiB still fits 32 bits in bytes, which some readers compute with. */
#define MAX_BARE_PIECE_LB (1u << 22)

void walb_wdiff_index_free(walb_wdiff_index *x)
{
    free(x->records);
    x->records = NULL;
}

/* Replaces the records by their visible parts, in address order. */
static int clean_up(walb_wdiff_index *x, walb_failure *f)
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
        int result = clean_up(x, f);
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

int walb_wdiff_index_write(walb_wdiff_index *x, walb_output *out, uint32_t *n_written, walb_failure *f)
{
    uint8_t bytes[WALB_WDIFF_INDEX_BYTES];
    uint64_t n = 0;
    size_t i;
    int result = clean_up(x, f);

    for (i = 0; result == 0 && i < x->n; i++) {
        walb_wdiff_record rest = x->records[i], piece;
        while (result == 0 && rest.blocks_lb > 0) {
            piece = rest;
            piece.blocks_lb = aligned_piece(rest.address_lb, rest.blocks_lb,
                                            rest.kind == WALB_WDIFF_NORMAL ? WALB_WDIFF_MAX_IO_LB : MAX_BARE_PIECE_LB);
            walb_wdiff_build_index(bytes, &piece);
            result = walb_output_put(out, bytes, sizeof bytes, f);
            rest.address_lb += piece.blocks_lb;
            rest.image_skip_lb += piece.blocks_lb;
            rest.blocks_lb -= piece.blocks_lb;
            n++;
        }
    }
    if (result == 0 && n > UINT32_MAX)
        return walb_fail(f, WALB_FAIL_CORRUPT, "the log has too many IOs for one file: %llu", (unsigned long long)n);
    *n_written = (uint32_t)n;
    return result;
}
