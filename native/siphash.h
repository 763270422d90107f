/* SipHash-2-4 with the fixed key 00 01 .. 0f and 128 bits of result, as the `bhash` tool prints it (wdiff-format.md
 * section 11.4; not the published SipHash-128). */
#ifndef WALB_SIPHASH_H
#define WALB_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

/* cffi-begin */
typedef struct {
    uint64_t v[4], length;
    uint8_t rest[8];
} walb_siphash;

void walb_siphash_init(walb_siphash *s);
void walb_siphash_update(walb_siphash *s, const uint8_t *data, size_t len);
/* The 16 bytes; leaves the state as it was. */
void walb_siphash_digest(const walb_siphash *s, uint8_t *digest);
/* cffi-end */

#define WALB_SIPHASH_LANES 8

/* Eight messages of one length side by side; pieces of them are multiples of 8 bytes. */
typedef struct {
    uint64_t v[4][WALB_SIPHASH_LANES], length;
} walb_siphash_lanes;

void walb_siphash_lanes_init(walb_siphash_lanes *s);
/* Piece i lies at data + i * stride. */
void walb_siphash_lanes_update(walb_siphash_lanes *s, const uint8_t *data, size_t stride, size_t len);
void walb_siphash_lanes_digest(const walb_siphash_lanes *s, uint8_t *digests);

#endif
