/* The usual requests of an NBD client, many in one call: small reads that need no waiting are answered, writes become
 * log records to be. Whatever is unusual is left to the caller. */
#ifndef WALB_NBD_REQUESTS_H
#define WALB_NBD_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

#include "wlog_build.h"

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

#define WALB_NBD_REPLY_BYTES 16

typedef struct {
    size_t request_bytes; /* taken from the requests */
    uint64_t log_bytes;   /* of data */
    uint32_t n_writes;
    int is_fua;           /* all of them or none */
} walb_nbd_taken;

/* Takes the writes that lie at the begin of the requests, one behind the other, up to the first request that is something
 * else, incomplete, not allowed, longer than a log record may be, or differs from the first in FUA. Puts one structure
 * for each, whose data stay where they are, and the reply that tells of success, WALB_NBD_REPLY_BYTES long. */
void walb_nbd_take_writes(uint64_t device_bytes, uint32_t max_record_lb, const uint8_t *requests, size_t request_bytes,
                          walb_log_write *writes, uint8_t *replies, uint32_t max_writes, walb_nbd_taken *out);
/* cffi-end */

#endif
