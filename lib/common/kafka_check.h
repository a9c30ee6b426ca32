/* kafka_check.h - for --check: whether a broker answers and lets us in, and what it says of a topic. */
#ifndef COMMON_KAFKA_CHECK_H
#define COMMON_KAFKA_CHECK_H

#include "common/findings.h"
#include "common/kafka_config.h"

struct kafka_check {
    struct findings *findings;
    rd_kafka_t *kafka;
    char *brokers;             /* as configured */
    rd_kafka_resp_err_t error; /* the most telling one that the client told */
    char *message;
    bool are_all_down;
};

/* Makes a client and waits for a broker's answer, at most ten seconds. Takes `config` over. False where there
 * is none: the fault is told. kafka_check_close() in both cases. */
bool kafka_check_open(struct kafka_check *check, struct findings *findings, struct kafka_config *config,
                      rd_kafka_type_t type);
void kafka_check_close(struct kafka_check *check);

/* How many partitions the topic has; 0 and *error where the broker does not say. */
int kafka_check_partitions(struct kafka_check *check, const char *topic, rd_kafka_resp_err_t *error);

#endif
