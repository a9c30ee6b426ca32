#!/usr/bin/env bats
# batch.bats - what batch does to lines: nothing, but for the blank ones that it adds.
# shellcheck disable=SC2016 # conditions for wait_until are expanded there
# shellcheck disable=SC2154 # $stderr is set by bats
bats_require_minimum_version 1.5.0
load ../support/helpers

setup() {
    helpers_setup
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
}
teardown() {
    exec 9>&-
    helpers_teardown
}

# Starts batch with its stdin held open: lines go in by `>&9`.
start_batch() { # OPTION...
    mkfifo batch.in
    exec 9<>batch.in
    background batch batch "$@" 9>&- # else it would wait for itself
}

# The end of what goes in by fd 9. (The fifo is open for reading here too, which does not matter.)
end_input() {
    exec 9>&-
}

assert_output_is() { # FORMAT of printf
    # shellcheck disable=SC2059 # a format is what it is
    printf "$1" >expected
    cmp batch.out expected
}

# ---- where a batch ends

@test "batch -n 2: a blank line ends a batch after two lines, and after the last ones" {
    seq 5 | batch -n 2 >batch.out
    assert_output_is '1\n2\n\n3\n4\n\n5\n\n'
}

@test "batch -n 2: a batch that is just full at the end of the input is ended once" {
    seq 4 | batch -n 2 >batch.out
    assert_output_is '1\n2\n\n3\n4\n\n'
}

@test "batch: 100 lines are a batch if nothing else is said" {
    seq 250 | batch -t 1h | awk '/^$/ { print NR - before; before = NR }' >sizes
    assert_equal "$(paste -sd ' ' sizes)" "101 101 51"
}

@test "batch -z 25: a batch ends with the line that reaches 25 bytes, line feeds counted" {
    printf '%s\n' 123456789 123456789 123456789 123456789 | batch -z 25 >batch.out
    assert_output_is '123456789\n123456789\n123456789\n\n123456789\n\n'
    printf '%s\n' 123456789 1234 12345678 1 | batch -z 15 >batch.out
    assert_output_is '123456789\n1234\n\n12345678\n1\n\n'
}

@test "batch -z 1K: sizes have units, and -n and -z both end a batch, whichever is first" {
    head -c 1023 /dev/zero | tr '\0' x >long
    { cat long && printf '\n1\n2\n3\n'; } | batch -n 2 -z 1K >batch.out
    assert_output_is "$(<long)\n\n1\n2\n\n3\n\n"
}

@test "batch -t 50ms: a batch ends that long after its first line, with no more input" {
    start_batch -t 50ms
    printf '1\n2\n' >&9
    wait_until 'cmp batch.out <(printf "1\n2\n\n")' 5
    assert_equal "$(counter batches_by_time)" 1
    printf '3\n' >&9
    wait_until 'cmp batch.out <(printf "1\n2\n\n3\n\n")' 5
    end_input
    await batch
    assert_status 0
    assert_output_is '1\n2\n\n3\n\n'
}

@test "batch -t 50: a bare number counts milliseconds" {
    start_batch -t 50
    printf '1\n' >&9
    wait_until 'cmp batch.out <(printf "1\n\n")' 5
}

@test "batch: a batch ends after a second if nothing else is said" {
    start_batch
    local start
    start=$(now_ms)
    printf '1\n' >&9
    wait_until 'cmp batch.out <(printf "1\n\n")' 5
    (($(now_ms) - start >= 990))
}

@test "batch -t 1h: a line is passed on at once, its batch's end is not" {
    start_batch -t 1h
    printf '1\n' >&9
    wait_until '[[ -s batch.out ]]' 5
    assert_output_is '1\n'
    assert_equal "$(counter batches_ended)" 0
    end_input
    await batch
    assert_output_is '1\n\n'
    assert_equal "$(counter batches_by_time)" 0
}

@test "batch -t 50ms: the blank line does not tear a line that has come in part" {
    start_batch -t 50ms
    printf 'whole\npar' >&9
    wait_until 'cmp batch.out <(printf "whole\n\n")' 5
    printf 'tial\n' >&9
    wait_until 'cmp batch.out <(printf "whole\n\npartial\n\n")' 5
}

