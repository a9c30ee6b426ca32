/* Content negotiation: RFC 9110, 12.5.1, as far as two kinds of answer need it. */
#include "metrics.h"

#include <strings.h>

/* The quality that one type gets: of the ranges that match, the most specific one's. */
struct offer {
    const char *type, *subtype;
    int specificity; /* of the best range so far: 0 none, 1 * / *, 2 type / *, 3 exact */
    int quality;     /* thousandths */
};

static struct slice trim(struct slice text)
{
    while (text.len && (*text.data == ' ' || *text.data == '\t'))
        text = slice_of(text.data + 1, text.len - 1);
    while (text.len && (text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* What stands before `separator`; `rest` begins behind it and is empty after the last part. */
static struct slice next_part(struct slice *rest, char separator)
{
    const char *end = memchr(rest->data, separator, rest->len);
    struct slice part = slice_of(rest->data, end ? (size_t)(end - rest->data) : rest->len);
    size_t used = part.len + (end ? 1 : 0);
    *rest = slice_of(rest->data + used, rest->len - used);
    return trim(part);
}

static bool is_word(struct slice text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

/* "0.25" to 250; anything odd counts as 1. */
static int parse_quality(struct slice text)
{
    int quality = 0, scale = 1000;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '.' && i == 1)
            continue;
        if (c < '0' || c > '9' || i > 4)
            return 1000;
        quality += (c - '0') * scale;
        scale /= 10;
    }
    return text.len == 0 || quality > 1000 ? 1000 : quality;
}

static int range_quality(struct slice parameters)
{
    while (parameters.len) {
        struct slice parameter = next_part(&parameters, ';');
        if (parameter.len >= 2 && strncasecmp(parameter.data, "q=", 2) == 0)
            return parse_quality(slice_of(parameter.data + 2, parameter.len - 2));
    }
    return 1000;
}

static void apply_range(struct offer *offer, struct slice type, struct slice subtype, int quality)
{
    bool any_type = is_word(type, "*"), any_subtype = is_word(subtype, "*");
    if ((!any_type && !is_word(type, offer->type)) || (!any_subtype && !is_word(subtype, offer->subtype)))
        return;
    int specificity = any_type ? 1 : any_subtype ? 2 : 3;
    if (specificity < offer->specificity)
        return;
    /* The same range again, with other parameters (versions of a format): the best one counts. */
    if (specificity > offer->specificity || quality > offer->quality)
        offer->quality = quality;
    offer->specificity = specificity;
}

bool accept_prefers_text(const char *accept)
{
    struct offer offers[] = {{.type = "application", .subtype = "json"},
                             {.type = "text", .subtype = "plain"},
                             {.type = "application", .subtype = "openmetrics-text"}};
    struct slice rest = slice_of_string(accept ? accept : "*/*");
    while (rest.len) {
        struct slice range = next_part(&rest, ',');
        struct slice name = next_part(&range, ';');
        struct slice type = next_part(&name, '/');
        int quality = range_quality(range);
        for (size_t i = 0; i < sizeof offers / sizeof *offers; i++)
            apply_range(&offers[i], type, name, quality);
    }
    /* An offer by a wildcard says nothing about openmetrics: a tie goes to JSON. */
    return offers[1].quality > offers[0].quality || offers[2].quality > offers[0].quality;
}
