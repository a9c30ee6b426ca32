#include "common/jq_program.h"

#include <jq.h>
#include <jv.h>
#include <stdio.h>

struct jq_program {
    jq_state *jq;
    bool has_record;
    struct buffer messages; /* of the compiler */
};

static void on_error(void *data, jv message)
{
    struct buffer *messages = data;
    jv text = jq_format_error(message);
    if (messages->len)
        buffer_append_string(messages, "; ");
    buffer_append_string(messages, jv_string_value(text));
    jv_free(text);
}

struct jq_program *jq_program_new(const char *text, bool has_record, char **error)
{
    struct jq_program *program = xcalloc(1, sizeof *program);
    program->has_record = has_record;
    program->jq = jq_init();
    if (!program->jq) {
        *error = xstrdup("could not start libjq");
        jq_program_free(program);
        return NULL;
    }
    jq_set_error_cb(program->jq, on_error, &program->messages);
    cleanup_free char *whole =
        has_record ? xasprintf(". as [$record, $payload] | $payload | (%s\n)", text) : xstrdup(text);
    if (jq_compile(program->jq, whole))
        return program;
    buffer_append_char(&program->messages, '\0');
    *error = xstrdup(program->messages.data);
    jq_program_free(program);
    return NULL;
}

void jq_program_free(struct jq_program *program)
{
    if (!program)
        return;
    if (program->jq)
        jq_teardown(&program->jq);
    buffer_free(&program->messages);
    free(program);
}

static enum jq_outcome take_output(jv output, struct buffer *out, bool *is_true)
{
    if (jv_is_valid(output)) {
        if (is_true)
            *is_true = jv_get_kind(output) != JV_KIND_FALSE && jv_get_kind(output) != JV_KIND_NULL;
        jv text = jv_dump_string(output, 0);
        buffer_append(out, jv_string_value(text), (size_t)jv_string_length_bytes(jv_copy(text)));
        jv_free(text);
        return JQ_VALUE;
    }
    if (!jv_invalid_has_msg(jv_copy(output))) {
        jv_free(output);
        return JQ_EMPTY;
    }
    jv message = jv_invalid_get_msg(output);
    jv text = jv_get_kind(message) == JV_KIND_STRING ? jv_copy(message) : jv_dump_string(jv_copy(message), 0);
    buffer_append_string(out, jv_string_value(text));
    jv_free(text);
    jv_free(message);
    return JQ_ERROR;
}

/* Not jv_parse_sized(): where it fails it looks for the text's end by a NUL. */
static jv read_value(struct slice text)
{
    struct jv_parser *parser = jv_parser_new(0);
    jv_parser_set_buf(parser, text.data, (int)text.len, 0);
    jv value = jv_parser_next(parser);
    jv_parser_free(parser);
    return value;
}

enum jq_outcome jq_program_run(struct jq_program *program, struct slice input, struct slice record,
                               struct buffer *out, bool *is_true)
{
    out->len = 0;
    jv payload = read_value(input);
    if (!jv_is_valid(payload)) {
        take_output(payload, out, is_true);
        return JQ_UNREADABLE;
    }
    if (program->has_record)
        payload = jv_array_append(jv_array_append(jv_array(), read_value(record)), payload);
    jq_start(program->jq, payload, 0);
    return take_output(jq_next(program->jq), out, is_true);
}
