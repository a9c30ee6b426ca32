/* group-members - who is in a consumer group, for the tests.
 *
 *   group-members BROKERS GROUP
 *
 * prints the group's state, and the id of each member, a line each. A member that was put out of the group
 * and joined again has another id. */
#include <librdkafka/rdkafka.h>

#include <stdio.h>
#include <sysexits.h>

#define TIMEOUT_MS 10000

static int fail(const char *what, rd_kafka_resp_err_t error)
{
    fprintf(stderr, "group-members: could not %s: %s\n", what, rd_kafka_err2str(error));
    return EX_UNAVAILABLE;
}

static rd_kafka_resp_err_t print_group(rd_kafka_t *client, const char *group)
{
    const struct rd_kafka_group_list *list;
    rd_kafka_resp_err_t error = rd_kafka_list_groups(client, group, &list, TIMEOUT_MS);
    if (error)
        return error;
    for (int i = 0; i < list->group_cnt; i++) {
        printf("%s\n", list->groups[i].state);
        for (int k = 0; k < list->groups[i].member_cnt; k++)
            printf("%s\n", list->groups[i].members[k].member_id);
    }
    rd_kafka_group_list_destroy(list);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

int main(int argc, char **argv)
{
    char reason[512];
    if (argc != 3) {
        fprintf(stderr, "Usage: group-members BROKERS GROUP\n");
        return EX_USAGE;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], reason, sizeof reason);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!client)
        return fail("start", rd_kafka_last_error());
    rd_kafka_resp_err_t error = print_group(client, argv[2]);
    rd_kafka_destroy(client);
    return error ? fail("list the group", error) : EX_OK;
}
