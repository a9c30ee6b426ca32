#include "common/uuid.h"

#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool uuid_parse(struct slice text, struct uuid *uuid)
{
    const char *at = text.data, *end = text.data + text.len;
    bool braces = at < end && *at == '{';
    if (braces)
        at++;
    for (int i = 0; i < 16; i++) {
        if (end - at < 2)
            return false;
        int high = hex_digit(at[0]), low = hex_digit(at[1]);
        if (high < 0 || low < 0)
            return false;
        uuid->bytes[i] = (uint8_t)(high << 4 | low);
        at += 2;
        if (i % 2 == 1 && i < 15 && at < end && *at == '-')
            at++;
    }
    if (braces && (at == end || *at++ != '}'))
        return false;
    return at == end;
}

void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    char *at = out;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[uuid->bytes[i] >> 4];
        *at++ = hex[uuid->bytes[i] & 15];
    }
    *at = '\0';
}

struct uuid uuid_derive(const uint8_t sha256[32], int64_t milliseconds)
{
    struct uuid uuid;
    if (milliseconds >= 0 && milliseconds < INT64_C(1) << 48)
        for (int i = 0; i < 6; i++)
            uuid.bytes[i] = (uint8_t)(milliseconds >> (40 - 8 * i));
    else
        memcpy(uuid.bytes, sha256 + 10, 6);
    memcpy(uuid.bytes + 6, sha256, 10);
    uuid.bytes[6] = (uint8_t)(0x80 | (uuid.bytes[6] & 0x0F));
    uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3F));
    return uuid;
}
