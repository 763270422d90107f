/* How C functions report what went wrong: a code for the caller, a text for the operator. */
#ifndef WALB_FAILURE_H
#define WALB_FAILURE_H

#include <stdint.h>

/* cffi-begin */
#define WALB_FAIL_CORRUPT -1
#define WALB_FAIL_SYSTEM -2
#define WALB_FAIL_MEMORY -3
#define WALB_FAIL_RANGE -4
/* Another thread of the same work failed. */
#define WALB_FAIL_STOPPED -5

/* source is the number of the input the failure belongs to, -1 for the output; sys_errno belongs to WALB_FAIL_SYSTEM. */
typedef struct {
    int code, sys_errno, source;
    char text[228];
} walb_failure;
/* cffi-end */

/* Fills in all but source and returns the code, so that callers write `return walb_fail(...)`. */
int walb_fail(walb_failure *f, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a failed system call, with errno. */
int walb_fail_system(walb_failure *f, const char *what);

int walb_fail_memory(walb_failure *f);

#endif
