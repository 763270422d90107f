/* The pack builder: what it makes of any list of writes is read back as that list, inside the ring and the limit. */
#include "fuzz.h"
#include "bytes.h"
#include "wlog_build.h"
#include "wlog_parse.h"

enum { MAX_WRITES = 64, MAX_PACKS = 40, MAX_PIECES = 200, WRITE_BYTES = 8, MAX_WRITE_LB = 300 };

static uint8_t content[MAX_WRITE_LB * 512];

/* Checks the packs in order: positions follow the ring, headers parse, records are the writes. */
static void check(const walb_log_ring *ring, uint64_t lsid, const walb_log_write *writes, const uint8_t *headers,
                  const walb_log_built *built)
{
    uint32_t p, i, w = 0;
    uint64_t done_lb = 0;
    walb_log_pack pack;

    for (p = 0; p < built->n_packs; p++) {
        MUST(walb_log_pack_parse(headers + (size_t)p * ring->pbs, ring->pbs, ring->salt, lsid, &pack) == 0);
        for (i = 0; i < pack.n_records; i++) {
            const walb_log_record *r = &pack.records[i];
            uint64_t at = r->lsid % ring->ring_size_pb;
            if (r->flags & WALB_LOG_PADDING)
                continue;
            MUST(w < built->n_writes && r->offset_lb == writes[w].offset_lb + done_lb);
            MUST(!(r->flags & WALB_LOG_DISCARD) == !writes[w].is_discard);
            if (!(r->flags & WALB_LOG_DISCARD))
                MUST(at + walb_log_lb_to_pb(r->size_lb, ring->pbs) <= ring->ring_size_pb);
            done_lb += r->size_lb;
            MUST(r->lsid >= writes[w].lsid && done_lb <= writes[w].size_lb);
            if (done_lb == writes[w].size_lb) {
                w++;
                done_lb = 0;
            }
        }
        lsid += 1 + pack.total_pb;
    }
    MUST(lsid == built->end_lsid && w == built->n_writes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static walb_log_write writes[MAX_WRITES];
    static walb_log_piece pieces[MAX_PIECES];
    uint8_t *headers;
    walb_log_ring ring;
    walb_log_built built;
    uint32_t n = 0, max_packs, max_pieces;
    uint64_t lsid, limit_lsid;

    if (size < 24)
        return 0;
    ring = (walb_log_ring){3, 1 + walb_get16(data) % 3000, 512u << data[2] % 4, walb_get32(data + 4), data[3]};
    lsid = walb_get32(data + 8);
    limit_lsid = lsid + walb_get16(data + 12) % (2 * ring.ring_size_pb);
    max_packs = data[14] % MAX_PACKS;
    max_pieces = data[15] % MAX_PIECES;
    for (data += 16, size -= 16; size >= WRITE_BYTES && n < MAX_WRITES; data += WRITE_BYTES, size -= WRITE_BYTES)
        writes[n++] = (walb_log_write){walb_get32(data + 4), content, walb_get16(data) % MAX_WRITE_LB, data[2] % 4 == 0,
                                       data[2] % 8 == 1, 0, 0};
    headers = malloc((size_t)max_packs * ring.pbs + 1);
    MUST(headers);
    walb_log_pack_build(&ring, lsid, limit_lsid, writes, n, headers, max_packs, pieces, max_pieces, &built);
    MUST(built.n_packs <= max_packs && built.n_pieces <= max_pieces && built.end_lsid <= limit_lsid);
    check(&ring, lsid, writes, headers, &built);
    free(headers);
    return 0;
}
