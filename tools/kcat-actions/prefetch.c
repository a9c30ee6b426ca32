/* How far librdkafka reads ahead: 1 MB, whatever waits in Kafka. That is enough for full speed as long as the
 * next fetch goes out soon after the queue has room again.
 *
 * From 2.2 on that is fetch.queue.backoff.ms. Before, the broker's thread finds its queue full, goes to sleep
 * for a second, and wakes up early only for an operation that comes to it. Taking records out of the queue is
 * none. Of the public functions one sends a bare wake-up to all brokers' threads and changes nothing else:
 * rd_kafka_sasl_set_credentials(), when it gets the credentials that are set anyway. Without SASL, Kerberos
 * and OAUTHBEARER nobody looks at them, and they are empty. (Pausing and resuming, or seeking, wakes too but
 * throws the queue away; a query waits behind the fetch that is under way.) */
#include "consumer.h"

#define FIRST_WITH_BACKOFF 0x02020000
/* Bytes taken until the next wake-up: a fraction of the queue, and of what a fetch brings. */
#define WAKE_EVERY ((size_t)128 * 1024)
/* What a record costs beside its bytes. The queue is bounded by the number of records too. */
#define RECORD_BYTES 64

void prefetch_set_defaults(struct kafka_config *config)
{
    kafka_config_default(config, "fetch.queue.backoff.ms", "5"); /* not known before 2.2 */
    kafka_config_default(config, "queued.max.messages.kbytes", "1024");
    kafka_config_default(config, "fetch.message.max.bytes", "131072");
}

static char *setting(const rd_kafka_conf_t *conf, const char *property)
{
    size_t size = 0;
    if (rd_kafka_conf_get(conf, property, NULL, &size) != RD_KAFKA_CONF_OK || size <= 1)
        return xstrdup("");
    char *value = xmalloc(size);
    rd_kafka_conf_get(conf, property, value, &size);
    return value;
}

void prefetch_open(struct prefetch *prefetch, rd_kafka_t *kafka)
{
    prefetch->needs_waking = rd_kafka_version() < FIRST_WITH_BACKOFF;
    if (!prefetch->needs_waking)
        return;
    prefetch->username = setting(rd_kafka_conf(kafka), "sasl.username");
    prefetch->password = setting(rd_kafka_conf(kafka), "sasl.password");
}

void prefetch_took(struct prefetch *prefetch, rd_kafka_t *kafka, size_t bytes)
{
    prefetch->taken += bytes + RECORD_BYTES;
    if (!prefetch->needs_waking || prefetch->taken < WAKE_EVERY)
        return;
    prefetch->taken = 0;
    rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(kafka, prefetch->username, prefetch->password);
    if (error)
        rd_kafka_error_destroy(error);
}

void prefetch_close(struct prefetch *prefetch)
{
    free(prefetch->username);
    free(prefetch->password);
}
