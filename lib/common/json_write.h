/* json_write.h - JSON out of bytes: quoting, and members with their commas.
 *
 *     json_open(out, '{'); json_member(out, "tool"); json_write_string(out, name); json_close(out, '}');
 *
 * json_member and json_item put the comma themselves: none behind an opening bracket.
 */
#ifndef COMMON_JSON_WRITE_H
#define COMMON_JSON_WRITE_H

#include "common/buffer.h"

void json_open(struct buffer *out, char bracket);
void json_close(struct buffer *out, char bracket);
/* A comma where one is due, the quoted name and a colon. The name is a literal that needs no escapes. */
void json_member(struct buffer *out, const char *name);
/* A comma where one is due before an array's next item. */
void json_item(struct buffer *out);
/* `text` must be UTF-8; bytes that are not become U+FFFD. */
void json_write_string(struct buffer *out, struct slice text);

#endif
