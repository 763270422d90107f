/* A log to an indexed file, which must then be a valid one. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "log_input.h"
#include "wdiff_from_log.h"
#include "wdiff_read.h"

enum { STEP_BYTES = 5000 };

/* Every record of the file reads and decodes. */
static void check(int fd)
{
    static uint8_t stored[2 << 20], whole[2 << 20];
    walb_wdiff_reader r;
    walb_wdiff_record record;
    walb_failure f;
    int result;

    MUST(walb_wdiff_open(&r, fd, &f) == 0);
    while ((result = walb_wdiff_next(&r, &record, &f)) > 0) {
        if (record.kind != WALB_WDIFF_NORMAL)
            continue;
        MUST(record.stored_bytes <= sizeof stored && (size_t)record.image_lb * WALB_LB_BYTES <= sizeof whole);
        MUST(walb_wdiff_load(&r, &record, stored, &f) == 0 && walb_wdiff_decode(&record, stored, whole, &f) == 0);
    }
    MUST(result == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t uuid[16] = {1};
    int signs, fd, failed;

    for (signs = 0; signs < 2; signs++) {
        log_input in;
        walb_wdiff_from_log *w;
        walb_wdiff_converted converted;
        walb_failure f;
        size_t at;

        if (!take_log_input(&in, data, size, signs))
            return 0;
        fd = memfd_create("wdiff", 0);
        MUST(fd >= 0);
        w = walb_wdiff_from_log_new(fd, uuid, in.pbs, in.salt, in.begin_lsid, &f);
        failed = w == NULL;
        for (at = 0; !failed && at < in.size; at += STEP_BYTES)
            failed = walb_wdiff_from_log_feed(w, in.log + at, in.size - at < STEP_BYTES ? in.size - at : STEP_BYTES, &f);
        if (!failed && walb_wdiff_from_log_finish(w, &converted, &f) == 0)
            check(fd);
        if (w)
            walb_wdiff_from_log_free(w);
        close(fd);
        free(in.log);
    }
    return 0;
}
