#include "common/findings.h"

#include <stdarg.h>
#include <stdio.h>

static void print(const char *kind, const char *format, va_list arguments)
{
    printf("%-7s  ", kind);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout); /* each as soon as it is known: the next may take seconds */
}

void findings_ok(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print("ok", format, arguments);
    va_end(arguments);
}

void findings_warning(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print("warning", format, arguments);
    va_end(arguments);
}

void findings_fault(struct findings *findings, int exit_code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print("fault", format, arguments);
    va_end(arguments);
    if (exit_code > findings->exit_code)
        findings->exit_code = exit_code;
}
