/* The records of a queue file, by both headers, as they came and with right checksums of the headers. */
#include "bytes.h"
#include "checksum.h"
#include "fuzz.h"
#include "queue_file.h"

enum { HEADER_BYTES = 28 };

static void walk(const uint8_t *file, size_t size, int copy)
{
    walb_queue_walk w;
    walb_failure f;
    size_t total = 0;
    int result = walb_queue_open(&w, file, size, copy, &f);

    while (result == 0 && walb_queue_next(&w, &f) > 0) {
        MUST(w.offset + w.size <= size);
        total += w.size;
        MUST(total <= size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file = malloc(size + 1);
    int copy;

    MUST(file);
    memcpy(file, data, size);
    for (copy = 1; copy <= 2; copy++) {
        walk(file, size, copy);
        if (size >= 2 * HEADER_BYTES) {
            uint8_t *header = file + (copy - 1) * HEADER_BYTES;
            walb_put32(header, WALB_QUEUE_PREAMBLE);
            walb_put32(header + 4, 0);
            walb_put32(header + 4, walb_csum(header, HEADER_BYTES, 0));
            walk(file, size, copy);
        }
    }
    free(file);
    return 0;
}
