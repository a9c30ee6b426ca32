/* Runs LLVMFuzzerTestOneInput without libFuzzer:
 *
 *     fuzz_line FILE...            each file as one input
 *     fuzz_line -n COUNT [-s SEED] COUNT random mutations; SEED makes a run again what it was
 *
 * The input at fault is left in ./fuzz-failure when a check or a sanitizer stops the run.
 */
#include "common/buffer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Sanitizers end with a signal, so that keep_input() is called. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "abort_on_error=1";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
    return "abort_on_error=1:print_stacktrace=1";
}

/* Where mutations start from: a line of each kind, and times. */
static const char *const seeds[] = {
    "{\"correlation_id\":\"b7e23ec2-9f4b-4c0e-8a4b-0a6f0d7c1f11\",\"agent_name\":\"planner\",\"duration_ms\":"
    "12.50,"
    "\"action_details\":{\"a\":[1,true,null]},\"timestamp\":\"2026-11-23T18:00:00.123456\"}",
    "{\"topic\":\"agent-actions\",\"partition\":0,\"offset\":41,\"tstype\":\"create\",\"ts\":1761000000000,"
    "\"broker\":1,"
    "\"headers\":[\"k\",\"v\",\"n\",null],\"key\":\"K\",\"payload\":{\"a\":1,\"b\":"
    "\"x\\ud83d\\ude00\\u0000\"}}",
    "{\"topic\":\"t\",\"partition\":0,\"offset\":1,\"key\":\"/"
    "w==\",\"key_encoding\":\"base64\",\"payload\":\"/w==\","
    "\"payload_encoding\":\"base64\",\"error\":{\"tool\":\"t\",\"class\":\"decode\",\"message\":\"m\"}}",
    "{\"payload\":{\"a\":1},\"error\":{\"tool\":\"pgsink\",\"class\":\"data\",\"message\":\"m\"}}",
    "{\"payload\":{\"a\":1},\"payload\":{\"b\":{}},\"topic\":\"x\",\"error\":{\"class\":\"data\"}}",
    "{\"ack\":[{\"topic\":\"agent-actions\",\"partition\":0,\"next\":42},{\"topic\":\"b\",\"partition\":1,"
    "\"next\":7}]}",
    " [ 1 , -2.5e+3 , \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\" , { } , [ ] , \"\xe2\x82\xac \xf0\x9d\x84\x9e\" "
    "] \r",
    "\"abc\\ud800\"",
    "-9223372036854775808",
    "2026-11-23T18:00:00.123456Z",
    "20261123T180000.9999999+0530",
    "1969-12-31 23:59:60 -08",
};

static const char *const tokens[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ":",
                                     ",",
                                     "\"",
                                     "\\",
                                     "\\u0000",
                                     "\\ud800",
                                     "\\udc00",
                                     "\n",
                                     "\r",
                                     " ",
                                     "\t",
                                     "null",
                                     "true",
                                     "0",
                                     "-",
                                     "1e9",
                                     "9223372036854775808",
                                     "\xff",
                                     "\xc3",
                                     "\xed\xa0\x80",
                                     "\xe2\x82\xac",
                                     "\"topic\":\"t\",",
                                     "\"partition\":0,",
                                     "\"offset\":1,",
                                     "\"payload\":{},",
                                     "\"payload\":",
                                     "\"error\":{\"class\":\"decode\"},",
                                     "\"error\":null,",
                                     "\"key\":\"k\",",
                                     "\"headers\":[\"a\",\"b\"],",
                                     "\"payload_encoding\":\"base64\",",
                                     "\"ack\":[",
                                     "24:00:00",
                                     ".9999995",
                                     "+15:59",
                                     "0001-01-01",
                                     "\"\":1,"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* George Marsaglia, "Xorshift RNGs" (2003). */
static uint64_t random_state;
static size_t random_below(size_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return limit ? (size_t)(random_state >> 11) % limit : 0;
}

/* For the signal handler. */
static const struct buffer *current;

static void keep_input(int number)
{
    int fd = open("fuzz-failure", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t ignored = current ? write(fd, current->data, current->len) : 0;
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

/* Replaces `gone` bytes at `at` by others. */
static void replace_bytes(struct buffer *input, size_t at, size_t gone, const char *bytes, size_t len)
{
    struct buffer result = {0};
    buffer_append(&result, input->data, at);
    buffer_append(&result, bytes, len);
    buffer_append(&result, input->data + at + gone, input->len - at - gone);
    buffer_free(input);
    *input = result;
}

static void mutate(struct buffer *input)
{
    size_t at = random_below(input->len + 1), left = input->len - at;
    const char *text = seeds[random_below(COUNT(seeds))];
    char byte = (char)random_below(256);
    switch (random_below(7)) {
    case 0: /* a byte changes */
        replace_bytes(input, at, left ? 1 : 0, &byte, 1);
        break;
    case 1: /* bytes go */
        replace_bytes(input, at, random_below(left + 1) % 9, "", 0);
        break;
    case 2: /* it is cut */
        replace_bytes(input, at, left, "", 0);
        break;
    case 3: /* part of itself comes again */
        if (left) {
            size_t len = 1 + random_below(left);
            cleanup_buffer struct buffer part = {0};
            buffer_append(&part, input->data + at, len);
            replace_bytes(input, random_below(input->len + 1), 0, part.data, len);
        }
        break;
    case 4: /* part of another seed */
        left = random_below(strlen(text) + 1);
        replace_bytes(input, at, 0, text + left, random_below(strlen(text) - left + 1));
        break;
    default: /* a token comes in */
        text = tokens[random_below(COUNT(tokens))];
        replace_bytes(input, at, 0, text, strlen(text));
        break;
    }
}

static void run_mutations(unsigned long count, uint64_t seed)
{
    for (unsigned long i = 0; i < count; i++) {
        random_state = (seed + i) * 0x9E3779B97F4A7C15u | 1;
        cleanup_buffer struct buffer input = {0};
        buffer_append_string(&input, seeds[random_below(COUNT(seeds))]);
        for (size_t steps = random_below(8); steps > 0 && input.len < 65536; steps--)
            mutate(&input);
        current = &input;
        LLVMFuzzerTestOneInput((const uint8_t *)input.data, input.len);
        current = NULL;
    }
}

static void run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "could not open %s: %m\n", path);
        exit(EX_NOINPUT);
    }
    cleanup_buffer struct buffer input = {0};
    char bytes[65536];
    size_t got;
    while ((got = fread(bytes, 1, sizeof bytes, file)) > 0)
        buffer_append(&input, bytes, got);
    fclose(file);
    LLVMFuzzerTestOneInput((const uint8_t *)input.data, input.len);
}

int main(int argc, char **argv)
{
    unsigned long count = 0;
    uint64_t seed = 1;
    int option;
    while ((option = getopt(argc, argv, "n:s:")) != -1)
        switch (option) {
        case 'n':
            count = strtoul(optarg, NULL, 10);
            break;
        case 's':
            seed = strtoull(optarg, NULL, 10);
            break;
        default:
            return EX_USAGE;
        }
    signal(SIGABRT, keep_input);
    run_mutations(count, seed);
    for (; optind < argc; optind++)
        run_file(argv[optind]);
    return 0;
}
