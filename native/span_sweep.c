#include "span_sweep.h"

#include <stdlib.h>

int walb_sweep_init(walb_sweep *s, size_t capacity, walb_span_refill refill, void *context)
{
    size_t bytes = (capacity > 0 ? capacity : 1) * sizeof(walb_span);

    *s = (walb_sweep){.capacity = capacity, .refill = refill, .context = context};
    s->pending = malloc(bytes);
    s->active = malloc(bytes);
    return s->pending && s->active ? 0 : -1;
}

void walb_sweep_free(walb_sweep *s)
{
    free(s->pending);
    free(s->active);
    s->pending = s->active = NULL;
}

/* Spans of one begin come in any order: which one is visible is decided among the active ones. */
static int begins_before(const walb_span *a, const walb_span *b)
{
    return a->begin < b->begin;
}

static int is_newer(const walb_span *a, const walb_span *b)
{
    return a->age > b->age;
}

typedef int (*comes_first)(const walb_span *a, const walb_span *b);

static inline void heap_push(walb_span *heap, size_t *n, const walb_span *span, comes_first first)
{
    size_t i = (*n)++;

    while (i > 0 && first(span, &heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = *span;
}

static inline void heap_pop(walb_span *heap, size_t *n, comes_first first)
{
    walb_span last = heap[--*n];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < *n) {
        if (child + 1 < *n && first(&heap[child + 1], &heap[child]))
            child++;
        if (!first(&heap[child], &last))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
}

void walb_sweep_add(walb_sweep *s, const walb_span *span)
{
    heap_push(s->pending, &s->n_pending, span, begins_before);
}

static int used_up(walb_sweep *s, uint32_t id)
{
    return s->refill ? s->refill(s->context, id) : 0;
}

/* Makes the newest span that covers the position the top of the active ones. Returns 1, 0 at the end, or an error. */
static int find_visible(walb_sweep *s)
{
    int result;

    for (;;) {
        while (s->n_active > 0 && s->active[0].end <= s->position) {
            uint32_t id = s->active[0].id;
            heap_pop(s->active, &s->n_active, is_newer);
            result = used_up(s, id);
            if (result < 0)
                return result;
        }
        if (s->n_active == 0) {
            if (s->n_pending == 0)
                return 0;
            if (s->pending[0].begin > s->position)
                s->position = s->pending[0].begin;
        }
        if (s->n_pending == 0 || s->pending[0].begin > s->position)
            return 1;
        while (s->n_pending > 0 && s->pending[0].begin <= s->position) {
            walb_span span = s->pending[0];
            heap_pop(s->pending, &s->n_pending, begins_before);
            heap_push(s->active, &s->n_active, &span, is_newer);
        }
    }
}

int walb_sweep_next(walb_sweep *s, walb_span *seen, uint64_t *begin, uint64_t *end)
{
    uint64_t limit;
    int result = find_visible(s);

    if (result <= 0)
        return result;
    *seen = s->active[0];
    limit = seen->end;
    while (s->n_pending > 0 && s->pending[0].begin < limit) {
        walb_span span = s->pending[0];
        if (is_newer(&span, seen)) {
            limit = span.begin;
            break;
        }
        /* An older one that begins under this one shows at most behind its end. */
        heap_pop(s->pending, &s->n_pending, begins_before);
        if (span.end > seen->end) {
            heap_push(s->active, &s->n_active, &span, is_newer);
        } else {
            result = used_up(s, span.id);
            if (result < 0)
                return result;
        }
    }
    *begin = s->position;
    *end = s->position = limit;
    return 1;
}
