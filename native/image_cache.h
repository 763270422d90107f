/* Decoded images of all inputs of a merge: pieces of one image lie apart in address order (wdiff-format.md section 4.7). */
#ifndef WALB_IMAGE_CACHE_H
#define WALB_IMAGE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define WALB_IMAGE_CACHE_SLOTS 256

typedef struct {
    uint64_t offset, used;
    uint32_t source;
    uint8_t *data;
    /* bytes is the image's length, 0 when there is none; room that of the memory. */
    size_t bytes, room;
} walb_image_slot;

typedef struct {
    walb_image_slot slots[WALB_IMAGE_CACHE_SLOTS];
    uint64_t clock;
    size_t bytes, limit_bytes;
} walb_image_cache;

/* The image of a source at an offset, or NULL. The length belongs to the key: a hostile file may claim another one for the
 * same place. */
uint8_t *walb_image_cache_find(walb_image_cache *c, uint32_t source, uint64_t offset, size_t bytes);

/* Room for a new image, which counts as absent until walb_image_cache_keep. NULL without memory. The newest image is kept
 * at any size, others as long as limit_bytes allow. */
walb_image_slot *walb_image_cache_take(walb_image_cache *c, size_t bytes);
void walb_image_cache_keep(walb_image_slot *slot, uint32_t source, uint64_t offset, size_t bytes);
void walb_image_cache_free(walb_image_cache *c);

#endif
