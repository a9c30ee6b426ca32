#include "unit.h"

#include "common/line_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *const status_names[] = {"line ", "torn ", "long ", "empty ", "end"};

/* Reads all there is and writes what came, each as its status, a space and the bytes, to `out`. */
static void read_all(struct line_reader *reader, struct buffer *out)
{
    struct slice line;
    for (;;) {
        enum reader_status status = line_reader_next(reader, &line);
        if (status == READER_EMPTY) {
            if (line_reader_fill(reader) < 0 && errno == EAGAIN)
                return;
            continue;
        }
        buffer_append_string(out, status_names[status]);
        if (status == READER_END)
            return;
        buffer_append_slice(out, line);
        buffer_append_char(out, '|');
    }
}

/* Gives `text` to a reader in pieces of `step` bytes, one read() each, and then the end. */
static void read_in_pieces(struct slice text, size_t step, size_t max_line, struct buffer *out)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    struct line_reader reader;
    struct slice line;
    line_reader_init(&reader, fds[0], max_line);
    for (size_t at = 0; at < text.len; at += step) {
        size_t len = text.len - at < step ? text.len - at : step;
        assert_int_equal(write(fds[1], text.data + at, len), len);
        assert_int_equal(line_reader_fill(&reader), len);
        enum reader_status status;
        while ((status = line_reader_next(&reader, &line)) != READER_EMPTY) {
            assert_int_not_equal(status, READER_TORN);
            assert_int_not_equal(status, READER_END);
            buffer_append_string(out, status_names[status]);
            buffer_append_slice(out, line);
            buffer_append_char(out, '|');
        }
    }
    close(fds[1]);
    read_all(&reader, out);
    assert_int_equal(reader.bytes_read, text.len);
    line_reader_free(&reader);
    close(fds[0]);
}

#define assert_reads(text, max_line, expected)                                                               \
    for (size_t step = 1; step <= sizeof(text); step++) {                                                    \
        cleanup_buffer struct buffer out = {0};                                                              \
        read_in_pieces(LITERAL(text), step, max_line, &out);                                                 \
        assert_buffer(&out, expected);                                                                       \
    }

TEST(lines_come_whole_whatever_pieces_they_arrive_in)
{
    assert_reads("one\ntwo\nthree\n", 100, "line one|line two|line three|end");
}

TEST(a_last_line_without_a_line_feed_is_torn)
{
    assert_reads("one\ntw", 100, "line one|torn tw|end");
    assert_reads("x", 100, "torn x|end");
}

TEST(empty_lines_are_lines)
{
    assert_reads("\n\na\n\n", 100, "line |line |line a|line |end");
    assert_reads("\n", 100, "line |end");
    assert_reads("", 100, "end");
}

TEST(carriage_returns_and_nuls_are_kept)
{
    assert_reads("a\r\nb\0c\r\n\r\n", 100, "line a\r|line b\0c\r|line \r|end");
}

TEST(a_line_of_exactly_max_line_is_taken_and_one_byte_more_is_too_long)
{
    assert_reads("12345678\n", 8, "line 12345678|end");
    assert_reads("123456789\n", 8, "long 123456789|end");
    assert_reads("12345678", 8, "torn 12345678|end");
    assert_reads("123456789", 8, "long 123456789|end");
}

TEST(a_line_that_is_too_long_costs_itself_alone)
{
    assert_reads("ok\n1234567890\nfine\n", 8, "line ok|long 1234567890|line fine|end");
    assert_reads("1234567890\n1234567890\n\n12345678\n", 8,
                 "long 1234567890|long 1234567890|line |line 12345678|end");
    assert_reads("a\n1234567890", 8, "line a|long 1234567890|end");
}

/* Too long for what is kept of it, in one piece and in many. */
TEST(of_a_line_far_too_long_the_first_bytes_are_kept)
{
    const size_t lengths[] = {READER_PREFIX - 1, READER_PREFIX, READER_PREFIX + 1, 3 * READER_PREFIX + 17};
    const size_t steps[] = {1000, 4096, 65536};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 3; k++) {
            cleanup_buffer struct buffer text = {0}, out = {0}, expected = {0};
            buffer_append_string(&text, "before\n");
            for (size_t at = 0; at < lengths[i]; at++)
                buffer_append_char(&text, (char)('a' + at % 26));
            buffer_append_string(&text, "\nafter\n");
            read_in_pieces(buffer_slice(&text), steps[k], 1000, &out);
            buffer_append_string(&expected, "line before|long ");
            buffer_append(&expected, text.data + 7, lengths[i] < READER_PREFIX ? lengths[i] : READER_PREFIX);
            buffer_append_string(&expected, "|line after|end");
            assert_bytes(buffer_slice(&out), buffer_slice(&expected));
        }
}

