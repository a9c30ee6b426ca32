/* The reader half of line_format.h. The top level is walked once; when a member called "payload" holds an
 * object, that is walked in the same pass, since it is the event unless the line turns out to be a bare
 * event with a member of that name. */
#include "common/line_format.h"

#include "common/base64.h"

/* Members found at the top level while the line's kind is not yet known. */
struct top_level {
    struct json_value topic, partition, offset, timestamp, timestamp_type, headers, key, payload, error, ack;
    struct json_value headers_encoding, key_encoding, payload_encoding;
    unsigned members; /* how many, of any name */
    size_t first_payload_member, end_payload_member;
};

static struct json_value *slot_of(struct top_level *top, struct slice name)
{
#define SLOT(spelling, member)                                                                               \
    if (slice_equals(name, spelling, sizeof spelling - 1))                                                   \
        return &top->member;
    switch (name.len) {
    case 2:
        SLOT("ts", timestamp)
        break;
    case 3:
        SLOT("key", key)
        SLOT("ack", ack)
        break;
    case 5:
        SLOT("topic", topic)
        SLOT("error", error)
        break;
    case 6:
        SLOT("offset", offset)
        SLOT("tstype", timestamp_type)
        break;
    case 7:
        SLOT("payload", payload)
        SLOT("headers", headers)
        break;
    case 9:
        SLOT("partition", partition)
        break;
    case 12:
        SLOT("key_encoding", key_encoding)
        break;
    case 16:
        SLOT("payload_encoding", payload_encoding)
        SLOT("headers_encoding", headers_encoding)
        break;
    default:
        break;
    }
#undef SLOT
    return NULL;
}

static struct json_member *add_member(struct line *line, size_t at)
{
    if (at >= line->storage_capacity) {
        line->storage_capacity = line->storage_capacity ? line->storage_capacity * 2 : 32;
        line->storage = xreallocarray(line->storage, line->storage_capacity, sizeof *line->storage);
    }
    return &line->storage[at];
}

/* Reads the payload's members to storage[*count] on. */
static bool read_payload(struct line *line, struct json_scanner *s, struct json_value *value, size_t *count)
{
    const char *start = s->at;
    bool escaped_before = s->escaped, spaced_before = s->spaced;
    s->escaped = s->spaced = false;
    if (!json_enter_object(s))
        return false;
    struct json_member member;
    while (json_next_key(s, &member.key) && json_scan_value(s, &member.value))
        *add_member(line, (*count)++) = member;
    if (s->error)
        return false;
    *value =
        (struct json_value){JSON_OBJECT, s->escaped, s->spaced, slice_of(start, (size_t)(s->at - start))};
    s->escaped |= escaped_before;
    s->spaced |= spaced_before;
    return true;
}

/* Takes the payload's own members out from between the top level's. */
static void drop_payload_members(struct line *line, struct top_level *top, size_t *count)
{
    size_t inner = top->end_payload_member - top->first_payload_member;
    if (inner)
        memmove(line->storage + top->first_payload_member, line->storage + top->end_payload_member,
                (*count - top->end_payload_member) * sizeof *line->storage);
    *count -= inner;
    top->end_payload_member = top->first_payload_member;
}

/* The payload's members land in the middle of the top level's, as one run: either can be the event. */
static bool read_payload_member(struct line *line, struct json_scanner *s, struct top_level *top,
                                struct json_value *value, size_t *count)
{
    drop_payload_members(line, top, count); /* of an earlier payload: the last one counts */
    s->max_depth = JSON_MAX_DEPTH + 1;      /* the envelope around a payload does not count */
    size_t first = *count;
    if (json_peek_type(s) == JSON_OBJECT ? !read_payload(line, s, value, count) : !json_scan_value(s, value))
        return false;
    s->max_depth = JSON_MAX_DEPTH;
    top->first_payload_member = first;
    top->end_payload_member = *count;
    return true;
}

static void read_top_level(struct line *line, struct json_scanner *s, struct top_level *top, size_t *count)
{
    struct json_member member;
    if (!json_enter_object(s))
        return;
    while (json_next_key(s, &member.key)) {
        struct json_value *slot = member.key.escaped ? NULL : slot_of(top, member.key.text);
        if (slot == &top->payload ? !read_payload_member(line, s, top, &member.value, count)
                                  : !json_scan_value(s, &member.value))
            return;
        if (s->at == s->end)
            continue; /* cut here: a number may have had more digits */
        if (slot)
            *slot = member.value;
        top->members++;
        *add_member(line, (*count)++) = member;
    }
}

static bool read_source(struct line *line, const struct top_level *top)
{
    int64_t partition, offset;
    if (top->topic.type != JSON_STRING || top->partition.type != JSON_NUMBER ||
        top->offset.type != JSON_NUMBER)
        return false;
    /* An ack names the offset behind the record's. */
    if (!json_integer(top->partition.text, &partition) || !json_integer(top->offset.text, &offset) ||
        partition < 0 || partition > INT32_MAX || offset < 0 || offset == INT64_MAX)
        return false;
    line->has_source = true;
    line->topic = json_inner(&top->topic);
    line->partition = (int32_t)partition;
    line->offset = offset;
    return true;
}

