/* uuid.h - UUIDs as text and bytes (RFC 9562), and the id that an event without one gets.
 *
 * The derived id is a UUIDv8 (RFC 9562 section 5.8), the same for the same event wherever it comes from:
 *   bytes 0-5   the event's time in whole milliseconds since 1970 UTC, rounded down, big-endian;
 *   bytes 6-15  the first ten bytes of SHA-256 over the event's compact JSON text;
 * then the version (high four bits of byte 6: 8) and variant (high two bits of byte 8: binary 10) are set.
 * Without a time, or with one outside 0 to 2^48-1, bytes 0-5 are bytes 10-15 of the hash.
 */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/slice.h"

#include <stdint.h>

struct uuid {
    uint8_t bytes[16];
};

/* Takes what PostgreSQL takes: hexadecimal digits of any case, hyphens optional after each group of four
 * digits, braces around it optional. */
bool uuid_parse(struct slice text, struct uuid *uuid);

/* 36 characters and a NUL, lower case. */
#define UUID_TEXT_SIZE 37
void uuid_format(const struct uuid *uuid, char out[UUID_TEXT_SIZE]);

/* A time that no event has: bytes 0-5 come from the hash. */
#define UUID_NO_TIME INT64_MIN

/* The derived id, from the hash of the compact text (32 bytes) and the time. */
struct uuid uuid_derive(const uint8_t sha256[32], int64_t milliseconds);

#endif