/* A child that writes; the reader sees what a pipe gives it. */
static pid_t spawn_writer(int fd, int other_end, void (*write_lines)(FILE *out))
{
    pid_t child = fork();
    if (child == 0) {
        close(other_end);
        FILE *out = fdopen(fd, "w");
        write_lines(out);
        fclose(out);
        _exit(0);
    }
    close(fd);
    return child;
}

#define HUGE_LINE (20 << 20)

static void write_a_line_above_the_limit(FILE *out)
{
    for (int i = 0; i < HUGE_LINE; i++)
        putc('x', out);
    fputs("\nafter\n", out);
}

TEST(a_line_above_the_limit_is_skipped_in_bounded_memory)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = spawn_writer(fds[1], fds[0], write_a_line_above_the_limit);
    struct line_reader reader;
    struct slice line;
    line_reader_init(&reader, fds[0], 100000);
    enum reader_status status;
    while ((status = line_reader_next(&reader, &line)) == READER_EMPTY) {
        assert_true(line_reader_fill(&reader) > 0);
        assert_in_range(reader.buffer.capacity, 1, 2 << 20);
    }
    assert_int_equal(status, READER_TOO_LONG);
    assert_int_equal(line.len, READER_PREFIX);
    cleanup_buffer struct buffer out = {0};
    read_all(&reader, &out);
    assert_buffer(&out, "line after|end");
    waitpid(child, NULL, 0);
    line_reader_free(&reader);
    close(fds[0]);
}

/* The small lines never end where a read ends: the buffer is never quite empty. */
TEST(memory_for_a_huge_line_is_given_back_while_small_ones_follow)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    struct line_reader reader;
    struct slice line;
    char piece[4096];
    memset(piece, 'x', sizeof piece);
    line_reader_init(&reader, fds[0], 64 << 20);
    for (int i = 0; i < HUGE_LINE; i += (int)sizeof piece) {
        assert_int_equal(write(fds[1], piece, sizeof piece), sizeof piece);
        assert_true(line_reader_fill(&reader) > 0);
        assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    }
    assert_in_range(reader.buffer.capacity, HUGE_LINE, 2 * HUGE_LINE + (1 << 20));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(write(fds[1], "end\nstart and ", 14), 14);
        assert_true(line_reader_fill(&reader) > 0);
        assert_int_equal(line_reader_next(&reader, &line), READER_LINE);
        if (i == 0)
            assert_int_equal(line.len, HUGE_LINE + 3);
        else
            assert_text(line, "start and end");
        assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    }
    assert_in_range(reader.buffer.capacity, 1, 2 << 20);
    line_reader_free(&reader);
    close(fds[0]);
    close(fds[1]);
}

static void write_lines_of_all_lengths(FILE *out)
{
    for (int i = 0; i < 3000; i++)
        fprintf(out, "%d:%*s\n", i, (i * 37) % 1500, "");
}

TEST(lines_of_all_lengths_come_in_order_across_the_buffers_end)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t child = spawn_writer(fds[1], fds[0], write_lines_of_all_lengths);
    struct line_reader reader;
    struct slice line;
    int count = 0;
    line_reader_init(&reader, fds[0], 100000);
    enum reader_status status;
    while ((status = line_reader_next(&reader, &line)) != READER_END) {
        if (status == READER_EMPTY) {
            assert_true(line_reader_fill(&reader) >= 0);
            continue;
        }
        char expected[16];
        int digits = snprintf(expected, sizeof expected, "%d:", count);
        assert_int_equal(status, READER_LINE);
        assert_int_equal(line.len, digits + (count * 37) % 1500);
        assert_memory_equal(line.data, expected, (size_t)digits);
        count++;
    }
    assert_int_equal(count, 3000);
    waitpid(child, NULL, 0);
    line_reader_free(&reader);
    close(fds[0]);
}

