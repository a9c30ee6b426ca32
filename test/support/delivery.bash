# delivery.bash - for tests that compare all that was published with all that has become of it. Its events come
# from test/fault/events.awk and carry serial numbers; test/fault/check.awk compares. Load it behind helpers.bash.

# Keyed events, a line each for `kcat -K '\t'`, POISON percent of which cannot be stored.
numbered_events() { # FIRST LAST [POISON]
    awk -v first="$1" -v last="$2" -v seed=7 -v poison="${3:-0}" -v now=2026-11-23T18:00:00 \
        -f "$ROOT/test/fault/events.awk"
}

# Rows get a number as they are inserted, in column `arrival`. By a trigger, so that pgsink takes its ordinary ways.
number_arrivals() {
    sql "CREATE SEQUENCE arrivals;
        ALTER TABLE agent_actions ADD COLUMN arrival bigint;
        CREATE FUNCTION number_arrival() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN NEW.arrival := nextval(''arrivals''); RETURN NEW; END';
        CREATE TRIGGER arrival BEFORE INSERT ON agent_actions FOR EACH ROW EXECUTE FUNCTION number_arrival()"
}

# Every good event is one row, in the order of its partition; every poison one is a dead letter and no row; nothing
# else is in either. Prints what is not so, and fails.
delivered_exactly() { # EVENTS: as many as were published
    local found
    consume "$TOPIC" -f '%p %o %k %s\n' |
        LC_ALL=C sed -En 's/^([0-9]+) ([0-9]+) .*serial-([0-9]+)-([a-z]+).*/\1 \2 \3 \4/p' | sort -k1,1n -k2,2n >ledger
    consume "$TOPIC-dlq" -f '%p %o %s\n' | LC_ALL=C sed -En \
        's/^([0-9]+ [0-9]+) .*"source":\{"topic":"[^"]*","partition":([0-9]+),"offset":([0-9]+).*/\1 \2 \3/p; t
         s/^([0-9]+ [0-9]+) .*/\1 ? ?/p' >dead
    sql "COPY (SELECT arrival, action_name FROM agent_actions) TO STDOUT (DELIMITER ' ')" >rows
    assert_equal "$(wc -l <ledger)" "$1" || return
    found=$(awk -f "$ROOT/test/fault/check.awk" -v final=1 table=committed /dev/null table=rows rows \
        table=dead dead table=ledger ledger)
    [[ -z $found ]] || {
        printf '%s\n' "$found" | head -n 20 >&2
        return 1
    }
}
