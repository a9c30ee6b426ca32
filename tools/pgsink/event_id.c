#include "event_id.h"

#include "common/timestamp.h"

#include <openssl/evp.h>

struct event_id_maker {
    EVP_MD *sha256; /* fetched once: a fetch for each event would cost more than the hash */
    EVP_MD_CTX *context;
    struct buffer compact;
};

struct event_id_maker *event_id_maker_new(void)
{
    struct event_id_maker *maker = xcalloc(1, sizeof *maker);
    maker->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    maker->context = EVP_MD_CTX_new();
    if (!maker->sha256 || !maker->context)
        abort(); /* a libcrypto without SHA-256 */
    return maker;
}

void event_id_maker_free(struct event_id_maker *maker)
{
    if (!maker)
        return;
    EVP_MD_CTX_free(maker->context);
    EVP_MD_free(maker->sha256);
    buffer_free(&maker->compact);
    free(maker);
}

static void hash(struct event_id_maker *maker, struct slice text, uint8_t out[32])
{
    EVP_DigestInit_ex2(maker->context, maker->sha256, NULL);
    EVP_DigestUpdate(maker->context, text.data, text.len);
    EVP_DigestFinal_ex(maker->context, out, NULL);
}

static int64_t time_of(const struct json_value *time)
{
    struct timestamp timestamp;
    if (time && time->type == JSON_STRING && timestamp_parse(json_inner(time), &timestamp))
        return timestamp.milliseconds;
    return UUID_NO_TIME;
}

struct uuid event_id_of_content(struct event_id_maker *maker, const struct json_value *payload,
                                const struct json_value *time)
{
    uint8_t digest[32];
    struct slice text = payload->text;
    if (payload->spaced) {
        buffer_reset(&maker->compact, 1 << 20);
        json_compact(text, &maker->compact);
        text = buffer_slice(&maker->compact);
    }
    hash(maker, text, digest);
    return uuid_derive(digest, time_of(time));
}

struct uuid event_id_of_offset(struct event_id_maker *maker, struct slice topic, int32_t partition,
                               int64_t offset, int64_t timestamp_ms)
{
    uint8_t digest[32];
    buffer_reset(&maker->compact, 1 << 20);
    buffer_append_slice(&maker->compact, topic);
    buffer_append_char(&maker->compact, '/');
    buffer_append_int(&maker->compact, partition);
    buffer_append_char(&maker->compact, '/');
    buffer_append_int(&maker->compact, offset);
    hash(maker, buffer_slice(&maker->compact), digest);
    return uuid_derive(digest, timestamp_ms);
}
