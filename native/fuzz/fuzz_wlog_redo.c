/* Redo of a log onto a small device, the cut of its last pack, and the search for stale packs. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "log_input.h"
#include "wlog_build.h"
#include "wlog_redo.h"

enum { DEVICE_LB = 4096 };

static void redo(const log_input *in, int fd)
{
    walb_log_redo r;
    uint64_t n_pb = in->size / in->pbs;
    int result = WALB_LOG_MORE;

    walb_log_redo_init(&r, in->pbs, in->salt, in->begin_lsid, UINT64_MAX, fd, DEVICE_LB, in->salt & 1);
    while (result == WALB_LOG_MORE && r.read_lsid - in->begin_lsid < n_pb) {
        uint64_t at = r.read_lsid - in->begin_lsid, before = r.read_lsid, give = n_pb - at;
        if (give > r.need_pb)
            give = r.need_pb;
        result = walb_log_redo_feed(&r, in->log + at * in->pbs, give);
        MUST(r.read_lsid >= r.next_lsid);
        if (result == WALB_LOG_MORE && r.read_lsid == before && r.need_pb > n_pb - at)
            break;
    }
    if (result == WALB_LOG_BAD_DATA && r.record > 0) {
        walb_log_pack cut;
        walb_log_pack_shrink(r.block, in->pbs, in->salt, r.record);
        MUST(walb_log_pack_parse(r.block, in->pbs, in->salt, r.next_lsid, &cut) == 0);
        MUST(r.next_lsid + 1 + cut.total_pb == r.read_lsid);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("redo", 0), signs;

    MUST(fd >= 0 && ftruncate(fd, DEVICE_LB * 512) == 0);
    for (signs = 0; signs < 2; signs++) {
        log_input in;
        uint64_t index = 0;
        if (!take_log_input(&in, data, size, signs))
            break;
        if (walb_log_is_pbs(in.pbs)) {
            uint64_t end_lsid = in.begin_lsid;
            redo(&in, fd);
            walb_log_follow(in.log, in.size / in.pbs, in.pbs, in.salt, &end_lsid);
            while (walb_log_find_stale(in.log, in.size / in.pbs, in.begin_lsid, in.pbs, in.salt, &index))
                index++;
        }
        free(in.log);
    }
    MUST(lseek(fd, 0, SEEK_END) == DEVICE_LB * 512);
    close(fd);
    return 0;
}