static bool is_encoding(const struct json_value *encoding, const char *name)
{
    return encoding->type == JSON_STRING && slice_is(json_inner(encoding), name);
}

static bool is_base64(const struct json_value *encoding)
{
    return is_encoding(encoding, "base64");
}

static void take_envelope(struct line *line, const struct top_level *top)
{
    line->has_timestamp =
        top->timestamp.type == JSON_NUMBER && json_integer(top->timestamp.text, &line->timestamp_ms);
    if (top->timestamp_type.type == JSON_STRING)
        line->timestamp_type = json_inner(&top->timestamp_type);
    line->headers = top->headers;
    line->key = top->key;
    line->payload = top->payload;
    line->header_names_base64 = is_encoding(&top->headers_encoding, "base64-names");
    line->headers_base64 = line->header_names_base64 || is_base64(&top->headers_encoding);
    line->key_base64 = is_base64(&top->key_encoding);
    line->payload_base64 = is_base64(&top->payload_encoding);
    line->members = line->storage + top->first_payload_member;
    line->member_count = top->end_payload_member - top->first_payload_member;
    if (top->error.type == JSON_OBJECT) {
        line->kind = LINE_REJECT;
        line->error = top->error;
    }
}

static void take_bare_event(struct line *line, struct top_level *top, size_t count)
{
    drop_payload_members(line, top, &count);
    line->members = line->storage;
    line->member_count = count;
}

static void take_fault(struct line *line, const struct top_level *top, const char *fault, size_t offset)
{
    line->kind = LINE_INVALID;
    line->fault = fault;
    line->fault_offset = offset;
    line->payload.type = JSON_ABSENT;
    read_source(line, top);
}

void line_parse(struct line *line, struct slice text)
{
    struct json_member *storage = line->storage;
    size_t storage_capacity = line->storage_capacity;
    *line = (struct line){.kind = LINE_EVENT, .text = text};
    line->storage = storage;
    line->storage_capacity = storage_capacity;

    struct json_scanner s;
    json_scanner_init(&s, text.data, text.len);
    if (json_peek_type(&s) == JSON_ABSENT && s.at == s.end) {
        line->kind = LINE_BLANK;
        return;
    }
    s.spaced = false;
    const char *start = s.at;
    struct top_level top = {0};
    size_t count = 0;
    bool is_object = json_peek_type(&s) == JSON_OBJECT;
    if (is_object)
        read_top_level(line, &s, &top, &count);
    else
        json_scan_value(&s, &line->payload);
    const char *end = s.at;
    bool escaped = s.escaped, spaced = s.spaced;
    if (!json_at_end(&s)) {
        take_fault(line, &top, s.error, (size_t)(s.error_at - s.start));
        return;
    }
    if (!is_object)
        return;
    bool is_wrapper = top.payload.type && top.error.type == JSON_OBJECT &&
                      top.members == (top.payload_encoding.type ? 3 : 2);
    const char *fault;
    size_t fault_offset;
    if (top.ack.type == JSON_ARRAY && top.members == 1) {
        line->kind = LINE_ACK;
        line->acks = top.ack;
    } else if (is_wrapper) {
        take_envelope(line, &top);
    } else if (top.payload.type && read_source(line, &top)) {
        line->kind = LINE_ENVELOPE;
        take_envelope(line, &top);
    } else if (top.payload.type && !json_scan_document(text, &line->payload, &fault, &fault_offset)) {
        /* Its payload was a member like others, and nests one level deeper than an event may. */
        take_fault(line, &top, fault, fault_offset);
    } else {
        line->payload =
            (struct json_value){JSON_OBJECT, escaped, spaced, slice_of(start, (size_t)(end - start))};
        take_bare_event(line, &top, count);
    }
}

void line_parse_prefix(struct line *line, struct slice prefix)
{
    struct json_scanner s;
    json_scanner_init(&s, prefix.data, prefix.len);
    struct top_level top = {0};
    size_t count = 0;
    struct json_member *storage = line->storage;
    size_t storage_capacity = line->storage_capacity;
    *line = (struct line){.kind = LINE_INVALID, .text = prefix, .fault = "the line is too long"};
    line->storage = storage;
    line->storage_capacity = storage_capacity;
    read_top_level(line, &s, &top, &count);
    read_source(line, &top);
}

void line_free(struct line *line)
{
    free(line->storage);
    *line = (struct line){0};
}

const struct json_value *line_member(const struct line *line, const char *name)
{
    for (size_t i = line->member_count; i-- > 0;)
        if (json_key_is(&line->members[i].key, slice_of_string(name)))
            return &line->members[i].value;
    return NULL;
}

