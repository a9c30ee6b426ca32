/* line_format.h - the one reader and the one writer of what flows through the pipes.
 *
 * Every line is one JSON value and ends with LF:
 *
 *   event     {"correlation_id":…}                       a bare object, as in a file of events
 *   envelope  {"topic":…,"partition":…,"offset":…,"tstype":…,"ts":…,"broker":…,"headers":[k,v,…],
 *              "key":…,"payload":…}                      one Kafka record, with kcat -J's member names
 *   wrapper   {"payload":…}                              a bare event that has an error to carry, and
 *                                                        nothing else
 *   reject    an envelope or wrapper with "error":{…} as its last member
 *   ack       {"ack":[{"topic":…,"partition":…,"next":42}]}
 *   blank     nothing: the end of a paragraph
 *
 * A payload that is valid JSON is embedded as it is (line breaks between tokens become spaces). Any other
 * payload is a JSON string, or base64 with "payload_encoding":"base64" where it is not UTF-8; "key" with
 * "key_encoding" and "headers" (their values; names too for "base64-names") with "headers_encoding" likewise.
 * Optional members are left out: headers when there are none, the encodings unless base64, ts when the record
 * has no time.
 *
 * The error's class tells what a reject's string payload is: "decode" (the payload was no JSON) means that
 * the string is the payload's bytes; any other class, that the payload was this JSON string.
 */
#ifndef COMMON_LINE_FORMAT_H
#define COMMON_LINE_FORMAT_H

#include "common/json_scan.h"

enum line_kind {
    LINE_BLANK,
    LINE_EVENT,    /* the payload is the whole line; it may be any JSON value, an object if all is well */
    LINE_ENVELOPE, /* has_source is true */
    LINE_REJECT,   /* an envelope (has_source) or wrapper that carries an error */
    LINE_ACK,
    LINE_INVALID, /* not JSON; fault and fault_offset say why, and the source where it could be read */
};

struct json_member {
    struct json_key key;
    struct json_value value;
};

/* A line taken apart. Slices point into its text. The array of members is owned by the struct and used
 * again by the next line_parse: start with {0} and end with line_free(). */
struct line {
    enum line_kind kind;
    struct slice text; /* without the LF */

    bool has_source; /* topic, partition and offset are known */
    struct slice topic;
    int32_t partition;
    int64_t offset;

    bool has_timestamp;
    int64_t timestamp_ms;        /* the record's, since 1970 UTC */
    struct slice timestamp_type; /* "create" or "logappend" */
    struct json_value headers;   /* array, or absent */
    struct json_value key;       /* string or null, or absent */
    struct json_value payload;   /* absent in an ack and an invalid line */
    struct json_value error;     /* object, of a reject */
    struct json_value acks;      /* array, of an ack */
    bool headers_base64, header_names_base64, key_base64, payload_base64;

    /* The payload's members where it is an object: the event, ready for use. */
    struct json_member *members;
    size_t member_count;

    const char *fault;
    size_t fault_offset;

    struct json_member *storage;
    size_t storage_capacity;
};

/* Takes a line apart in one pass over its bytes. */
void line_parse(struct line *line, struct slice text);
/* For a line that was cut because it is too long: what can be known of its source. */
void line_parse_prefix(struct line *line, struct slice prefix);
void line_free(struct line *line);

/* The event's own correlation id, else the record's key, resolved; false if it has neither. */
bool line_correlation_id(const struct line *line, struct buffer *out);

/* The event's member of that name, with or without escapes in it; the last one if it is given twice, or
 * NULL. */
const struct json_value *line_member(const struct line *line, const char *name);

/* A reject's error message, resolved, appended to `out`; so its "class" and others by name.
 * False if there is none. */
bool line_error_member(const struct line *line, const char *name, struct buffer *out);

/* The original bytes of payload and key, appended: base64 decoded, and strings of a reject resolved.
 * False where there are none (null or absent). */
bool line_payload_bytes(const struct line *line, struct buffer *out);
bool line_key_bytes(const struct line *line, struct buffer *out);

/* Visits the headers: `name` and `value` (NULL data: null) resolved into `storage`, which is emptied at
 * each call. Start with *scanner from line_headers_begin (false: there are none). */
bool line_headers_begin(const struct line *line, struct json_scanner *scanner);
bool line_headers_next(const struct line *line, struct json_scanner *scanner, struct buffer *storage,
                       struct slice *name, struct slice *value);

/* One partition's part of an ack: every record below `next` is safe. */
struct ack {
    struct slice topic;
    int32_t partition;
    int64_t next;
};

/* Visits the parts of an ack line; the topic is a slice of the line. */
bool line_acks_begin(const struct line *line, struct json_scanner *scanner);
bool line_acks_next(struct json_scanner *scanner, struct ack *ack);

void ack_write(struct buffer *out, const struct ack *acks, size_t count);

#define CLASS_DECODE "decode" /* the payload is no JSON */
#define CLASS_DATA "data"     /* it is JSON, and cannot be stored as it is */

/* What is wrong with a record. Absent members: NULL. */
struct line_error {
    const char *tool;
    const char *class; /* CLASS_DECODE or CLASS_DATA */
    const char *sqlstate;
    const char *column;
    const char *message;
    int64_t at; /* microseconds since 1970 UTC */
};

/* One Kafka record, to be written as an envelope. */
struct record_header {
    const char *name;
    struct slice value; /* NULL data: null */
};
struct record {
    struct slice topic;
    int32_t partition;
    int64_t offset;
    const char *timestamp_type; /* NULL: the record has no time */
    int64_t timestamp_ms;
    int32_t broker;       /* < 0: unknown, left out */
    struct slice key;     /* NULL data: absent */
    struct slice payload; /* NULL data: a tombstone */
    const struct record_header *headers;
    size_t header_count;
};

/* Appends the record as an envelope and LF. Returns false where its payload is no JSON: the envelope is a
 * reject then, with an error of `tool`. */
bool record_write(struct buffer *out, const struct record *record, const char *tool);
/* Appends the payload alone and LF; a payload that is no JSON becomes a wrapper with an error (false). */
bool record_write_bare(struct buffer *out, const struct record *record, const char *tool);

/* Appends `line` with `error` as its last member and LF: an envelope keeps its members, an event and a
 * line that is no JSON are wrapped. */
void reject_write(struct buffer *out, const struct line *line, const struct line_error *error);

#endif
