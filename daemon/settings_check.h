/*
 * settings_check: what no single row can say: names that refer to each other, values that must fit.
 *
 *   settings_check.c          the whole, queues, the process, warnings
 *   settings_check_limits.c   limits
 *   settings_check_targets.c  targets
 *   settings_check_routes.c   routes
 */
#ifndef SLUICE_SETTINGS_CHECK_H
#define SLUICE_SETTINGS_CHECK_H

#include "sluice/settings.h"

#define PATH_TEXT_MAX 128

/* Resolves defaults that depend on other keys, names to indices, and dead-letter queues nobody
 * declared; adds an error for everything that does not fit. Returns the first one's code, or 0. */
SL_MUST_CHECK int settings_resolve(struct settings *settings, struct error_list *errors);

/* ---- between the files of it ---- */
struct check {
    struct settings *settings;
    struct error_list *errors;
    int first_code;
};

/* "limits.createjob.per": where an error lies. */
struct place {
    char text[PATH_TEXT_MAX];
};
struct place place(const char *table, const char *name, const char *key);

#define FAIL(check, where, ...)                                                                    \
    check_fail((check), error_list_add((check)->errors, ERR_INVALID, (where), __VA_ARGS__))
void check_fail(struct check *check, int code);

/* The names of one table's entries: each structure begins with its name. */
struct names {
    const void *items;
    uint32_t count;
    size_t item_size;
};
#define NAMES(array) ((struct names){(array).items, (array).count, sizeof((array).items[0])})
uint32_t check_find(struct names names, const char *wanted); /* SETTINGS_NONE: not there */
/* The index of the entry, or an error with a suggestion. */
uint32_t check_refer(struct check *check, struct names names, const char *table, const char *wanted,
                     const char *where);

void check_limit(struct check *check, struct limit_settings *limit);
void check_target(struct check *check, struct target_settings *target);
void check_route(struct check *check, struct route_settings *route);
/* Its records come to its own queue, by way of other routes. */
bool check_route_is_circle(const struct settings *settings, const struct route_settings *route);

#endif
