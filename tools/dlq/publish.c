/* The mode that publishes events as they are. */
#include "dlq.h"

#include <sysexits.h>

static void leave_out(struct dlq *dlq, uint64_t line_number, const char *why)
{
    log_error(&dlq->log, "line %llu is left out: %s", (unsigned long long)line_number, why);
    dlq->exit_status = EX_DATAERR;
}

/* The key of an event: its member as it is, a string without quotes and escapes. NULL data if it has none. */
static struct slice find_key(struct dlq *dlq)
{
    const struct json_value *member = line_member(&dlq->line, dlq->settings.key_member);
    if (!member || member->type == JSON_NULL)
        return slice_of(NULL, 0);
    if (member->type != JSON_STRING)
        return member->text;
    if (!member->escaped)
        return json_inner(member);
    dlq->key.len = 0;
    return json_decode_string(json_inner(member), NUL_KEEP, &dlq->key) ? json_inner(member)
                                                                       : buffer_slice(&dlq->key);
}

static bool take(struct dlq *dlq)
{
    const struct line *line = &dlq->line;
    if (dlq->is_cut_line || line->kind == LINE_INVALID) {
        cleanup_free char *why = xasprintf("%s at byte %zu", line->fault, line->fault_offset);
        leave_out(dlq, dlq->line_number, dlq->is_cut_line ? "it is longer than --max-line" : why);
        return true;
    }
    struct message message = {.topic =
                                  dlq->settings.topic ? dlq->settings.topic : dlq->settings.default_topic};
    if (line->kind == LINE_EVENT) { /* by far the most: nothing is copied */
        message.value = line->payload.text;
    } else {
        dead_letter_copy(&dlq->letter, line);
        message.key = dlq->letter.key;
        message.value = dlq->letter.value;
        message.headers = dlq->letter.headers;
        message.header_count = dlq->letter.header_count;
    }
    if (!message.key.data)
        message.key = find_key(dlq);
    message.sequence = dlq_enter(dlq, (struct delivery){.bytes = line->text.len});
    publisher_send(&dlq->publisher, &message);
    return true;
}

static void confirmed(struct dlq *dlq, struct delivery *delivery)
{
    (void)delivery;
    dlq->published++;
}

static bool too_large(struct dlq *dlq, uint64_t sequence, const char *topic)
{
    cleanup_free char *why = xasprintf("it is too large for topic %s (raise its max.message.bytes)", topic);
    leave_out(dlq, in_flight_get(&dlq->in_flight, sequence)->line_number, why);
    in_flight_confirm(&dlq->in_flight, sequence);
    return true;
}

const struct mode publish_mode = {take, confirmed, too_large};
