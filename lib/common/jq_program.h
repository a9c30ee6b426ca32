/* jq_program.h - a jq program run on JSON text, by libjq. For what is off the hot path: libjq takes 8 to
 * 16 microseconds an event, and libjq 1.6 makes every number a double. */
#ifndef COMMON_JQ_PROGRAM_H
#define COMMON_JQ_PROGRAM_H

#include "common/buffer.h"

struct jq_program;

enum jq_outcome {
    JQ_VALUE,      /* the program's first output */
    JQ_EMPTY,      /* it gave none */
    JQ_ERROR,      /* it failed on this input; the message is in `out` */
    JQ_UNREADABLE, /* it was not run: libjq cannot read this JSON; the message is in `out` */
};

/* Compiles `text`. With `has_record` the program may use $record, and jq_program_run takes one. On failure
 * NULL and *error (to be freed). */
struct jq_program *jq_program_new(const char *text, bool has_record, char **error);
void jq_program_free(struct jq_program *program);

/* Runs it on valid JSON text (`record`: JSON text too, ignored unless has_record). Replaces the content of
 * `out` by the first output as compact JSON text. *is_true, if wanted: neither false nor null.
 * libjq 1.6 cannot read what is nested deeper than 256, nor half a surrogate pair ("\ud800"). */
enum jq_outcome jq_program_run(struct jq_program *program, struct slice input, struct slice record,
                               struct buffer *out, bool *is_true);

#endif
