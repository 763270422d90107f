/* A log to an indexed file, which must then be a valid one, and to a sorted one. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "log_input.h"
#include "wdiff_from_log.h"
#include "wdiff_pack.h"

enum { STEP_BYTES = 5000 };

static const uint8_t uuid[16] = {1};

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

/* A descriptor that vanishes. */
static int temporary(void)
{
    int fd = memfd_create("wdiff", 0);

    MUST(fd >= 0);
    return fd;
}

/* As the bytes come, to an indexed file. */
static void feed(const log_input *in)
{
    uint8_t header[WALB_WDIFF_FILE_HEADER_BYTES];
    int fd = temporary();
    walb_failure f;
    walb_wdiff_builder *b = walb_wdiff_builder_new(fd, sizeof header, 0, -1, 0, WALB_WDIFF_MAX_IO_LB, 1, &f);
    walb_wdiff_from_log *w = walb_wdiff_from_log_new(b, 0, in->pbs, in->salt, in->begin_lsid, &f);
    uint64_t end_lsid, file_bytes;
    uint32_t n_records;
    size_t at;
    int failed = 0;

    MUST(b && w);
    walb_wdiff_build_header(header, WALB_WDIFF_INDEXED, uuid);
    MUST(write(fd, header, sizeof header) == sizeof header);
    for (at = 0; !failed && at < in->size; at += STEP_BYTES)
        failed = walb_wdiff_from_log_feed(w, in->log + at, in->size - at < STEP_BYTES ? in->size - at : STEP_BYTES, &f);
    if (!failed && walb_wdiff_from_log_end(w, &end_lsid, &f) == 0) {
        MUST(walb_wdiff_builder_finish_indexed(b, WALB_WDIFF_MAX_IO_LB, &n_records, &file_bytes, &f) == 0);
        check(fd);
    }
    walb_wdiff_from_log_free(w);
    walb_wdiff_builder_free(b);
    close(fd);
}

/* From a file in parts, through runs of a few records, to packs. */
static void convert(const log_input *in)
{
    int source = temporary(), images = temporary(), runs_fd = temporary(), out = temporary();
    walb_failure f;
    walb_wdiff_builder *b = walb_wdiff_builder_new(images, 0, 1, runs_fd, 3, WALB_WDIFF_MAX_IO_LB, 0, &f);
    walb_log_walk *w = walb_log_walk_new(source, 0, in->size, in->pbs, in->salt, in->begin_lsid, 0, 0, &f);
    const walb_wdiff_run *runs;
    size_t n_runs;

    MUST(b && w && write(source, in->log, in->size) == (ssize_t)in->size);
    MUST(walb_wdiff_builder_source(b, source, &f) == 0);
    if (walb_wdiff_from_log_parts(b, w, &f) == 0) {
        walb_wdiff_merge *m;
        walb_wdiff_pack_writer *p;
        MUST(walb_wdiff_builder_runs(b, &runs, &n_runs, &f) == 0);
        m = walb_wdiff_merge_new_runs(runs, n_runs, uuid, &f);
        MUST(m);
        p = walb_wdiff_pack_writer_new(m, 2, 0, 1, out, 0, 1, &f);
        MUST(p && walb_wdiff_write_packs(p, &f) == 0);
        walb_wdiff_pack_writer_free(p);
        walb_wdiff_merge_free(m);
    }
    walb_log_walk_free(w);
    walb_wdiff_builder_free(b);
    close(source);
    close(images);
    close(runs_fd);
    close(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int signs;

    for (signs = 0; signs < 2; signs++) {
        log_input in;
        if (!take_log_input(&in, data, size, signs))
            return 0;
        feed(&in);
        if (walb_log_is_pbs(in.pbs))
            convert(&in);
        free(in.log);
    }
    return 0;
}
