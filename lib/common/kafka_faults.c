#include "common/kafka_config.h"

#include <string.h>

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

rd_kafka_resp_err_t kafka_true_error(rd_kafka_resp_err_t error, const char *message)
{
    /* A broker that goes down in a handshake is no fault of TLS. */
    if (error == RD_KAFKA_RESP_ERR__TRANSPORT && has(message, "SSL routines") &&
        !has(message, "unexpected eof"))
        return RD_KAFKA_RESP_ERR__SSL;
    return error;
}

static const char *cure_of_login(const char *message)
{
    /* https://github.com/confluentinc/librdkafka/pull/4895: it repeats a nonce, which Kafka 4 does not take.
     */
    if (has(message, "SCRAM") && rd_kafka_version() < 0x02060100)
        return "check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD; if they are right and this is Kafka 4: "
               "its "
               "SCRAM needs librdkafka 2.6.1, and here is an older one: a newer one, or PLAIN over TLS, or a "
               "client certificate will do";
    return "check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM";
}

static const char *cure_of_tls(const char *message)
{
    if (has(message, "alert"))
        return "the broker wants a certificate of ours that it knows: check KAFKA_SSL_CERTIFICATE_LOCATION "
               "and KAFKA_SSL_KEY_LOCATION";
    if (has(message, "wrong version number") || has(message, "unexpected eof") ||
        has(message, "packet length"))
        return "this listener does not speak TLS: check the port in KAFKA_BROKERS and "
               "KAFKA_SECURITY_PROTOCOL";
    return "the broker's certificate is not trusted: KAFKA_SSL_CA_LOCATION must name the CA that signed it, "
           "and "
           "KAFKA_BROKERS must have a host name that stands in it";
}

const char *kafka_cure(rd_kafka_resp_err_t error, const char *message)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
        return cure_of_login(message);
    case RD_KAFKA_RESP_ERR__SSL:
        return cure_of_tls(message);
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return "let an administrator allow this user to use the topic: kafka-acls.sh --add --allow-principal "
               "User:NAME --operation Read (or Write) --topic TOPIC";
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return "let an administrator allow this user to use the group: kafka-acls.sh --add --allow-principal "
               "User:NAME --operation Read --group GROUP";
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
        return "this librdkafka lacks a codec that the records need";
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        return "auto.offset.reset=error asks to end here; earliest or latest says where to go on";
    default:
        return kafka_judge(error) == KAFKA_FORBIDDEN ? "check the rights of this user"
                                                     : "check the configuration";
    }
}
