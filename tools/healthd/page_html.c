/* page_html.c - the bytes of page.html, put in by the assembler. */
#include "page.h"

__asm__(".pushsection .rodata\n"
        ".local page_html_start, page_html_end\n"
        "page_html_start: .incbin \"tools/healthd/page.html\"\n"
        "page_html_end: .byte 0\n"
        ".popsection\n");

extern const char page_html_start[], page_html_end[];

struct slice page_template(void)
{
    return slice_of(page_html_start, (size_t)(page_html_end - page_html_start));
}