static bool string_bytes(const struct json_value *string, bool is_encoded, struct buffer *out)
{
    struct slice inner = json_inner(string);
    if (!is_encoded)
        return json_decode_string(inner, NUL_KEEP, out) == NULL;
    return base64_decode(out, inner);
}

bool line_correlation_id(const struct line *line, struct buffer *out)
{
    const struct json_value *id = line_member(line, "correlation_id");
    if (id && id->type == JSON_STRING && string_bytes(id, false, out))
        return true;
    return line->key.type == JSON_STRING && !line->key_base64 && string_bytes(&line->key, false, out);
}

bool line_error_member(const struct line *line, const char *name, struct buffer *out)
{
    if (line->error.type != JSON_OBJECT)
        return false;
    struct json_scanner s;
    struct json_key key;
    struct json_value value;
    json_scanner_init(&s, line->error.text.data, line->error.text.len);
    if (json_enter_object(&s))
        while (json_next_key(&s, &key) && json_scan_value(&s, &value))
            if (slice_is(key.text, name) && value.type == JSON_STRING)
                return json_decode_string(json_inner(&value), NUL_KEEP, out) == NULL;
    return false;
}

static bool is_decode_reject(const struct line *line)
{
    cleanup_buffer struct buffer class = {0};
    return line_error_member(line, "class", &class) && slice_is(buffer_slice(&class), CLASS_DECODE);
}

bool line_payload_bytes(const struct line *line, struct buffer *out)
{
    if (line->payload.type == JSON_ABSENT)
        return false;
    if (line->payload.type == JSON_STRING && line->payload_base64)
        return string_bytes(&line->payload, true, out);
    if (line->kind == LINE_REJECT && (line->payload.type == JSON_STRING || line->payload.type == JSON_NULL) &&
        is_decode_reject(line))
        return line->payload.type == JSON_STRING && string_bytes(&line->payload, false, out);
    struct slice text = line->payload.text;
    if (line->kind != LINE_EVENT) {
        /* The white space around an embedded payload is its own: the writer puts none. */
        while (text.data[-1] == ' ' || text.data[-1] == '\t')
            text.data--, text.len++;
        while (text.data[text.len] == ' ' || text.data[text.len] == '\t')
            text.len++;
    }
    buffer_append_slice(out, text);
    return true;
}

bool line_key_bytes(const struct line *line, struct buffer *out)
{
    return line->key.type == JSON_STRING && string_bytes(&line->key, line->key_base64, out);
}

bool line_headers_begin(const struct line *line, struct json_scanner *scanner)
{
    if (line->headers.type != JSON_ARRAY)
        return false;
    json_scanner_init(scanner, line->headers.text.data, line->headers.text.len);
    return json_enter_array(scanner);
}

bool line_headers_next(const struct line *line, struct json_scanner *scanner, struct buffer *storage,
                       struct slice *name, struct slice *value)
{
    struct json_value item;
    storage->len = 0;
    if (!json_next_item(scanner) || !json_scan_value(scanner, &item) || item.type != JSON_STRING ||
        !string_bytes(&item, line->header_names_base64, storage))
        return false;
    size_t name_len = storage->len;
    if (!json_next_item(scanner) || !json_scan_value(scanner, &item))
        return false;
    bool has_value = item.type == JSON_STRING;
    if (has_value && !string_bytes(&item, line->headers_base64, storage))
        return false;
    buffer_reserve(storage, 1);
    *name = slice_of(storage->data, name_len);
    *value = has_value ? slice_of(storage->data + name_len, storage->len - name_len) : slice_of(NULL, 0);
    return true;
}

bool line_acks_begin(const struct line *line, struct json_scanner *scanner)
{
    if (line->kind != LINE_ACK)
        return false;
    json_scanner_init(scanner, line->acks.text.data, line->acks.text.len);
    return json_enter_array(scanner);
}

bool line_acks_next(struct json_scanner *scanner, struct ack *ack)
{
    struct json_key key;
    struct json_value value;
    int64_t partition = -1, next = -1;
    ack->topic = slice_of(NULL, 0);
    if (!json_next_item(scanner) || !json_enter_object(scanner))
        return false;
    while (json_next_key(scanner, &key) && json_scan_value(scanner, &value)) {
        if (slice_is(key.text, "topic") && value.type == JSON_STRING)
            ack->topic = json_inner(&value);
        else if (slice_is(key.text, "partition") && value.type == JSON_NUMBER)
            json_integer(value.text, &partition);
        else if (slice_is(key.text, "next") && value.type == JSON_NUMBER)
            json_integer(value.text, &next);
    }
    if (scanner->error || !ack->topic.data || partition < 0 || partition > INT32_MAX || next < 0)
        return false;
    ack->partition = (int32_t)partition;
    ack->next = next;
    return true;
}
