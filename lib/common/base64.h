/* base64.h - bytes as text: RFC 4648 section 4, with padding and without line breaks. */
#ifndef COMMON_BASE64_H
#define COMMON_BASE64_H

#include "common/buffer.h"

void base64_encode(struct buffer *out, struct slice bytes);
/* Appends the decoded bytes; false (and `out` as before) where `text` is not base64. */
bool base64_decode(struct buffer *out, struct slice text);

#endif
