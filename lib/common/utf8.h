/* utf8.h - is this UTF-8? By RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length in bytes (1 to 4) of the well-formed sequence at `at`, 0 if there is none before `end`. */
size_t utf8_sequence(const char *at, const char *end);
bool utf8_is_valid(const char *text, size_t len);
/* The longest prefix of at most `limit` bytes that does not cut a sequence of valid UTF-8. */
size_t utf8_prefix(const char *text, size_t len, size_t limit);
/* Writes `code_point` (a Unicode scalar value) to `out`, 1 to 4 bytes; returns how many. */
size_t utf8_encode(uint32_t code_point, char *out);

#endif
