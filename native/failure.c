#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

int walb_fail(walb_failure *f, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    f->sys_errno = 0;
    return f->code = code;
}

int walb_fail_system(walb_failure *f, const char *what)
{
    int number = errno;

    walb_fail(f, WALB_FAIL_SYSTEM, "%s", what);
    f->sys_errno = number;
    return WALB_FAIL_SYSTEM;
}

int walb_fail_memory(walb_failure *f)
{
    return walb_fail(f, WALB_FAIL_MEMORY, "out of memory");
}
