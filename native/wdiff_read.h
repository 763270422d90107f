/* Reading one wdiff file of either format in address order, record by record (wdiff-format.md sections 3.8 and 4.6). */
#ifndef WALB_WDIFF_READ_H
#define WALB_WDIFF_READ_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_format.h"

/* cffi-begin */
/* uuid and kind are for everybody, the rest is private. */
typedef struct {
    int fd, kind;
    uint8_t uuid[16];
    uint64_t file_bytes, last_end_lb;
    /* sorted: where the next pack header lies, where the data of the current pack begin
     * indexed: where the next index record is read from, where the index begins */
    uint64_t next_offset, base_offset;
    uint32_t i, n, n_left;
    union {
        walb_wdiff_pack pack;
        uint8_t index[6144];
    } u;
} walb_wdiff_reader;

/* Reads header and super block. The descriptor stays the caller's and must allow pread. */
int walb_wdiff_open(walb_wdiff_reader *r, int fd, walb_failure *f);

/* The next record. Returns 1, 0 at the end, or a failure. */
int walb_wdiff_next(walb_wdiff_reader *r, walb_wdiff_record *out, walb_failure *f);

/* Reads the stored bytes of a normal record and verifies their checksum; dst has room for them. */
int walb_wdiff_load(const walb_wdiff_reader *r, const walb_wdiff_record *record, uint8_t *dst, walb_failure *f);

/* Decodes stored bytes to the whole image of the record. */
int walb_wdiff_decode(const walb_wdiff_record *record, const uint8_t *stored, uint8_t *image, walb_failure *f);
/* cffi-end */

#endif