TEST(a_line_stays_good_until_the_next_call)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "one\ntwo\n", 8), 8);
    struct line_reader reader;
    struct slice line;
    line_reader_init(&reader, fds[0], 100);
    assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    assert_int_equal(line_reader_fill(&reader), 8);
    assert_int_equal(line_reader_next(&reader, &line), READER_LINE);
    assert_text(line, "one");
    assert_text(line, "one");
    assert_int_equal(line_reader_next(&reader, &line), READER_LINE);
    assert_text(line, "two");
    assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    line_reader_free(&reader);
    close(fds[0]);
    close(fds[1]);
}

TEST(half_a_line_is_no_line)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
    struct line_reader reader;
    struct slice line;
    line_reader_init(&reader, fds[0], 100);
    assert_int_equal(write(fds[1], "on", 2), 2);
    assert_int_equal(line_reader_fill(&reader), 2);
    assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    assert_int_equal(line_reader_fill(&reader), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    assert_int_equal(write(fds[1], "e\nt", 3), 3);
    assert_int_equal(line_reader_fill(&reader), 3);
    assert_int_equal(line_reader_next(&reader, &line), READER_LINE);
    assert_text(line, "one");
    line_reader_free(&reader);
    close(fds[0]);
    close(fds[1]);
}

TEST(the_end_stays_the_end)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    struct line_reader reader;
    struct slice line;
    line_reader_init(&reader, fds[0], 100);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(line_reader_fill(&reader), 0);
        assert_int_equal(line_reader_next(&reader, &line), READER_END);
    }
    line_reader_free(&reader);
    close(fds[0]);
}

/* read() of a fifo gives 0 as long as it has no writer: that end is not final. */
TEST(a_fifo_whose_writer_comes_later_is_read_in_whole_lines)
{
    char directory[] = "/tmp/line-reader-XXXXXX";
    assert_non_null(mkdtemp(directory));
    cleanup_free char *path = xasprintf("%s/fifo", directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    struct line_reader reader;
    struct slice line;
    line_reader_init(&reader, fd, 100);
    assert_int_equal(line_reader_fill(&reader), 0);
    assert_int_equal(line_reader_next(&reader, &line), READER_END);
    int writer = open(path, O_WRONLY | O_NONBLOCK);
    unlink(path);
    rmdir(directory);
    assert_int_equal(write(writer, "{\"ack\"", 6), 6);
    assert_int_equal(line_reader_fill(&reader), 6);
    assert_int_equal(line_reader_next(&reader, &line), READER_EMPTY);
    assert_int_equal(write(writer, ":[]}\n", 5), 5);
    assert_int_equal(line_reader_fill(&reader), 5);
    assert_int_equal(line_reader_next(&reader, &line), READER_LINE);
    assert_text(line, "{\"ack\":[]}");
    line_reader_free(&reader);
    close(writer);
    close(fd);
}

TEST(a_descriptor_that_cannot_be_read_is_an_errno)
{
    struct line_reader reader;
    line_reader_init(&reader, -1, 100);
    assert_int_equal(line_reader_fill(&reader), -1);
    assert_int_equal(errno, EBADF);
    line_reader_free(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_whatever_pieces_they_arrive_in),
        cmocka_unit_test(a_last_line_without_a_line_feed_is_torn),
        cmocka_unit_test(empty_lines_are_lines),
        cmocka_unit_test(carriage_returns_and_nuls_are_kept),
        cmocka_unit_test(a_line_of_exactly_max_line_is_taken_and_one_byte_more_is_too_long),
        cmocka_unit_test(a_line_that_is_too_long_costs_itself_alone),
        cmocka_unit_test(of_a_line_far_too_long_the_first_bytes_are_kept),
        cmocka_unit_test(a_line_above_the_limit_is_skipped_in_bounded_memory),
        cmocka_unit_test(memory_for_a_huge_line_is_given_back_while_small_ones_follow),
        cmocka_unit_test(lines_of_all_lengths_come_in_order_across_the_buffers_end),
        cmocka_unit_test(a_line_stays_good_until_the_next_call),
        cmocka_unit_test(half_a_line_is_no_line),
        cmocka_unit_test(the_end_stays_the_end),
        cmocka_unit_test(a_fifo_whose_writer_comes_later_is_read_in_whole_lines),
        cmocka_unit_test(a_descriptor_that_cannot_be_read_is_an_errno),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
