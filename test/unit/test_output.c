#include "unit.h"

#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>

/* Seconds until a test that waits in vain ends the program. */
#define TIME_LIMIT 60

struct pipe_pair {
    int reader, writer;
};

static struct pipe_pair open_pipe(int flags)
{
    int fds[2];
    assert_int_equal(pipe2(fds, flags), 0);
    return (struct pipe_pair){fds[0], fds[1]};
}

static void append_pattern(struct buffer *buffer, size_t from, size_t len)
{
    for (size_t i = from; i < from + len; i++)
        buffer_append_char(buffer, (char)(i * 31 + i / 251));
}

/* Takes up to `len` bytes out of the pipe and checks that they are the pattern's next. */
static size_t read_pattern(int fd, size_t from, size_t len)
{
    char bytes[65536];
    ssize_t got = read(fd, bytes, len < sizeof bytes ? len : sizeof bytes);
    for (ssize_t i = 0; i < got; i++) {
        size_t at = from + (size_t)i;
        if (bytes[i] != (char)(at * 31 + at / 251))
            fail_msg("byte %zu is another", at);
    }
    return got > 0 ? (size_t)got : 0;
}

TEST(a_push_to_a_full_pipe_keeps_the_rest_for_later)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    struct output output = {.fd = ends.writer};
    append_pattern(&output.buffer, 0, 300000);
    assert_true(output_push(&output));
    assert_in_range(output_pending(&output), 1, 299999);
    assert_true(output_push(&output)); /* full is no failure, however often it is asked */
    size_t taken = 0;
    while (taken < 300000) {
        size_t got = read_pattern(ends.reader, taken, 10007);
        taken += got;
        assert_true(output_push(&output));
        assert_true(got > 0);
    }
    assert_int_equal(output_pending(&output), 0);
    assert_int_equal(output.bytes_written, 300000);
    buffer_free(&output.buffer);
    close(ends.reader);
    close(ends.writer);
}

/* A reader that keeps up, but never entirely: what was sent must not pile up in memory. */
TEST(memory_is_bound_by_what_is_pending_not_by_what_was_sent)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    struct output output = {.fd = ends.writer};
    size_t appended = 0, taken = 0;
    append_pattern(&output.buffer, 0, 200000);
    appended = 200000;
    for (int i = 0; i < 2000; i++) {
        assert_true(output_push(&output));
        size_t got = read_pattern(ends.reader, taken, 20000);
        taken += got;
        append_pattern(&output.buffer, appended, got);
        appended += got;
        assert_true(output_pending(&output) > 0);
        assert_in_range(output_pending(&output), 1, 200000);
    }
    assert_true(taken > 10000000);
    assert_in_range(output.buffer.capacity, 1, 2000000);
    while (taken < appended) {
        taken += read_pattern(ends.reader, taken, 65536);
        assert_true(output_push(&output));
    }
    assert_int_equal(output.bytes_written, appended);
    buffer_free(&output.buffer);
    close(ends.reader);
    close(ends.writer);
}

TEST(one_huge_write_does_not_stay_paid_for)
{
    struct output output = {.fd = open("/dev/null", O_WRONLY)};
    buffer_reserve(&output.buffer, 64 << 20);
    buffer_append_string(&output.buffer, "x");
    assert_true(output_push(&output));
    assert_in_range(output.buffer.capacity, 0, 8 << 20);
    buffer_append_string(&output.buffer, "y");
    assert_true(output_push(&output));
    assert_int_equal(output.bytes_written, 2);
    buffer_free(&output.buffer);
    close(output.fd);
}

static int full_pipe_reader;

static void make_room_in_the_pipe(int number)
{
    (void)number;
    char bytes[4096];
    ssize_t ignored = read(full_pipe_reader, bytes, sizeof bytes);
    (void)ignored;
}

TEST(a_signal_that_interrupts_a_blocking_write_is_no_failure)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    full_pipe_reader = ends.reader;
    char bytes[4096] = {0};
    while (write(ends.writer, bytes, sizeof bytes) > 0)
        ;
    fcntl(ends.writer, F_SETFL, 0);
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = make_room_in_the_pipe}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 20000}, NULL);
    struct output output = {.fd = ends.writer};
    buffer_append_string(&output.buffer, "x");
    assert_true(output_push(&output));
    assert_int_equal(output.bytes_written, 1);
    signal(SIGALRM, SIG_DFL);
    alarm(TIME_LIMIT);
    buffer_free(&output.buffer);
    close(ends.reader);
    close(ends.writer);
}

