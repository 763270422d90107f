#include "pending_writes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LB_BYTES = 512, FIRST_CAPACITY = 256 };

/* Small, so that a search over thousands stays within the processor's cache. */
typedef struct {
    uint64_t begin_lb, end_lb;
    const uint8_t *data; /* NULL for a discard, which reads as zeros */
} span;

struct walb_pending {
    span *spans;
    uint32_t first, count, capacity;
};

walb_pending *walb_pending_new(void)
{
    walb_pending *p = malloc(sizeof *p);
    span *spans = malloc(FIRST_CAPACITY * sizeof *spans);

    if (!p || !spans) {
        free(p);
        free(spans);
        return NULL;
    }
    *p = (walb_pending){spans, 0, 0, FIRST_CAPACITY};
    return p;
}

void walb_pending_free(walb_pending *p)
{
    free(p->spans);
    free(p);
}

/* Makes room behind the last one. */
static int reserve(walb_pending *p, uint32_t n)
{
    uint32_t capacity = p->capacity;
    span *spans;

    if (p->first + p->count + n <= p->capacity)
        return 0;
    memmove(p->spans, p->spans + p->first, p->count * sizeof *p->spans);
    p->first = 0;
    /* Half stays empty, so that moving down is rare. */
    while (capacity < 2 * (p->count + n))
        capacity *= 2;
    if (capacity == p->capacity)
        return 0;
    spans = realloc(p->spans, capacity * sizeof *spans);
    if (!spans)
        return -ENOMEM;
    p->spans = spans;
    p->capacity = capacity;
    return 0;
}

int walb_pending_add(walb_pending *p, const walb_log_write *writes, uint32_t n_writes)
{
    uint32_t i;

    if (reserve(p, n_writes) != 0)
        return -ENOMEM;
    for (i = 0; i < n_writes; i++) {
        const walb_log_write *w = &writes[i];
        p->spans[p->first + p->count++] =
            (span){w->offset_lb, w->offset_lb + w->size_lb, w->is_discard ? NULL : w->data};
    }
    return 0;
}

void walb_pending_drop(walb_pending *p, uint32_t n_writes)
{
    p->first += n_writes;
    p->count -= n_writes;
}

uint32_t walb_pending_count(const walb_pending *p)
{
    return p->count;
}

int walb_pending_touches(const walb_pending *p, uint64_t offset_lb, uint64_t size_lb)
{
    const uint64_t end_lb = offset_lb + size_lb;
    const span *s = p->spans + p->first, *end = s + p->count;

    for (; s < end; s++)
        if (s->begin_lb < end_lb && offset_lb < s->end_lb)
            return 1;
    return 0;
}

void walb_pending_copy(const walb_pending *p, uint64_t offset_lb, uint32_t size_lb, uint8_t *data, uint8_t *is_held)
{
    const uint64_t end_lb = offset_lb + size_lb;
    const span *s = p->spans + p->first, *end = s + p->count;

    for (; s < end; s++) {
        const uint64_t from = s->begin_lb > offset_lb ? s->begin_lb : offset_lb;
        const uint64_t to = s->end_lb < end_lb ? s->end_lb : end_lb;
        uint8_t *target;

        if (from >= to)
            continue;
        target = data + (from - offset_lb) * LB_BYTES;
        if (s->data)
            memcpy(target, s->data + (from - s->begin_lb) * LB_BYTES, (to - from) * LB_BYTES);
        else
            memset(target, 0, (to - from) * LB_BYTES);
        memset(is_held + (from - offset_lb), 1, to - from);
    }
}

uint32_t walb_pending_spans(const walb_pending *p, uint64_t offset_lb, uint64_t size_lb, uint64_t *spans)
{
    const uint64_t end_lb = offset_lb + size_lb;
    const span *s = p->spans + p->first, *end = s + p->count;
    uint32_t n = 0;

    for (; s < end; s++)
        if (s->begin_lb < end_lb && offset_lb < s->end_lb) {
            spans[2 * n] = s->begin_lb;
            spans[2 * n + 1] = s->end_lb;
            n++;
        }
    return n;
}

void walb_pending_overlay(uint8_t *data, const uint8_t *held, const uint8_t *is_held, uint32_t size_lb)
{
    uint32_t i;

    for (i = 0; i < size_lb; i++)
        if (is_held[i])
            memcpy(data + (size_t)i * LB_BYTES, held + (size_t)i * LB_BYTES, LB_BYTES);
}
