/* encoder.h - JSON values as PostgreSQL field values: one table of encoders.
 *
 * A field is what COPY BINARY and a query's binary parameter hold, for the types listed in encoder.c; for
 * any other type it is the type's input text, and the whole COPY is text then. Both say the same of the
 * same value: what an encoder accepts does not depend on the format.
 */
#ifndef PGSINK_ENCODER_H
#define PGSINK_ENCODER_H

#include "common/json_scan.h"

#include <postgres_ext.h>

enum field_format { FORMAT_TEXT, FORMAT_BINARY };

struct encoder;

/* The encoder of a type by its oid and, for those that have no fixed one, its kind (pg_type.typtype) and
 * category (typcategory). Never NULL: unknown types have one that makes text. */
const struct encoder *encoder_for(Oid type, char typtype, char typcategory);
/* Whether it can make binary fields. */
bool encoder_is_binary(const struct encoder *encoder);

/* Why a value cannot be a field. */
struct encode_fault {
    const char *sqlstate; /* what PostgreSQL would have said */
    char message[160];
};

/* Appends the field's bytes (without a length) for a value that is not JSON null. */
bool encode_value(const struct encoder *encoder, const struct json_value *value, enum field_format format,
                  enum nul_policy nul, struct buffer *out, struct encode_fault *fault);

#endif