TEST(a_closed_pipe_is_an_errno)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    struct output output = {.fd = ends.writer};
    close(ends.reader);
    buffer_append_string(&output.buffer, "x");
    errno = 0;
    assert_false(output_push(&output));
    assert_int_equal(errno, EPIPE);
    errno = 0;
    assert_false(output_flush(&output));
    assert_int_equal(errno, EPIPE);
    assert_int_equal(output_pending(&output), 1);
    buffer_free(&output.buffer);
    close(ends.writer);
}

TEST(a_push_of_nothing_is_well_even_to_a_closed_pipe)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    struct output output = {.fd = ends.writer};
    close(ends.reader);
    assert_true(output_push(&output));
    assert_true(output_flush(&output));
    close(ends.writer);
}

TEST(a_flush_waits_until_a_slow_reader_has_all)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    pid_t child = fork();
    if (child == 0) {
        close(ends.writer);
        fcntl(ends.reader, F_SETFL, 0);
        size_t taken = 0, got;
        while ((got = read_pattern(ends.reader, taken, 3000)) > 0)
            taken += got;
        _exit(taken == 500000 ? 0 : 1);
    }
    struct output output = {.fd = ends.writer};
    append_pattern(&output.buffer, 0, 500000);
    assert_true(output_flush(&output));
    assert_int_equal(output_pending(&output), 0);
    close(ends.reader);
    close(ends.writer);
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
    buffer_free(&output.buffer);
}

TEST(a_flush_ends_when_its_reader_goes)
{
    struct pipe_pair ends = open_pipe(O_NONBLOCK);
    pid_t child = fork();
    if (child == 0) {
        close(ends.writer);
        char byte;
        _exit(read(ends.reader, &byte, 1) == 1 ? 0 : 1);
    }
    close(ends.reader);
    struct output output = {.fd = ends.writer};
    append_pattern(&output.buffer, 0, 500000);
    errno = 0;
    assert_false(output_flush(&output));
    assert_int_equal(errno, EPIPE);
    waitpid(child, NULL, 0);
    buffer_free(&output.buffer);
    close(ends.writer);
}

TEST(opening_anew_leaves_other_users_of_the_pipe_blocking)
{
    struct pipe_pair ends = open_pipe(0);
    int fresh = output_open_nonblocking(ends.writer, 0);
    assert_int_not_equal(fresh, ends.writer);
    assert_true(fcntl(fresh, F_GETFL) & O_NONBLOCK);
    assert_false(fcntl(ends.writer, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fresh, F_GETFD) & FD_CLOEXEC);
    close(fresh);
    close(ends.reader);
    close(ends.writer);
}

TEST(a_pipe_is_enlarged_and_never_made_smaller)
{
    struct pipe_pair ends = open_pipe(0);
    int before = fcntl(ends.writer, F_GETPIPE_SZ);
    enlarge_pipe(ends.writer, 4096);
    assert_int_equal(fcntl(ends.writer, F_GETPIPE_SZ), before);
    enlarge_pipe(ends.writer, 2 * before);
    assert_true(fcntl(ends.writer, F_GETPIPE_SZ) >= 2 * before);
    close(ends.reader);
    close(ends.writer);
}

TEST(a_regular_file_is_written_through_the_descriptor_given)
{
    FILE *file = tmpfile();
    assert_non_null(file);
    int fd = fileno(file);
    assert_int_equal(output_open_nonblocking(fd, 1 << 20), fd);
    struct output output = {.fd = fd};
    buffer_append_string(&output.buffer, "hello");
    assert_true(output_flush(&output));
    assert_int_equal(lseek(fd, 0, SEEK_END), 5);
    buffer_free(&output.buffer);
    fclose(file);
}

static int set_signals(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    alarm(TIME_LIMIT);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_push_to_a_full_pipe_keeps_the_rest_for_later),
        cmocka_unit_test(memory_is_bound_by_what_is_pending_not_by_what_was_sent),
        cmocka_unit_test(one_huge_write_does_not_stay_paid_for),
        cmocka_unit_test(a_signal_that_interrupts_a_blocking_write_is_no_failure),
        cmocka_unit_test(a_closed_pipe_is_an_errno),
        cmocka_unit_test(a_push_of_nothing_is_well_even_to_a_closed_pipe),
        cmocka_unit_test(a_flush_waits_until_a_slow_reader_has_all),
        cmocka_unit_test(a_flush_ends_when_its_reader_goes),
        cmocka_unit_test(opening_anew_leaves_other_users_of_the_pipe_blocking),
        cmocka_unit_test(a_pipe_is_enlarged_and_never_made_smaller),
        cmocka_unit_test(a_regular_file_is_written_through_the_descriptor_given),
    };
    return cmocka_run_group_tests(tests, set_signals, NULL);
}
