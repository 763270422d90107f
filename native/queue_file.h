/* The durable queue file (wdiff-format.md section 12): finding its records. */
#ifndef WALB_QUEUE_FILE_H
#define WALB_QUEUE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* cffi-begin */
#define WALB_QUEUE_PREAMBLE 0x119d83a7
#define WALB_QUEUE_MAX_RECORD_BYTES 4096

/* Walks the records of a queue file, front first. offset and size are those of the payload after each step; the rest is
 * private. */
typedef struct {
    const uint8_t *file;
    size_t len, offset, size;
    uint64_t position, end;
    uint32_t salt, previous_bytes;
    int has_previous;
} walb_queue_walk;

/* Begins with header copy 1 or 2. The file's bytes stay the caller's, and must stay. */
int walb_queue_open(walb_queue_walk *w, const uint8_t *file, size_t len, int copy, walb_failure *f);

/* The next record: verified, with its link to the one before. Returns 1, 0 at the end (the stub is verified too), or a
 * failure. */
int walb_queue_next(walb_queue_walk *w, walb_failure *f);
/* cffi-end */

#endif
