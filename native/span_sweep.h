/* Which of many overlapping spans is the newest, everywhere: one sweep over ascending addresses with two heaps. It is
 * the rule "a newer record is kept whole, older ones are cut around it" (wdiff-format.md section 7.1) for spans that come
 * in time; memory is that of the spans that are known at once. */
#ifndef WALB_SPAN_SWEEP_H
#define WALB_SPAN_SWEEP_H

#include <stddef.h>
#include <stdint.h>

/* Larger ages are newer and win; no two spans known at once have the same. id is the caller's. */
typedef struct {
    uint64_t begin, end;
    uint32_t age, id;
} walb_span;

/* Called when a span is used up. It may add the next one of the same id, which must not begin below the used one's end.
 * Returns 0, or an error that the sweep passes on. */
typedef int (*walb_span_refill)(void *context, uint32_t id);

typedef struct {
    walb_span *pending, *active;
    size_t n_pending, n_active, capacity;
    uint64_t position;
    walb_span_refill refill;
    void *context;
} walb_sweep;

/* At most capacity spans are known at once. Returns 0, or -1 without memory. */
int walb_sweep_init(walb_sweep *s, size_t capacity, walb_span_refill refill, void *context);
void walb_sweep_free(walb_sweep *s);
void walb_sweep_add(walb_sweep *s, const walb_span *span);

/* The next range where one span is visible: *seen is that span, *begin and *end the range, as long as can be. The span
 * counts as known until the next call. Returns 1, 0 at the end, or refill's error. */
int walb_sweep_next(walb_sweep *s, walb_span *seen, uint64_t *begin, uint64_t *end);

#endif
