/* line_reader.h - lines out of a descriptor, whatever pieces it gives them in.
 *
 *     struct line_reader reader;
 *     line_reader_init(&reader, fd, max_line);
 *     for (;;)
 *         switch (line_reader_next(&reader, &line)) {
 *         case READER_LINE: ...            // `line` is good until the next call with this reader
 *         case READER_EMPTY: line_reader_fill(&reader) ...
 *
 * The buffer is as large as the longest line needs, at most `max_line` and a bit; what is longer is
 * skipped to its end and told as READER_TOO_LONG with its first bytes.
 */
#ifndef COMMON_LINE_READER_H
#define COMMON_LINE_READER_H

#include "common/buffer.h"

enum reader_status {
    READER_LINE,     /* a line, without its LF */
    READER_TORN,     /* the last line, which had no LF */
    READER_TOO_LONG, /* the first bytes of a line longer than max_line */
    READER_EMPTY,    /* nothing whole is here: fill */
    READER_END,
};

/* What is kept of a line that is too long. */
#define READER_PREFIX 65536

struct line_reader {
    int fd;
    size_t max_line;
    struct buffer buffer;
    size_t start;   /* of the unread part */
    size_t scanned; /* no LF between start and here */
    bool skipping;  /* within a line that is too long; the prefix stands at start */
    bool is_at_end; /* read() returned 0 */
    uint64_t bytes_read;
};

void line_reader_init(struct line_reader *reader, int fd, size_t max_line);
void line_reader_free(struct line_reader *reader);
enum reader_status line_reader_next(struct line_reader *reader, struct slice *line);
/* One read(). > 0: bytes read; 0: the end; -1: errno says why (EAGAIN and EINTR among it). */
ssize_t line_reader_fill(struct line_reader *reader);

#endif
