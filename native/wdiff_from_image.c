#include "wdiff_from_image.h"

#include <stdlib.h>

#include "file_io.h"

#define READ_BYTES ((size_t)256 << 10)

/* The next bytes; IOs begin where the address is a multiple of io_blocks. */
static int take(walb_wdiff_part *p, const uint8_t *data, size_t len, uint64_t source_offset, uint64_t address_lb,
                uint32_t io_blocks, uint64_t end_lb, walb_failure *f)
{
    while (len > 0) {
        uint64_t in_io = address_lb % io_blocks, io_left = io_blocks - in_io;
        size_t n = len / WALB_LB_BYTES < io_left ? len : (size_t)io_left * WALB_LB_BYTES;
        int result;
        if (in_io == 0)
            walb_wdiff_part_io(p, &(walb_wdiff_io){
                                      .address_lb = address_lb,
                                      .source_offset = source_offset,
                                      .blocks_lb = (uint32_t)(end_lb - address_lb < io_blocks ? end_lb - address_lb : io_blocks),
                                  });
        result = walb_wdiff_part_data(p, data, n, f);
        if (result != 0)
            return result;
        data += n;
        len -= n;
        source_offset += n;
        address_lb += n / WALB_LB_BYTES;
    }
    return 0;
}

int walb_wdiff_from_image_part(walb_wdiff_builder *b, uint64_t number, int fd, uint64_t offset, const uint8_t *data,
                               size_t len, uint64_t address_lb, uint32_t io_blocks, walb_failure *f)
{
    walb_wdiff_part *p = walb_wdiff_part_new(b, f);
    uint8_t *buffer = data ? NULL : malloc(READ_BYTES);
    uint64_t end_lb = address_lb + len / WALB_LB_BYTES;
    int result = p && (data || buffer) ? 0 : walb_fail_memory(f);

    if (p)
        walb_wdiff_part_begin(p, number);
    if (result == 0 && data)
        result = take(p, data, len, offset, address_lb, io_blocks, end_lb, f);
    while (result == 0 && !data && len > 0) {
        size_t n = len < READ_BYTES ? len : READ_BYTES;
        result = walb_read_at(fd, buffer, n, offset, f);
        if (result == 0)
            result = take(p, buffer, n, offset, address_lb, io_blocks, end_lb, f);
        offset += n;
        len -= n;
        address_lb += n / WALB_LB_BYTES;
    }
    if (result == 0)
        result = walb_wdiff_part_end(p, f);
    if (result < 0)
        walb_wdiff_builder_stop(b);
    free(buffer);
    walb_wdiff_part_free(p);
    return result;
}
