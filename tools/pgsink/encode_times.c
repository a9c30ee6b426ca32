/* Dates and times: ISO 8601, UTC where no zone is given. */
#include "encoding.h"

#include "common/timestamp.h"

/* PostgreSQL counts microseconds and days from 2000-01-01. */
#define POSTGRES_EPOCH_SECONDS INT64_C(946684800)
#define MICROSECONDS_A_DAY INT64_C(86400000000)

static bool read_timestamp(struct encoding *e, const char *type, int64_t *microseconds)
{
    struct timestamp timestamp;
    if (e->value->type != JSON_STRING || !timestamp_parse(json_inner(e->value), &timestamp))
        return encoding_refuse(e, INVALID_DATETIME, "not an ISO 8601 date and time, as is needed for type",
                               type);
    *microseconds = timestamp.microseconds;
    return true;
}

bool encode_timestamp(struct encoding *e)
{
    int64_t microseconds;
    if (!read_timestamp(e, "timestamp", &microseconds))
        return false;
    append_u64(e->out, (uint64_t)(microseconds - POSTGRES_EPOCH_SECONDS * 1000000));
    return true;
}

bool text_timestamp(struct encoding *e)
{
    int64_t microseconds;
    char text[TIMESTAMP_TEXT_SIZE];
    if (!read_timestamp(e, "timestamp", &microseconds))
        return false;
    timestamp_format(microseconds, 6, text);
    buffer_append_string(e->out, text);
    return true;
}

bool encode_date(struct encoding *e)
{
    int64_t microseconds;
    if (!read_timestamp(e, "date", &microseconds))
        return false;
    int64_t days = microseconds / MICROSECONDS_A_DAY - (microseconds % MICROSECONDS_A_DAY < 0);
    append_u32(e->out, (uint32_t)(int32_t)(days - POSTGRES_EPOCH_SECONDS / 86400));
    return true;
}

bool text_date(struct encoding *e)
{
    int64_t microseconds;
    char text[TIMESTAMP_TEXT_SIZE];
    if (!read_timestamp(e, "date", &microseconds))
        return false;
    timestamp_format(microseconds, 0, text);
    buffer_append(e->out, text, 10);
    return true;
}
