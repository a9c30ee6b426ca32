#include "common/uuid.h"

#include <string.h>

/* A hexadecimal digit's value with the mark; 0 for all other bytes. */
#define MARK 0x10
static const uint8_t hex_values[256] = {
    ['0'] = MARK | 0,   ['1'] = MARK | 1,   ['2'] = MARK | 2,   ['3'] = MARK | 3,   ['4'] = MARK | 4,
    ['5'] = MARK | 5,   ['6'] = MARK | 6,   ['7'] = MARK | 7,   ['8'] = MARK | 8,   ['9'] = MARK | 9,
    ['a'] = MARK | 0xa, ['b'] = MARK | 0xb, ['c'] = MARK | 0xc, ['d'] = MARK | 0xd, ['e'] = MARK | 0xe,
    ['f'] = MARK | 0xf, ['A'] = MARK | 0xa, ['B'] = MARK | 0xb, ['C'] = MARK | 0xc, ['D'] = MARK | 0xd,
    ['E'] = MARK | 0xe, ['F'] = MARK | 0xf,
};

static int hex_digit(char c)
{
    uint8_t value = hex_values[(unsigned char)c];
    return value ? value & 0xf : -1;
}

/* The usual 36 characters, without a branch for each random digit. */
static bool parse_usual(const char *text, struct uuid *uuid)
{
    static const uint8_t places[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    uint8_t marks = MARK;
    if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
        return false;
    for (int i = 0; i < 16; i++) {
        uint8_t high = hex_values[(unsigned char)text[places[i]]];
        uint8_t low = hex_values[(unsigned char)text[places[i] + 1]];
        marks &= high & low;
        uuid->bytes[i] = (uint8_t)(high << 4 | (low & 0xf));
    }
    return marks;
}

bool uuid_parse(struct slice text, struct uuid *uuid)
{
    if (text.len == 36 && parse_usual(text.data, uuid))
        return true;
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
