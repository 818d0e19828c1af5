/*
 * config: configuration is a table. One row per setting (path, type, place in the structure,
 * bounds, default, unit, flags, one line of help) drives parsing, errors, the dump with secrets
 * redacted and the example file with every key. The rows themselves lie with the program
 * (daemon/settings.c); this is the engine, and knows no setting.
 *
 * The text is JSON with comments. *All* errors are collected, each with the path of the bad key,
 * what was found, what is allowed and what to do. Unknown keys are errors with a suggestion.
 *
 * Structures: a CONFIG_OBJECT only groups keys of the structure around it. A CONFIG_TABLE
 * ("limits": {"name": {…}}) and a CONFIG_LIST ("keys": [{…}]) fill an array of structures through
 * struct config_array; a table's structure begins with `char *name`. Everything a structure points
 * to is heap memory that config_free() releases. Pure apart from memory; any thread.
 */
#ifndef SLUICE_RUNTIME_CONFIG_H
#define SLUICE_RUNTIME_CONFIG_H

#include "sluice/base/buf.h"
#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_TEXT_MAX   (1024u * 1024u)
#define CONFIG_ERRORS_MAX 200u
#define CONFIG_NAME_MAX   80u
/* What a 64-bit setting without default holds when it is not given. */
#define CONFIG_UNSET INT64_C(-1)

/* C type in the structure, in braces. */
enum config_type {
    CONFIG_OBJECT, /* group of keys; nothing of its own */
    CONFIG_TABLE,  /* object of named objects {struct config_array} */
    CONFIG_LIST,   /* array of objects {struct config_array} */
    CONFIG_STRING, /* min … max bytes {char *, NULL when absent} */
    CONFIG_NAME,   /* [A-Za-z0-9_-]{1,80} {char *} */
    CONFIG_STRINGS, /* array of strings, or one string; min … max of them {struct config_strings} */
    CONFIG_MAP,     /* object of strings; at most max {struct config_map} */
    CONFIG_INTEGER,  /* min … max {uint32_t, int64_t} */
    CONFIG_BOOL,     /* {bool} */
    CONFIG_DURATION, /* "1.5s"; min … max in ns {int64_t} */
    CONFIG_SECONDS,  /* a duration of whole seconds; min … max in s {uint32_t, int64_t} */
    CONFIG_ENUM,     /* one of names {enum, int} */
};

enum config_flags {
    CONFIG_RELOADABLE = 1, /* may change while running; else a restart is needed */
    CONFIG_SECRET = 2,     /* never printed */
    CONFIG_REQUIRED = 4,
    CONFIG_URL = 16, /* STRING: printed without user, password and query */
    CONFIG_FIFO = 8, /* NAME, and the names in a TABLE: may end in ".fifo" */
};

/* The ends of the arrays in a structure: items points to count structures of row.item_size. */
struct config_array {
    void *items;
    uint32_t count;
};
struct config_strings {
    char **items;
    uint32_t count;
};
struct config_pair {
    char *name, *value;
};
struct config_map {
    struct config_pair *items;
    uint32_t count;
};

struct config_row {
    const char *path; /* "limits.*.requests", "sqs_api.access_keys[].id" */
    enum config_type type;
    uint32_t flags;
    size_t offset;            /* in the innermost structure: root or entry */
    size_t size;              /* of the member */
    size_t item_size;         /* TABLE, LIST: of an entry */
    int64_t min, max;         /* as the type says; both 0: no bounds */
    const char *const *names; /* ENUM: NULL-terminated, value = index */
    const char *fallback;     /* default as JSON text: "\"1s\"", "8"; NULL: none */
    const char *unit;         /* of the number, for people; NULL: none */
    const char *help;         /* one line, ends with a full stop */
    const char *example;      /* JSON text in the full example where there is no default;
                                 TABLE: the name of its entry */
};

/* offset and size of a member, for a row. */
#define CONFIG_MEMBER(type, member)                                                                \
    .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)

/* Rows of one part of the program: a parent before its children. */
struct config_rows {
    const struct config_row *items;
    uint32_t count;
};
#define CONFIG_ROWS(array)                                                                         \
    {                                                                                              \
        (array), SL_COUNT(array)                                                                   \
    }
#define CONFIG_PARTS_MAX 8

struct config_table {
    const struct config_rows *parts[CONFIG_PARTS_MAX]; /* up to the first NULL */
    size_t root_size;
};
uint32_t config_table_count(const struct config_table *table);
/* NULL past the end. */
const struct config_row *config_table_row(const struct config_table *table, uint32_t i);

/* A bounded collection of errors (or warnings). Zero-initialised; error_list_free(). */
struct error_list {
    struct error *items;
    uint32_t count;
    uint32_t dropped; /* beyond CONFIG_ERRORS_MAX */
};
int error_list_add(struct error_list *list, int code, const char *where, const char *format, ...)
    SL_PRINTF(4, 5);
void error_list_free(struct error_list *list);

/* Fills *root (zeroed, table->root_size bytes) with the text's values and the defaults. Returns 0,
 * or the code of the first error; *errors has all of them. *root is to be freed in any case. */
SL_MUST_CHECK int config_parse(const struct config_table *table, struct str text, void *root,
                               struct error_list *errors);
void config_free(const struct config_table *table, void *root);

/* Appends the values as JSON that config_parse reads again; secrets become "<redacted>". */
int config_dump(const struct config_table *table, const void *root, struct buf *out);
/* Appends every key with its help as comments, its default or example as value. */
int config_example(const struct config_table *table, struct buf *out);

/* The candidate closest to found when it is close enough for a typing error, else NULL.
 * next(context, i) gives the i-th candidate, NULL at the end. */
const char *config_suggest(struct str found, const char *(*next)(void *context, uint32_t i),
                           void *context);
/* [A-Za-z0-9_-]{1,80} */
bool config_name_is_valid(struct str name);
/* The same, or ending in ".fifo", which counts. */
bool config_queue_name_is_valid(struct str name);
/* "1s", "250ms": the shortest exact text of a duration; out has at least 32 bytes. */
void config_duration_text(int64_t ns, char *out, size_t out_size);

#endif
