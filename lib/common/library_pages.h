/* library_pages.h - gives back the pages of shared libraries that only the start has needed.
 *
 * To load and initialize libpq, librdkafka and libcrypto touches megabytes of them, and the kernel maps 16
 * pages around each one that is touched. They count in the process's resident memory ever after, for no use.
 * Their contents are in the page cache: one that is needed again comes back by a minor fault, within a
 * microsecond.
 */
#ifndef COMMON_LIBRARY_PAGES_H
#define COMMON_LIBRARY_PAGES_H

/* To be called once, when all is open and the work begins. Leaves the program's own pages alone (a debugger's
 * breakpoints are in them), and all that can be written. Breakpoints and probes that were set in a library
 * before are gone. It cannot fail: at worst nothing is given back. */
void library_pages_give_back(void);

#endif
