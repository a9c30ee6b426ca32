/* page.h - the page for people: page.html with the figures of a snapshot in the places marked {{so}}. */
#ifndef HEALTHD_PAGE_H
#define HEALTHD_PAGE_H

#include "monitor.h"

void page_write(struct buffer *out, const struct monitor *monitor, const struct verdict *verdict);

/* page_status.c: the banner. */
void page_write_status(struct buffer *out, const struct monitor *monitor, const struct verdict *verdict);

/* page_html.c: the bytes of page.html. */
struct slice page_template(void);

#endif
