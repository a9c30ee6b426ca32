/* dead_letter.h - the messages of a dead letter queue: how a reject becomes one, and how the original is
 * had back from it.
 *
 * The key is the original key. The headers are the original ones, then the context, in this order:
 *
 *   dlq.format             json, raw or cut; always there, and the first
 *   dlq.error.message      dlq.error.class  dlq.error.details (the error object)
 *   dlq.failed_at          dlq.consumer_group
 *   dlq.source.topic       dlq.source.partition  dlq.source.offset  dlq.source.timestamp (ms since 1970 UTC)
 *
 * What is not known is left out. A dead letter may itself become one: its context is the last dlq.format
 * and what follows. The value, by format:
 *
 *   json  {"original_event":…,"error":"message","failed_at":"…","consumer_group":"…",
 *          "source":{"topic":…,"partition":…,"offset":…,"timestamp":…},"details":{error object}}
 *         A payload that is not JSON is a string followed by "original_event_encoding":"text", or "base64"
 *         where it is not UTF-8. A tombstone is null, with class "decode" in the details.
 *   raw   the original payload
 *   cut   as json, but original_event is the first bytes of the payload as a string, with its encoding and
 *         "original_event_size", the length of all of it; for what no broker would take whole
 */
#ifndef COMMON_DEAD_LETTER_H
#define COMMON_DEAD_LETTER_H

#include "common/line_format.h"

enum dead_letter_format { DEAD_LETTER_JSON, DEAD_LETTER_RAW, DEAD_LETTER_CUT };

/* A range of bytes that may still move. */
struct dead_letter_span {
    size_t at, len;
    bool is_null;
};

/* A message and its bytes. Start with {0}; each write or read uses its memory again; end with free. */
struct dead_letter {
    struct slice key, value; /* NULL data: null */
    const struct record_header *headers;
    size_t header_count;

    struct slice source_topic; /* dead_letter_read(): where the original was; NULL data: unknown */

    struct buffer bytes; /* everything above points in here */
    struct dead_letter_span key_span, value_span, topic_span;
    struct dead_letter_span *spans; /* name and value of each header */
    struct record_header *header_storage;
    size_t header_capacity;
};

struct dead_letter_style {
    enum dead_letter_format format;
    const char *consumer_group;
    size_t cut; /* of DEAD_LETTER_CUT: bytes of the payload, the error and key and headers that stay */
};

/* Makes the message of a reject. */
void dead_letter_write(struct dead_letter *letter, const struct line *reject,
                       const struct dead_letter_style *style);

/* Recovers the original from a line that was read from a dead letter queue: an envelope, the reject that an
 * envelope becomes when its payload is not JSON, or a bare value. NULL, or a static text that says why
 * there is none. Values in the json format are known by their members too, so that those without context
 * headers, of other publishers, are taken. */
const char *dead_letter_read(struct dead_letter *letter, const struct line *line);

/* The record that a line holds, as it is: key, headers and payload of an envelope or reject, an event. */
void dead_letter_copy(struct dead_letter *letter, const struct line *line);

void dead_letter_free(struct dead_letter *letter);

#endif
