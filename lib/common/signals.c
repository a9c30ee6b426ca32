#include "common/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <stdint.h>
#include <unistd.h>

static volatile sig_atomic_t signal_count;
static volatile sig_atomic_t event_fd = -1;

static void on_signal(int number)
{
    uint64_t one = 1;
    if (signal_count++ > 0) {
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    ssize_t ignored = write(event_fd, &one, sizeof one);
    (void)ignored;
}

int signals_init(void)
{
    event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* No SA_RESTART: a blocking call returns with EINTR and the tool looks at signals_pending(). */
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    return event_fd;
}

bool signals_pending(void)
{
    return signal_count > 0;
}
