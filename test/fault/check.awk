# check.awk - compares what was published with what has become of it. Prints each violation, a line each:
# the KIND of it (lost, doubled, misplaced, unsafe or foreign) and what it is.
#
#   awk -f check.awk -v final=0 table=committed FILE table=rows FILE table=dead FILE table=ledger FILE
#
# committed  PARTITION OFFSET                          what the group has committed
# rows       ARRIVAL NAME                              of the table; ARRIVAL grows with each insertion, or with
#                                                      each transaction: then several have the same
# dead       PARTITION OFFSET PARTITION OFFSET         of a dead letter, and of the record that it is about
# ledger     PARTITION OFFSET SERIAL KIND              of the topic, each partition in its order
#
# final: all is done, so that what is not there is lost. by_transaction: what ARRIVAL grows with.

function violation(kind, what) { print kind, what }

table == "committed" { committed[$1] = $2 }

table == "rows" {
    if ($2 in arrival) violation("doubled", $2 " is in the table twice")
    arrival[$2] = $1
}

table == "dead" { dead[$3 " " $4] = 1 }

table == "ledger" {
    partition = $1; record = $1 " " $2; name = "serial-" $3 "-" $4
    is_good = $4 == "good"
    is_safe = is_good ? name in arrival : record in dead
    place = name " (partition " $1 ", offset " $2 ")"
    if ($2 != next_offset[partition] + 0) violation("foreign", "the ledger has a gap before " place)
    next_offset[partition] = $2 + 1
    if ($2 < committed[partition] && !is_safe) violation("unsafe", place " is neither stored nor dead, and committed")
    if (final && !is_safe) violation("lost", place)
    if (!is_good && name in arrival) violation("foreign", place " is poison, and in the table")
    if (is_good && record in dead) violation("foreign", place " is good, and a dead letter")
    known[name] = known[record] = 1
    if (is_good && !(name in seen)) in_order()
    seen[name] = 1
}

# Whatever is killed, what is stored of a partition is always its beginning, inserted in its order.
function in_order() {
    if (!is_safe) {
        hole[partition] = place
        return
    }
    if (partition in hole) {
        violation("misplaced", place " is stored before " hole[partition])
        delete hole[partition]
    }
    if (arrival[name] < latest[partition] + !by_transaction) violation("misplaced", place " was inserted before its predecessor")
    latest[partition] = arrival[name]
}

END {
    if (!final) exit
    for (name in arrival) if (!(name in known)) violation("foreign", name " is in the table, and was never published")
    for (record in dead) if (!(record in known)) violation("foreign", "a dead letter about no record: " record)
}
