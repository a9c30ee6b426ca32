/* encoding.h - what the encoders share: the value in hand, and how one says that it cannot be stored.
 * Internal to encoder.c and the files encode_*.c. */
#ifndef PGSINK_ENCODING_H
#define PGSINK_ENCODING_H

#include "encoder.h"

#include <endian.h>

struct encoding {
    const struct json_value *value;
    enum nul_policy nul;
    struct buffer *out;
    struct encode_fault *fault;
};

/* SQLSTATEs that PostgreSQL's own input functions give. */
#define INVALID_TEXT "22P02"
#define OUT_OF_RANGE "22003"
#define INVALID_DATETIME "22007"

/* Both return false: "WHAT TYPE: the value", and any reason. */
bool encoding_refuse(struct encoding *e, const char *sqlstate, const char *what, const char *type);
bool encoding_refuse_because(struct encoding *e, const char *sqlstate, const char *reason);
/* What a number or a string with a number in it says; NULL data for other values. */
struct slice encoding_number_text(const struct json_value *value);
/* What stands behind a number's e, up to `end`: the text has no terminator. A huge one is only known to be
 * huge. False where it is no exponent. */
bool encoding_exponent(const char *at, const char *end, int64_t *exponent);

/* Big-endian integers, as all binary formats have them. */
static inline void append_u16(struct buffer *out, uint16_t value)
{
    uint16_t big = htobe16(value);
    buffer_append(out, &big, sizeof big);
}

static inline void append_u32(struct buffer *out, uint32_t value)
{
    uint32_t big = htobe32(value);
    buffer_append(out, &big, sizeof big);
}

static inline void append_u64(struct buffer *out, uint64_t value)
{
    uint64_t big = htobe64(value);
    buffer_append(out, &big, sizeof big);
}

/* encode_numbers.c */
bool encode_int2(struct encoding *e);
bool encode_int4(struct encoding *e);
bool encode_int8(struct encoding *e);
bool text_int2(struct encoding *e);
bool text_int4(struct encoding *e);
bool text_int8(struct encoding *e);
bool encode_float8(struct encoding *e);
bool encode_float4(struct encoding *e);
bool text_float8(struct encoding *e);
bool text_float4(struct encoding *e);

/* encode_numeric.c */
bool encode_numeric(struct encoding *e);
bool text_numeric(struct encoding *e);

/* encode_times.c */
bool encode_timestamp(struct encoding *e);
bool text_timestamp(struct encoding *e);
bool encode_date(struct encoding *e);
bool text_date(struct encoding *e);

#endif
