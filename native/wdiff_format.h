/* The blocks of wdiff files (wdiff-format.md sections 3 and 4): decoding with every check, and encoding. No I/O. */
#ifndef WALB_WDIFF_FORMAT_H
#define WALB_WDIFF_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* cffi-begin */
#define WALB_WDIFF_SORTED 0
#define WALB_WDIFF_INDEXED 1
#define WALB_WDIFF_FILE_HEADER_BYTES 32
#define WALB_WDIFF_PACK_HEADER_BYTES 4096
#define WALB_WDIFF_MAX_RECORDS 127
#define WALB_WDIFF_MAX_PACK_DATA_BYTES 33554432
/* The longest normal record written, and the grid on which longer ones are cut. */
#define WALB_WDIFF_MAX_IO_LB 2048
/* Nothing above is believed: a volume ends below 2^63 bytes, and one image is held in memory (64 MiB decoded). */
#define WALB_WDIFF_MAX_END_LB 18014398509481984U
#define WALB_WDIFF_MAX_IMAGE_LB 131072
#define WALB_WDIFF_MAX_STORED_BYTES 67239936

#define WALB_WDIFF_NORMAL 0
#define WALB_WDIFF_ZERO 2
#define WALB_WDIFF_DISCARD 4

/* A record of either format. stored_offset is absolute in the file; the record's data are blocks_lb blocks from
 * image_skip_lb of an image of image_lb blocks. For kinds without data the last six fields are 0. */
typedef struct {
    uint64_t address_lb;
    uint32_t blocks_lb;
    uint8_t kind, codec;
    uint64_t stored_offset;
    uint32_t stored_bytes, checksum, image_lb, image_skip_lb;
} walb_wdiff_record;

/* A pack header; stored_offset of its records counts from the end of the header. */
typedef struct {
    uint32_t n_records, total_bytes;
    int is_end;
    walb_wdiff_record records[127];
} walb_wdiff_pack;

/* Decodes and checks the 32 bytes; *kind is WALB_WDIFF_SORTED or WALB_WDIFF_INDEXED. */
int walb_wdiff_parse_header(const uint8_t *block, int *kind, uint8_t *uuid, walb_failure *f);
void walb_wdiff_build_header(uint8_t *block, int kind, const uint8_t *uuid);
/* cffi-end */

#define WALB_LB_BYTES 512
#define WALB_WDIFF_RECORD_BYTES 32
#define WALB_WDIFF_PACK_FIXED_BYTES 16
#define WALB_WDIFF_INDEX_BYTES 48
#define WALB_WDIFF_SUPER_BYTES 24
#define WALB_WDIFF_N_CODECS 6

/* Decodes a 4096-byte pack header that lies at `offset` (for messages) and follows records ending at *last_end_lb, which
 * it moves on. The records of a pack with the end flag are not looked at. */
int walb_wdiff_parse_pack(const uint8_t *block, uint64_t offset, uint64_t *last_end_lb, walb_wdiff_pack *pack,
                          walb_failure *f);

/* Encodes record number i into a pack header block; its data begin at data_offset of the pack. */
void walb_wdiff_build_record(uint8_t *block, uint32_t i, const walb_wdiff_record *r, uint32_t data_offset);

/* Completes a pack header block whose records are in place. */
void walb_wdiff_build_pack(uint8_t *block, uint32_t n_records, uint32_t total_bytes, int is_end);

/* Index records; images must lie between the file header and index_offset. */
int walb_wdiff_parse_index(const uint8_t *p, uint64_t offset, uint64_t index_offset, uint64_t *last_end_lb,
                           walb_wdiff_record *r, walb_failure *f);
void walb_wdiff_build_index(uint8_t *p, const walb_wdiff_record *r);

/* The super block of a file of file_bytes. */
int walb_wdiff_parse_super(const uint8_t *p, uint64_t file_bytes, uint64_t *index_offset, uint32_t *n_records,
                           walb_failure *f);
void walb_wdiff_build_super(uint8_t *p, uint64_t index_offset, uint32_t n_records, uint32_t n_data);

#endif
