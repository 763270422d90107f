/* Reading one wdiff file of either format in address order, record by record (wdiff-format.md sections 3.8 and 4.6). */
#ifndef WALB_WDIFF_READ_H
#define WALB_WDIFF_READ_H

#include <stddef.h>
#include <stdint.h>

#include "wdiff_format.h"

/* cffi-begin */
/* Visible records of many IOs, sorted, as walb_wdiff_builder sets them down in a temporary file of its own. Images lie in
 * another file, or, with WALB_WDIFF_IN_SOURCE in stored_offset, in a third. */
typedef struct {
    int fd, images_fd, source_fd;
    uint64_t offset, n_records;
} walb_wdiff_run;

/* uuid and kind are for everybody, the rest is private. */
typedef struct {
    int fd, kind, images_fd, source_fd;
    uint8_t uuid[16];
    uint64_t file_bytes, last_end_lb;
    /* sorted: where the next pack header lies, where the data of the current pack begin
     * indexed: where the next index record is read from, where the index begins */
    uint64_t next_offset, base_offset;
    uint32_t i, n;
    uint64_t n_left;
    union {
        walb_wdiff_pack pack;
        uint8_t index[6144];
        walb_wdiff_record run[128];
    } u;
} walb_wdiff_reader;

/* Reads header and super block. The descriptor stays the caller's and must allow pread. */
int walb_wdiff_open(walb_wdiff_reader *r, int fd, walb_failure *f);

/* The records of a run, which are trusted. */
void walb_wdiff_open_run(walb_wdiff_reader *r, const walb_wdiff_run *run);

/* The next record. Returns 1, 0 at the end, or a failure. */
int walb_wdiff_next(walb_wdiff_reader *r, walb_wdiff_record *out, walb_failure *f);

/* Reads the stored bytes of a normal record and verifies their checksum; dst has room for them. */
int walb_wdiff_load(const walb_wdiff_reader *r, const walb_wdiff_record *record, uint8_t *dst, walb_failure *f);

/* Decodes stored bytes to the whole image of the record. */
int walb_wdiff_decode(const walb_wdiff_record *record, const uint8_t *stored, uint8_t *image, walb_failure *f);
/* cffi-end */

#define WALB_WDIFF_RUN 2
#define WALB_WDIFF_IN_SOURCE ((uint64_t)1 << 63)

#endif
