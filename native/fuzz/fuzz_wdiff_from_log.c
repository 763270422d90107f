/* A log to an indexed file as it comes, and from a file to a sorted one: valid files of the same content. */
#include "wdiff_reading.h"
#include "log_input.h"
#include "wdiff_from_log.h"
#include "wdiff_pack.h"

enum { STEP_BYTES = 5000 };

static const uint8_t uuid[16] = {1};

/* The log as it comes, cut into steps, as an indexed file in fd. Returns 0 when it is all good. */
static int feed(const log_input *in, int fd)
{
    uint8_t header[WALB_WDIFF_FILE_HEADER_BYTES];
    walb_failure f;
    walb_wdiff_builder *b;
    walb_wdiff_from_log *w;
    uint64_t lsid, file_bytes;
    uint32_t n_records;
    size_t at;
    int result = 0;

    walb_wdiff_build_header(header, WALB_WDIFF_INDEXED, uuid);
    MUST(write(fd, header, sizeof header) == sizeof header);
    b = walb_wdiff_builder_new(fd, sizeof header, 0, -1, 0, WALB_WDIFF_MAX_IO_LB, 1, &f);
    MUST(b);
    w = walb_wdiff_from_log_new(b, 0, in->pbs, in->salt, in->begin_lsid, &f);
    MUST(w);
    for (at = 0; result == 0 && at < in->size; at += STEP_BYTES)
        result = walb_wdiff_from_log_feed(w, in->log + at, in->size - at < STEP_BYTES ? in->size - at : STEP_BYTES, &f);
    if (result == 0)
        result = walb_wdiff_from_log_end(w, &lsid, &f);
    if (result == 0) {
        MUST(walb_wdiff_builder_finish_indexed(b, WALB_WDIFF_MAX_IO_LB, &n_records, &file_bytes, &f) == 0);
        MUST((uint64_t)lseek(fd, 0, SEEK_END) == file_bytes && read_wdiff(fd, visit_nothing, NULL) == 0);
    }
    walb_wdiff_from_log_free(w);
    walb_wdiff_builder_free(b);
    return result;
}

/* The same from a file, not strict, as runs of a few records that are applied to an image. */
static int walk(const log_input *in, uint8_t *image)
{
    int log_fd = file_of(in->log, in->size), images_fd = file_of(NULL, 0), run_fd = file_of(NULL, 0), result;
    walb_failure f;
    walb_wdiff_builder *b = walb_wdiff_builder_new(images_fd, 0, 1, run_fd, 3, WALB_WDIFF_MAX_IO_LB, 0, &f);
    walb_log_walk *w = walb_log_walk_new(log_fd, 0, in->size, in->pbs, in->salt, in->begin_lsid, 0, 0, &f);
    const walb_wdiff_run *runs;
    walb_log_walk_end end;
    size_t n;

    MUST(b && w && walb_wdiff_builder_source(b, log_fd, &f) == 0);
    result = walb_wdiff_from_log_parts(b, w, &f);
    if (result == 0) {
        walb_log_walk_get_end(w, &end);
        MUST(end.offset <= in->size && end.lsid >= in->begin_lsid);
        MUST(walb_wdiff_builder_runs(b, &runs, &n, &f) == 0);
        result = apply_merge(walb_wdiff_merge_new_runs(runs, n, uuid, &f), image);
    }
    walb_log_walk_free(w);
    walb_wdiff_builder_free(b);
    close(log_fd);
    close(images_fd);
    close(run_fd);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t fed[IMAGE_BYTES], walked[IMAGE_BYTES];
    int signs;

    for (signs = 0; signs < 2; signs++) {
        log_input in;
        walb_failure f;
        int fd, failed;

        if (!take_log_input(&in, data, size, signs))
            return 0;
        fd = file_of(NULL, 0);
        failed = feed(&in, fd);
        if (walb_log_is_pbs(in.pbs) && walk(&in, walked) == 0 && !failed)
            MUST(apply_merge(walb_wdiff_merge_new(&fd, 1, 1, 0, &f), fed) == 0 && memcmp(fed, walked, sizeof fed) == 0);
        close(fd);
        free(in.log);
    }
    return 0;
}
