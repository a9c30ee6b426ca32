#include "common/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buffer *out, struct slice bytes)
{
    const unsigned char *in = (const unsigned char *)bytes.data;
    buffer_reserve(out, (bytes.len + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)in[i] << 16;
        if (left > 1)
            group |= (uint32_t)in[i + 1] << 8;
        if (left > 2)
            group |= in[i + 2];
        char text[4] = {alphabet[group >> 18], alphabet[(group >> 12) & 63],
                        left > 1 ? alphabet[(group >> 6) & 63] : '=', left > 2 ? alphabet[group & 63] : '='};
        buffer_append(out, text, 4);
    }
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

bool base64_decode(struct buffer *out, struct slice text)
{
    size_t start = out->len;
    if (text.len % 4 != 0)
        return false;
    for (size_t i = 0; i < text.len; i += 4) {
        bool last = i + 4 == text.len;
        size_t padding = 0;
        uint32_t group = 0;
        for (size_t k = 0; k < 4; k++) {
            char c = text.data[i + k];
            int value = digit_value(c);
            if (value < 0) {
                if (c != '=' || !last || k < 2)
                    goto invalid;
                padding++;
                value = 0;
            } else if (padding) {
                goto invalid;
            }
            group = group << 6 | (uint32_t)value;
        }
        char bytes[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};
        buffer_append(out, bytes, 3 - padding);
    }
    return true;
invalid:
    out->len = start;
    return false;
}
