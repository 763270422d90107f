#include "image_cache.h"

#include <stdlib.h>

uint8_t *walb_image_cache_find(walb_image_cache *c, uint32_t source, uint64_t offset, size_t bytes)
{
    int i;

    for (i = 0; i < WALB_IMAGE_CACHE_SLOTS; i++) {
        walb_image_slot *s = &c->slots[i];
        if (s->offset == offset && s->bytes == bytes && s->source == source) {
            s->used = ++c->clock;
            return s->data;
        }
    }
    return NULL;
}

static void drop(walb_image_cache *c, walb_image_slot *s)
{
    free(s->data);
    c->bytes -= s->room;
    *s = (walb_image_slot){0};
}

/* The slot that was not used for longest, empty ones first; NULL when only `except` holds memory. */
static walb_image_slot *oldest(walb_image_cache *c, const walb_image_slot *except, int must_hold)
{
    walb_image_slot *best = NULL;
    int i;

    for (i = 0; i < WALB_IMAGE_CACHE_SLOTS; i++) {
        walb_image_slot *s = &c->slots[i];
        if (s != except && (s->room > 0 || !must_hold) && (!best || s->used < best->used))
            best = s;
    }
    return best;
}

walb_image_slot *walb_image_cache_take(walb_image_cache *c, size_t bytes)
{
    walb_image_slot *s, *victim;
    int is_full = c->bytes + bytes > c->limit_bytes;

    /* When the limit is reached, the memory of the oldest image is used again: fresh memory is slow to touch. */
    s = oldest(c, NULL, is_full);
    if (!s)
        s = oldest(c, NULL, 0);
    s->bytes = 0;
    if (s->room < bytes || s->room / 4 > bytes) {
        drop(c, s);
        s->data = malloc(bytes);
        if (!s->data)
            return NULL;
        s->room = bytes;
        c->bytes += bytes;
    }
    s->used = ++c->clock;
    while (c->bytes > c->limit_bytes && (victim = oldest(c, s, 1)) != NULL)
        drop(c, victim);
    return s;
}

void walb_image_cache_keep(walb_image_slot *slot, uint32_t source, uint64_t offset, size_t bytes)
{
    slot->source = source;
    slot->offset = offset;
    slot->bytes = bytes;
}

void walb_image_cache_free(walb_image_cache *c)
{
    int i;

    for (i = 0; i < WALB_IMAGE_CACHE_SLOTS; i++)
        free(c->slots[i].data);
}
