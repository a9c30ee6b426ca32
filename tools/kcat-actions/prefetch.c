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

#include "common/timestamp.h"

#define FIRST_WITH_BACKOFF 0x02020000
/* Bytes taken until the next wake-up: a fraction of the queue, and of what a fetch brings. */
#define WAKE_EVERY ((size_t)128 * 1024)
/* After partitions were given, taken or resumed the threads are woken so often, for so long: the change
 * reaches them by way of librdkafka's main thread, in its own time. */
#define WAKE_US 20000
#define DISTURBED_US 1000000
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

static void wake(struct prefetch *prefetch, rd_kafka_t *kafka)
{
    prefetch->taken = 0;
    rd_kafka_error_t *error = rd_kafka_sasl_set_credentials(kafka, prefetch->username, prefetch->password);
    if (error)
        rd_kafka_error_destroy(error);
}

void prefetch_took(struct prefetch *prefetch, rd_kafka_t *kafka, size_t bytes)
{
    prefetch->taken += bytes + RECORD_BYTES;
    if (prefetch->needs_waking && prefetch->taken >= WAKE_EVERY)
        wake(prefetch, kafka);
}

void prefetch_disturbed(struct prefetch *prefetch)
{
    if (prefetch->needs_waking)
        prefetch->disturbed_at = monotonic_microseconds();
}

int64_t prefetch_wait(struct prefetch *prefetch, rd_kafka_t *kafka, int64_t longest)
{
    if (prefetch->disturbed_at == 0)
        return longest;
    if (monotonic_microseconds() - prefetch->disturbed_at > DISTURBED_US)
        prefetch->disturbed_at = 0;
    wake(prefetch, kafka);
    return WAKE_US;
}

void prefetch_close(struct prefetch *prefetch)
{
    free(prefetch->username);
    free(prefetch->password);
}
