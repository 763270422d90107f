/* Reading a whole wdiff file as an archive would, with the promises that a reader makes checked. */
#ifndef WALB_FUZZ_WDIFF_READING_H
#define WALB_FUZZ_WDIFF_READING_H

#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "wdiff_apply.h"
#include "wdiff_input.h"
#include "wdiff_read.h"

enum { IMAGE_LB = 512, IMAGE_BYTES = IMAGE_LB * 512, IMAGE_FILL = 0xa5 };

/* A file in memory that holds the bytes. */
static inline int file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("wdiff", 0);

    MUST(fd >= 0 && (size == 0 || write(fd, data, size) == (ssize_t)size));
    return fd;
}

/* Called with each record and its data (NULL for kinds without); 0 goes on. Without one, data are not read. */
typedef int (*wdiff_visit)(void *context, const walb_wdiff_record *r, const uint8_t *data);

static inline int read_data(const walb_wdiff_reader *reader, const walb_wdiff_record *r, wdiff_visit visit, void *context)
{
    uint8_t *stored = malloc((size_t)r->stored_bytes + 1), *image = malloc((size_t)r->image_lb * WALB_LB_BYTES);
    walb_failure f;
    int result;

    MUST(stored && image && (uint64_t)r->image_skip_lb + r->blocks_lb <= r->image_lb);
    result = walb_wdiff_load(reader, r, stored, &f);
    if (result == 0)
        result = walb_wdiff_decode(r, stored, image, &f);
    if (result == 0)
        result = visit(context, r, image + (size_t)r->image_skip_lb * WALB_LB_BYTES);
    free(stored);
    free(image);
    return result;
}

/* Returns 0 when every record reads and decodes, else not 0. */
static inline int read_wdiff(int fd, wdiff_visit visit, void *context)
{
    walb_wdiff_reader *reader = malloc(sizeof *reader);
    walb_wdiff_record r;
    walb_failure f;
    uint64_t end_lb = 0;
    int result;

    MUST(reader);
    f.code = 0;
    result = walb_wdiff_open(reader, fd, &f) == 0 ? 1 : f.code;
    while (result > 0 && (result = walb_wdiff_next(reader, &r, &f)) > 0) {
        int verdict;
        MUST(r.address_lb >= end_lb && r.blocks_lb > 0);
        end_lb = r.address_lb + r.blocks_lb;
        MUST(end_lb <= WALB_WDIFF_MAX_END_LB);
        if (!visit)
            continue;
        verdict = r.kind == WALB_WDIFF_NORMAL ? read_data(reader, &r, visit, context) : visit(context, &r, NULL);
        if (verdict != 0)
            result = verdict < 0 ? verdict : -verdict;
    }
    MUST(result == 0 || f.code == 0 || memchr(f.text, 0, sizeof f.text));
    free(reader);
    return result;
}

static inline int visit_nothing(void *context, const walb_wdiff_record *r, const uint8_t *data)
{
    return 0;
}

/* Applies a merge, which it frees, to an image full of IMAGE_FILL. Returns 0 or a failure. */
static inline int apply_merge(walb_wdiff_merge *m, uint8_t *image)
{
    static int fd = -1;
    walb_failure f;
    walb_wdiff_apply *a;
    walb_wdiff_applier *w;
    int result;

    if (!m)
        return -1;
    if (fd < 0)
        fd = memfd_create("image", 0);
    memset(image, IMAGE_FILL, IMAGE_BYTES);
    MUST(fd >= 0 && pwrite(fd, image, IMAGE_BYTES, 0) == IMAGE_BYTES);
    a = walb_wdiff_apply_new(m, fd, IMAGE_LB, WALB_DISCARD_ZERO, &f);
    MUST(a);
    w = walb_wdiff_applier_new(a, 1, &f);
    MUST(w);
    while ((result = walb_wdiff_apply_step(w, &f)) > 0)
        ;
    walb_wdiff_applier_free(w);
    walb_wdiff_apply_free(a);
    walb_wdiff_merge_free(m);
    MUST(lseek(fd, 0, SEEK_END) == IMAGE_BYTES && pread(fd, image, IMAGE_BYTES, 0) == IMAGE_BYTES);
    return result;
}

#endif
