/* took - runs a command and tells what it took: as time(1), but holding none of the command's files open.
 *
 *   took FILE COMMAND [ARGUMENT]...
 *
 * writes a line to FILE: seconds of user time, of system time, and the most memory that it had in KB. In a
 * pipeline time(1) has the write end of the command's stdout too, so the next one is not told of its end
 * while the command still runs: kcat-actions closes its output first and then waits for what comes back. */
#include <sys/resource.h>
#include <sys/wait.h>

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "took: a file and a command are needed\n");
        return EX_USAGE;
    }
    FILE *file = fopen(argv[1], "we");
    if (!file) {
        perror(argv[1]);
        return EX_CANTCREAT;
    }
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) {
        perror("took");
        return EX_OSERR;
    }
    fprintf(file, "%.2f %.2f %ld\n", seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss);
    if (fclose(file)) {
        perror(argv[1]);
        return EX_IOERR;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
