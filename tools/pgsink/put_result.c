#include "put_result.h"

#include "statements.h"

#include <stdio.h>

void put_result_clear(struct put_result *result)
{
    free(result->message);
    free(result->column);
    *result = (struct put_result){0};
}

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The row number in an error's context: "COPY agent_actions, line 17" in English, another word for line in
 * other languages. The COPY's own line is the last: it is the outermost context. An error behind the COPY
 * (an AFTER trigger, a deferred constraint) has other lines alone, with names and numbers of their own:
 * "PL/pgSQL function agent_actions_check() line 3 at RAISE". */
static size_t row_in_context(const char *context, const char *relname)
{
    static const char copy[] = "COPY ";
    if (!context)
        return 0;
    const char *newline = strrchr(context, '\n'), *last = newline ? newline + 1 : context;
    const char *name = last + strlen(copy), *behind = name + strlen(relname);
    if (strncmp(last, copy, strlen(copy)) != 0 || strncmp(name, relname, strlen(relname)) != 0 ||
        is_name_letter(*behind))
        return 0;
    behind += strcspn(behind, "0123456789");
    return strtoul(behind, NULL, 10);
}

/* COPY text puts the value into the context, and a value can hold a line that looks like COPY's own. A row
 * too large (54000) is found when a whole block of rows is stored: the context has the block's last line. */
static bool is_row_certain(const struct put_result *result, struct run run)
{
    return run.batch->format == FORMAT_BINARY && strcmp(result->sqlstate, "54000") != 0;
}

void put_result_take_error(struct put_result *result, const PGconn *connection, const PGresult *failed)
{
    const char *sqlstate = failed ? PQresultErrorField(failed, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = failed ? PQresultErrorField(failed, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail = failed ? PQresultErrorField(failed, PG_DIAG_MESSAGE_DETAIL) : NULL;
    const char *column = failed ? PQresultErrorField(failed, PG_DIAG_COLUMN_NAME) : NULL;
    put_result_clear(result);
    snprintf(result->sqlstate, sizeof result->sqlstate, "%s", sqlstate ? sqlstate : "");
    if (primary && detail)
        result->message = xasprintf("%s: %s", primary, detail);
    else
        result->message = xstrdup(primary ? primary : PQerrorMessage(connection));
    result->column = column ? xstrdup(column) : NULL;
}

void put_result_note(struct put_result *result, const PGconn *connection, PGresult *next, const char *relname)
{
    /* BEGIN and others have no number. */
    const char *stored = PQresultStatus(next) == PGRES_COMMAND_OK ? PQcmdTuples(next) : "";
    if (*stored)
        result->inserted = strtoull(stored, NULL, 10);
    if (PQresultStatus(next) != PGRES_FATAL_ERROR || result->message)
        return;
    put_result_take_error(result, connection, next);
    const char *context = PQresultErrorField(next, PG_DIAG_CONTEXT);
    size_t row = row_in_context(context, STAGE_RELNAME);
    result->row = row ? row : row_in_context(context, relname);
}

void put_result_judge_row(struct put_result *result, struct run run)
{
    if (result->row > run.count)
        result->row = 0;
    result->is_row_certain = is_row_certain(result, run);
}
