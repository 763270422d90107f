/* The super sector of a log device and the header of a log file (wlog-format.md sections 3 and 13): decoding with every
 * check, and encoding. No I/O. */
#ifndef WALB_WLOG_HEADERS_H
#define WALB_WLOG_HEADERS_H

#include <stdint.h>

#include "failure.h"

/* cffi-begin */
#define WALB_LOG_RESERVED_BYTES 4096
#define WALB_LOG_FILE_HEADER_BYTES 4096

/* Sizes in physical blocks (pb) or logical blocks (lb) of 512 bytes; the name ends with NUL. */
typedef struct {
    uint32_t pbs, salt;
    uint8_t uuid[16];
    char name[32];
    uint64_t ring_size_pb, oldest_lsid, written_lsid, device_size_lb;
} walb_log_super;

/* Decodes and checks the block of pbs bytes that lies at byte WALB_LOG_RESERVED_BYTES of a log device of ldev_bytes. */
int walb_log_super_parse(const uint8_t *block, uint32_t pbs, uint64_t ldev_bytes, walb_log_super *out, walb_failure *f);

/* Fills a block of s->pbs bytes. */
void walb_log_super_build(uint8_t *block, const walb_log_super *s);

typedef struct {
    uint32_t pbs, salt;
    uint8_t uuid[16];
    uint64_t begin_lsid, end_lsid;
} walb_log_file_header;

/* The first 4096 bytes of a log file. */
int walb_log_file_header_parse(const uint8_t *block, walb_log_file_header *out, walb_failure *f);
void walb_log_file_header_build(uint8_t *block, const walb_log_file_header *h);
/* cffi-end */

#endif