@test "batch -t 0: a batch ends as soon as no more waits, and what waits is one batch" {
    start_batch -t 0 -n 1000
    printf '1\n' >&9
    wait_until 'cmp batch.out <(printf "1\n\n")' 5
    printf '2\n3\n4\n' >lines && cat lines >&9 # in one write
    wait_until 'cmp batch.out <(printf "1\n\n2\n3\n4\n\n")' 5
}

@test "batch: a blank line of the input ends the batch, and is not doubled" {
    printf '1\n\n2\n3\n4\n\n5\n' | batch -n 3 >batch.out
    assert_output_is '1\n\n2\n3\n4\n\n\n5\n\n'
    # the count starts anew behind it
    printf '1\n2\n\n3\n4\n5\n6\n' | batch -n 3 >batch.out
    assert_output_is '1\n2\n\n3\n4\n5\n\n6\n\n'
}

@test "batch: an empty input gives an empty output" {
    batch </dev/null >batch.out
    assert_output_is ''
}

# ---- verbatim

@test "batch: lines are copied byte for byte: CRLF, invalid UTF-8, NUL, spaces, no JSON at all" {
    printf 'crlf\r\n\xff\xfe\xc3\n nul \0 \n{"a": 1 }\n\t\n\r\n' >odd
    batch <odd >batch.out
    { cat odd && echo; } >expected
    cmp batch.out expected
}

@test "batch: a line of 20 MB is copied whole" {
    { head -c 20000000 /dev/urandom | tr '\n' x && echo; } >long
    batch <long >batch.out
    cmp -n 20000001 batch.out long
    assert_equal "$(stat -c %s batch.out)" 20000002
}

@test "batch: a line too long to be held is streamed, not torn by -t, in bounded memory, without spinning" {
    { echo first && head -c 80000000 /dev/zero | tr '\0' x; } >long
    start_batch -t 400ms
    local start
    start=$(now_ms)
    cat long >&9
    wait_until '(($(stat -c %s batch.out) > 60000000))' 10
    wait_until "((\$(now_ms) > $start + 450))" 5 # its time is up, within the long line
    local before after
    before=$(cpu_ticks)
    wait_until "((\$(now_ms) > $start + 850))" 5
    after=$(cpu_ticks)
    ((after - before < 20))
    [[ $BUILD == */san ]] || # whose allocator keeps what was freed
        (($(awk '/VmHWM/ { print $2 }' "/proc/$(pid_of batch)/status") < 150000))
    printf 'end\n' >&9
    end_input
    await batch
    # `first` may have been a batch of its own
    cmp batch.out <(cat long && printf 'end\n\n') || cmp batch.out <(printf 'first\n\n' && tail -n +2 long && printf 'end\n\n')
}

# Clock ticks that batch has run.
cpu_ticks() {
    awk '{ print $14 + $15 }' "/proc/$(pid_of batch)/stat"
}

@test "batch: input that comes byte by byte gives the same" {
    events 5 >lines
    dd bs=1 status=none <lines | batch -n 2 >slow
    batch -n 2 <lines >fast
    cmp slow fast
    assert_equal "$(grep -c '^$' slow)" 3
}

@test "batch: ten thousand lines keep their order and none is lost, whatever the size of a batch" {
    seq 10000 >lines
    local size
    for size in 1 7 1000; do
        batch -n "$size" <lines >batch.out
        cmp lines <(grep -v '^$' batch.out)
        assert_equal "$(grep -c '^$' batch.out)" $(((10000 + size - 1) / size))
    done
}

# ---- the end

@test "batch: a last line without a newline is passed on if it is JSON, with a newline" {
    printf '{"a":1}\n{"a":2}' | batch >batch.out
    assert_output_is '{"a":1}\n{"a":2}\n\n'
}

@test "batch: a last line without a newline that is not JSON is dropped, with a warning and 65" {
    printf '{"a":1}\n{"a":2' >torn
    run --separate-stderr batch <torn
    assert_status 65
    assert_equal "$output" '{"a":1}'
    assert_contains "$stderr" "the last line has no newline and is not JSON: dropped as torn"
    batch -q <torn >batch.out || true
    assert_output_is '{"a":1}\n\n'
}

