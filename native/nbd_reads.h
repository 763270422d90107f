/* Small reads of an NBD client that need no waiting: found in the received bytes, read from the page cache and turned
 * into answers in one call. */
#ifndef WALB_NBD_READS_H
#define WALB_NBD_READS_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
typedef struct {
    int data_fd;
    int is_structured;       /* answers are structured replies, else simple ones */
    uint64_t device_bytes;
    uint32_t max_read_bytes; /* longer reads are left */
} walb_nbd_source;

typedef struct {
    size_t request_bytes; /* taken from the requests */
    size_t answer_bytes;  /* put into the answers */
    int is_refused;       /* the data device cannot be read without waiting at all */
} walb_nbd_answered;

/* Answers the reads that lie at the begin of the requests, one behind the other, up to the first request that is
 * something else, incomplete, not allowed, not in the page cache or has no room for its answer. */
void walb_nbd_answer_reads(const walb_nbd_source *source, const uint8_t *requests, size_t request_bytes,
                           uint8_t *answers, size_t answer_bytes, walb_nbd_answered *out);
/* cffi-end */

#endif
