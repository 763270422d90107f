/* Builds log packs from a list of writes (wlog-format.md section 10) and writes them into the ring. */
#ifndef WALB_WLOG_BUILD_H
#define WALB_WLOG_BUILD_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
/* A write is empty, ends behind the largest address, or takes more than about half of the ring. */
#define WALB_LOG_BAD_WRITE -20

/* Where packs go. max_pack_pb limits the data of a pack that has more than one record; 0 is no limit. */
typedef struct {
    uint64_t ring_offset_pb, ring_size_pb;
    uint32_t pbs, salt, max_pack_pb;
} walb_log_ring;

/* One write or discard. data must stay unchanged until the pieces are written. starts_pack begins a new pack with it.
 * lsid and end_lsid are results: the log of this write is [lsid, end_lsid) less headers and padding. */
typedef struct {
    uint64_t offset_lb;
    const uint8_t *data;
    uint32_t size_lb;
    uint16_t is_discard, starts_pack;
    uint64_t lsid, end_lsid;
} walb_log_write;

/* Bytes for a position of the log device. */
typedef struct {
    uint64_t position_bytes;
    const uint8_t *data;
    uint64_t len_bytes;
} walb_log_piece;

typedef struct {
    uint64_t end_lsid;
    uint32_t n_writes, n_packs, n_pieces;
} walb_log_built;

/* Forms packs from the first writes of a list, beginning at lsid, and computes all checksums. It stops before the first
 * write for which the room is short: packs may not end behind limit_lsid, headers has max_packs blocks, pieces max_pieces
 * elements. out tells how far it came; the next call begins at out->end_lsid. Returns 0 or WALB_LOG_BAD_WRITE, which
 * concerns writes[out->n_writes]; what is in out is good in both cases. A write needs at most 2 packs and 4 pieces per
 * 65528 blocks begun. */
int walb_log_pack_build(const walb_log_ring *ring, uint64_t lsid, uint64_t limit_lsid, walb_log_write *writes,
                        uint32_t n_writes, uint8_t *headers, uint32_t max_packs, walb_log_piece *pieces,
                        uint32_t max_pieces, walb_log_built *out);

/* Writes all pieces with as few system calls as their positions allow. Returns 0 or a negated errno. */
int walb_log_write_pieces(int fd, const walb_log_piece *pieces, uint32_t n_pieces);

/* Cuts a pack to its first n_records records, which are valid and at least one (section 9). */
void walb_log_pack_shrink(uint8_t *block, uint32_t pbs, uint32_t salt, uint32_t n_records);
/* cffi-end */

#endif
