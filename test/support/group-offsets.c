/* group-offsets - how far a consumer group is, for the tests.
 *
 *   group-offsets BROKERS GROUP TOPIC
 *
 * prints a line for each partition: PARTITION COMMITTED LOW HIGH, with "-" where nothing is committed.
 * COMMITTED is the offset of the next record that the group would be given. */
#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#define TIMEOUT_MS 10000

static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    if (level <= 3)
        fprintf(stderr, "group-offsets: %s: %s: %s\n", rd_kafka_name(client), facility, text);
}

static int fail(const char *what, rd_kafka_resp_err_t error)
{
    fprintf(stderr, "group-offsets: could not %s: %s\n", what, rd_kafka_err2str(error));
    return EX_UNAVAILABLE;
}

static rd_kafka_t *connect_as(const char *brokers, const char *group)
{
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, reason, sizeof reason) ||
        rd_kafka_conf_set(conf, "group.id", group, reason, sizeof reason))
        return NULL;
    return rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
}

/* The topic's partitions, by number. */
static rd_kafka_resp_err_t list_partitions(rd_kafka_t *client, const char *topic,
                                           rd_kafka_topic_partition_list_t *list)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client, topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(client, 0, handle, &metadata, TIMEOUT_MS);
    rd_kafka_topic_destroy(handle);
    if (error)
        return error;
    if (metadata->topic_cnt == 1) {
        error = metadata->topics[0].err;
        for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
            rd_kafka_topic_partition_list_add(list, topic, metadata->topics[0].partitions[i].id);
    }
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
    return error;
}

static rd_kafka_resp_err_t print_partition(rd_kafka_t *client, const rd_kafka_topic_partition_t *partition)
{
    int64_t low, high;
    rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(
        client, partition->topic, partition->partition, &low, &high, TIMEOUT_MS);
    if (error)
        return error;
    if (partition->offset < 0)
        printf("%d - %ld %ld\n", partition->partition, (long)low, (long)high);
    else
        printf("%d %ld %ld %ld\n", partition->partition, (long)partition->offset, (long)low, (long)high);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "Usage: group-offsets BROKERS GROUP TOPIC\n");
        return EX_USAGE;
    }
    rd_kafka_t *client = connect_as(argv[1], argv[2]);
    if (!client)
        return fail("start", rd_kafka_last_error());
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t error = list_partitions(client, argv[3], list);
    if (error)
        return fail("list the topic's partitions", error);
    error = rd_kafka_committed(client, list, TIMEOUT_MS);
    if (error)
        return fail("ask for the group's offsets", error);
    for (int i = 0; i < list->cnt && !error; i++)
        error = print_partition(client, &list->elems[i]);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(client);
    return error ? fail("ask for the partition's ends", error) : EX_OK;
}
