/* Whole reads and writes of file descriptors, and an output that gathers small writes. */
#ifndef WALB_FILE_IO_H
#define WALB_FILE_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "failure.h"

/* Reads exactly len bytes at offset; a file that ends early is corrupt. */
int walb_read_at(int fd, uint8_t *dst, size_t len, uint64_t offset, walb_failure *f);
int walb_write_at(int fd, const uint8_t *src, size_t len, uint64_t offset, walb_failure *f);
/* At the descriptor's position. */
int walb_write_all(int fd, const uint8_t *src, size_t len, walb_failure *f);

/* Appends at the descriptor's position. offset is how many bytes were put in altogether. */
typedef struct {
    int fd;
    uint8_t *buffer;
    size_t used;
    uint64_t offset;
} walb_output;

int walb_output_open(walb_output *out, int fd, walb_failure *f);
void walb_output_close(walb_output *out);
/* Long pieces are written from where they lie, behind what was gathered, in one system call. */
int walb_output_put(walb_output *out, const uint8_t *data, size_t len, walb_failure *f);
int walb_output_flush(walb_output *out, walb_failure *f);

#endif