@test "batch: SIGTERM ends the open batch and exits with 0; a line that has come in part is left" {
    start_batch -t 1h
    printf '1\n2\npart' >&9
    wait_until '[[ $(wc -l <batch.out) == 2 ]]' 5
    stop batch TERM 5
    assert_status 0
    assert_output_is '1\n2\n\n'
    assert_equal "$(<batch.log)" ""
}

@test "batch: SIGINT does the same" {
    start_batch -t 1h
    printf '1\n' >&9
    wait_until '[[ -s batch.out ]]' 5
    stop batch INT 5
    assert_output_is '1\n\n'
    # (a shell's background process may have SIGINT ignored from its start: then batch takes it all the same)
    assert_status 0
}

@test "batch: a second signal ends it at once, even where nobody reads its output" {
    mkfifo full
    exec 9<>full
    mkfifo batch.in
    background source bash -c 'exec yes >batch.in' 9>&-
    background batch bash -c 'exec batch >full'
    wait_until '(($(counter lines_batched) > 1000))' 5
    wait_until 'signal batch TERM; ! is_running batch' 5
    await batch
    assert_status 143
}

@test "batch: a reader that has gone is an ordinary end, with 74" {
    { yes | { code=0; batch 2>log || code=$?; printf '%s' "$code" >code; }; } | head -n 1 >/dev/null
    assert_equal "$(<code)" 74
    assert_contains "$(<log)" "could not write to stdout: Broken pipe"
}

@test "batch: an input that cannot be read ends it with 74" {
    run batch <.
    assert_status 74
    assert_contains "$output" "could not read stdin: Is a directory"
    run bash -c 'batch <&-'
    assert_status 74
    assert_contains "$output" "stdin or stdout is closed"
    run bash -c 'batch </dev/null >&-'
    assert_status 74
}

# ---- options

@test "batch: wrong usage is named and exits with 64" {
    local wrong
    for wrong in '-n 0' '-n -1' '-n many' '-t soon' '-t -1' '-z big' '--no-such' 'file.ndjson'; do
        # shellcheck disable=SC2086 # words
        run batch $wrong </dev/null
        assert_status 64
        assert_contains "$output" "batch: "
    done
}

@test "batch --help and --version say what they should" {
    run batch --help
    assert_status 0
    for option in -n -t -z --progress --stats -v -q; do
        assert_contains "$output" "$option"
    done
    run batch --version
    assert_status 0
    assert_contains "$output" "batch"
}

@test "batch --progress: says on stderr how far it is, and stdout stays as it is" {
    start_batch -t 1h --progress
    printf '1\n2\n' >&9
    wait_until 'grep -q "^2 lines, 0.0 MB, .* lines/s" batch.log' 5
    end_input
    await batch
    assert_output_is '1\n2\n\n'
}

@test "batch --progress: says how long it will take where the size of the input is known" {
    seq 2000000 >batch.in # more than a pipe holds
    mkfifo out
    exec 9<>out
    background batch bash -c 'exec batch --progress >out'
    local start
    start=$(now_ms)
    wait_until "((\$(now_ms) > $start + 1100))" 5 # nothing is said in the first second
    assert_equal "$(<batch.log)" ""
    background reader bash -c 'exec head -c 15000000 <&9'
    wait_until 'grep -Eq " lines/s, [0-9]+ %, 0:0[0-9] to go" batch.log' 8
}

@test "batch: is quiet when all is well and stderr is no terminal" {
    seq 1000 >lines
    run --separate-stderr batch <lines
    assert_status 0
    assert_equal "$stderr" ""
}

@test "batch --stats: counts lines, bytes and batches" {
    printf '123\n123\n123\n' | env -u AGENT_ACTIONS_STATS batch -n 2 --stats "$AGENT_ACTIONS_STATS" >/dev/null
    assert_equal "$(counter lines_batched) $(counter bytes_batched) $(counter batches_ended)" "3 12 2"
}
