"""A plain consumer from Kafka to PostgreSQL, as a careful Python user writes it: batches of 100, one
transaction and one execute_batch each, then a synchronous commit of the offsets. For test/bench/run.

    plain_consumer.py BROKERS GROUP TOPIC COUNT

ends after COUNT events. PostgreSQL comes by libpq's environment."""

import json
import sys
import uuid
from datetime import datetime, timezone

import psycopg2
from confluent_kafka import Consumer, KafkaException
from psycopg2.extras import execute_batch

BATCH = 100

INSERT = """
    INSERT INTO agent_actions (id, correlation_id, agent_name, action_type, action_name, action_details,
                               debug_mode, duration_ms, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (id) DO NOTHING
"""


def row(event):
    timestamp = event.get("timestamp")
    created_at = datetime.fromisoformat(timestamp) if timestamp else datetime.now(timezone.utc)
    if created_at.tzinfo is None:
        created_at = created_at.replace(tzinfo=timezone.utc)
    return (
        event.get("id") or str(uuid.uuid4()),
        event["correlation_id"],
        event["agent_name"],
        event["action_type"],
        event["action_name"],
        json.dumps(event.get("action_details") or {}),
        event.get("debug_mode", True),
        event.get("duration_ms"),
        created_at,
    )


def store(connection, messages):
    for message in messages:
        if message.error():
            raise KafkaException(message.error())
    rows = [row(json.loads(message.value())) for message in messages]
    with connection, connection.cursor() as cursor:
        execute_batch(cursor, INSERT, rows, page_size=BATCH)


def main():
    brokers, group, topic, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    connection = psycopg2.connect("")
    left = count
    while left:
        messages = consumer.consume(min(BATCH, left), timeout=1.0)
        if messages:
            store(connection, messages)
            consumer.commit(asynchronous=False)
            left -= len(messages)
    consumer.close()
    connection.close()


if __name__ == "__main__":
    main()
