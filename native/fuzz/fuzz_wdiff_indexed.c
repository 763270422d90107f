/* Indexed files: every record is read and decoded. */
#include "wdiff_reading.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    int signs;

    MUST(copy);
    memcpy(copy, data, size);
    for (signs = 0; signs < 2; signs++) {
        int fd;
        if (signs && size > WALB_WDIFF_FILE_HEADER_BYTES) {
            copy[6] = WALB_WDIFF_INDEXED;
            sign_wdiff(copy, size);
        }
        fd = file_of(copy, size);
        read_wdiff(fd, visit_nothing, NULL);
        close(fd);
    }
    free(copy);
    return 0;
}
