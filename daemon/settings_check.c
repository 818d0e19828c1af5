#include "settings_check.h"

#include "settings_text.h"
#include "sluice/base/clock.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/calendar.h"
#include "sluice/sqs/iam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD_LETTER_MAX_RECEIVE 5
#define DEAD_LETTER_RETENTION_S (14 * 86400)
#define MESSAGE_MAX_BYTES       1048576

struct place place(const char *table, const char *name, const char *key)
{
    struct place place;
    (void)snprintf(place.text, sizeof(place.text), "%s.%s.%s", table, name, key);
    return place;
}

void check_fail(struct check *check, int code)
{
    if (check->first_code == 0) {
        check->first_code = code;
    }
}

static const char *next_name(void *context, uint32_t i)
{
    const struct names *names = context;
    const char *name = NULL;
    if (i < names->count) {
        memcpy(&name, (const char *)names->items + i * names->item_size, sizeof(name));
    }
    return name;
}

uint32_t check_find(struct names names, const char *wanted)
{
    const char *name;
    for (uint32_t i = 0; (name = next_name(&names, i)) != NULL; i++) {
        if (strcmp(name, wanted) == 0) {
            return i;
        }
    }
    return SETTINGS_NONE;
}

uint32_t check_refer(struct check *check, struct names names, const char *table, const char *wanted,
                     const char *where)
{
    uint32_t index = check_find(names, wanted);
    if (index != SETTINGS_NONE) {
        return index;
    }
    const char *suggestion = config_suggest(str_from(wanted), next_name, &names);
    if (suggestion != NULL) {
        FAIL(check, where, "found \"%s\", which is not in %s; did you mean \"%s\"?", wanted, table,
             suggestion);
    } else {
        FAIL(check, where, "found \"%s\", which is not in %s; declare it there", wanted, table);
    }
    return SETTINGS_NONE;
}

/* ---- queues ---- */

static bool is_fifo(const char *name)
{
    return str_ends_with(str_from(name), STR(".fifo"));
}

static void check_standard_queue(struct check *check, const struct queue_settings *queue)
{
    const char *key = queue->content_based_deduplication ? "content_based_deduplication"
                      : queue->deduplication_scope != QUEUE_SCOPE_QUEUE   ? "deduplication_scope"
                      : queue->fifo_throughput_limit != QUEUE_SCOPE_QUEUE ? "fifo_throughput_limit"
                                                                          : NULL;
    if (key != NULL) {
        FAIL(check, place("queues", queue->name, key).text,
             "only a FIFO queue has it; remove it, or let the queue's name end in .fifo");
    }
}

static void resolve_queue(struct check *check, struct queue_settings *queue)
{
    queue->fifo = is_fifo(queue->name);
    if (!queue->fifo) {
        check_standard_queue(check, queue);
    } else if (queue->fifo_throughput_limit == QUEUE_SCOPE_GROUP &&
               queue->deduplication_scope != QUEUE_SCOPE_GROUP) {
        FAIL(check, place("queues", queue->name, "fifo_throughput_limit").text,
             "found \"per_message_group_id\"; it needs \"deduplication_scope\": "
             "\"message_group\"");
    }
    if (queue->dead_letter != NULL && is_fifo(queue->dead_letter) != queue->fifo) {
        FAIL(check, place("queues", queue->name, "dead_letter").text,
             queue->fifo ? "found \"%s\"; the dead-letter queue of a FIFO queue is a FIFO queue: "
                           "its name must end in .fifo"
                         : "found \"%s\", a FIFO queue; the dead-letter queue of a standard queue "
                           "is a standard queue",
             queue->dead_letter);
    }
}

/* A dead-letter queue that is not declared is made with defaults. */
static void imply_queue(struct settings *settings, const char *name)
{
    uint32_t count = settings->queues.count;
    struct queue_settings *items = MEM_NEW_ARRAY(count + 1, struct queue_settings);
    memcpy(items, settings->queues.items, count * sizeof(items[0]));
    free(settings->queues.items);
    items[count] = (struct queue_settings){
        .name = mem_dup(name, strlen(name)),
        .max_receives = DEAD_LETTER_MAX_RECEIVE,
        .visibility_timeout_s = 30,
        .retention_s = DEAD_LETTER_RETENTION_S,
        .max_message_bytes = MESSAGE_MAX_BYTES,
        .fifo = is_fifo(name),
        .implied = true,
        .dead_letter_index = SETTINGS_NONE,
    };
    settings->queues.items = items;
    settings->queues.count = count + 1;
}

/* Follows the dead-letter queues from one queue; a way that leads back to it would never end. */
static bool is_circular(const struct settings *settings, uint32_t start)
{
    uint32_t index = settings->queues.items[start].dead_letter_index;
    for (uint32_t steps = 0; index != SETTINGS_NONE && steps < settings->queues.count; steps++) {
        if (index == start) {
            return true;
        }
        index = settings->queues.items[index].dead_letter_index;
    }
    return false;
}

static void resolve_queues(struct check *check)
{
    struct settings *settings = check->settings;
    for (uint32_t i = 0; i < settings->queues.count; i++) {
        resolve_queue(check, &settings->queues.items[i]);
    }
    for (uint32_t i = 0; i < settings->queues.count; i++) {
        const char *dead_letter = settings->queues.items[i].dead_letter;
        uint32_t index = SETTINGS_NONE;
        if (dead_letter != NULL) {
            index = check_find(NAMES(settings->queues), dead_letter);
            if (index == SETTINGS_NONE) {
                index = settings->queues.count;
                imply_queue(settings, dead_letter);
            }
        }
        settings->queues.items[i].dead_letter_index = index;
    }
    for (uint32_t i = 0; i < settings->queues.count; i++) {
        const struct queue_settings *queue = &settings->queues.items[i];
        if (queue->dead_letter_index == i) {
            FAIL(check, place("queues", queue->name, "dead_letter").text,
                 "found \"%s\", the queue itself; name another queue", queue->name);
        } else if (is_circular(settings, i)) {
            FAIL(check, place("queues", queue->name, "dead_letter").text,
                 "found \"%s\", whose own dead-letter queue leads back here: a message would never "
                 "rest; remove one of them",
                 queue->dead_letter);
        }
    }
}

/* ---- the process ---- */

static void check_listen(struct check *check, const char *path, const struct config_strings *listen,
                         bool local_only)
{
    char where[PATH_TEXT_MAX];
    for (uint32_t i = 0; i < listen->count; i++) {
        bool local = false;
        const char *problem = settings_address_problem(str_from(listen->items[i]), &local);
        (void)snprintf(where, sizeof(where), "%s[%u]", path, i);
        if (problem != NULL) {
            FAIL(check, where, "found \"%.110s\": %s", listen->items[i], problem);
        } else if (local_only && !local) {
            FAIL(check, where,
                 "found \"%s\", which other machines can reach, without access_keys; add "
                 "sqs_api.access_keys, listen on 127.0.0.1, or set \"allow_anonymous\": true",
                 listen->items[i]);
        }
    }
}

/* The same address twice could only fail at the start. Port 0 is another one each time. */
static void check_listen_twice(struct check *check)
{
    const struct config_strings *lists[] = {&check->settings->sqs_api.listen,
                                            &check->settings->http.listen};
    static const char *const paths[] = {"sqs_api.listen", "http.listen"};
    for (uint32_t i = 0; i < lists[0]->count + lists[1]->count; i++) {
        uint32_t list = i < lists[0]->count ? 0 : 1;
        uint32_t index = list == 0 ? i : i - lists[0]->count;
        const char *address = lists[list]->items[index];
        for (uint32_t j = 0; j < i; j++) {
            const char *other =
                j < lists[0]->count ? lists[0]->items[j] : lists[1]->items[j - lists[0]->count];
            if (strcmp(address, other) == 0 && !str_ends_with(str_from(address), STR(":0"))) {
                char where[PATH_TEXT_MAX];
                (void)snprintf(where, sizeof(where), "%s[%u]", paths[list], index);
                FAIL(check, where, "found \"%.110s\" a second time; use another port", address);
                break;
            }
        }
    }
}

static const char *next_action(void *context, uint32_t i)
{
    (void)context;
    return sqs_iam_name_at(i);
}

/* Not an action: says what to write instead. */
static void refuse_action(struct check *check, const char *where, const char *action)
{
    struct str single = str_from(action);
    const char *suggestion = config_suggest(single, next_action, NULL);
    single.len -= str_ends_with(single, STR("Batch")) ? 5 : 0;
    if (str_starts_with(single, STR("sqs:"))) {
        FAIL(check, where, "found \"%.60s\"; leave \"sqs:\" out", action);
    } else if (single.len < strlen(action) && sqs_iam_grants_something(single)) {
        FAIL(check, where, "found \"%s\"; write \"%.*s\", which covers the batch", action,
             STR_FMT(single));
    } else if (suggestion != NULL) {
        FAIL(check, where, "found \"%.60s\", which is no action of SQS; did you mean \"%s\"?",
             action, suggestion);
    } else {
        struct buf names;
        buf_init(&names, 1024);
        const char *name;
        for (uint32_t i = 0; (name = sqs_iam_name_at(i)) != NULL; i++) {
            buf_addf(&names, ", %s", name);
        }
        FAIL(check, where, "found \"%.24s\"; allowed: *%s", action, buf_str(&names).ptr);
        buf_done(&names);
    }
}

static void check_access_patterns(struct check *check, uint32_t key)
{
    const struct access_key_settings *item = &check->settings->sqs_api.access_keys.items[key];
    char where[PATH_TEXT_MAX];
    for (uint32_t i = 0; i < item->actions.count; i++) {
        if (!sqs_iam_grants_something(str_from(item->actions.items[i]))) {
            (void)snprintf(where, sizeof(where), "sqs_api.access_keys[%u].actions[%u]", key, i);
            refuse_action(check, where, item->actions.items[i]);
        }
    }
    for (uint32_t i = 0; i < item->queues.count; i++) {
        const char *problem = settings_queue_pattern_problem(str_from(item->queues.items[i]));
        if (problem != NULL) {
            (void)snprintf(where, sizeof(where), "sqs_api.access_keys[%u].queues[%u]", key, i);
            FAIL(check, where, "found \"%.100s\": %s", item->queues.items[i], problem);
        }
    }
}

static void check_access_keys(struct check *check)
{
    const struct settings *settings = check->settings;
    for (uint32_t i = 0; i < settings->sqs_api.access_keys.count; i++) {
        const char *id = settings->sqs_api.access_keys.items[i].id;
        for (uint32_t j = 0; id != NULL && j < i; j++) {
            const char *other = settings->sqs_api.access_keys.items[j].id;
            if (other != NULL && strcmp(id, other) == 0) {
                char where[PATH_TEXT_MAX];
                (void)snprintf(where, sizeof(where), "sqs_api.access_keys[%u].id", i);
                FAIL(check, where, "found \"%s\" a second time; remove one of the two", id);
            }
        }
        check_access_patterns(check, i);
    }
}

static void check_text(struct check *check, const char *where, const char *text,
                       const char *(*problem_of)(struct str))
{
    const char *problem = text == NULL ? NULL : problem_of(str_from(text));
    if (problem != NULL) {
        FAIL(check, where, "found \"%.100s\": %s", text, problem);
    }
}

static void check_absolute(struct check *check, const char *where, const char *path)
{
    if (path != NULL && path[0] != '/') {
        FAIL(check, where, "found \"%.100s\"; allowed: an absolute path, beginning with /", path);
    }
}

/* Whether they are there and fit is for the start to see (`sluice check` looks as well). */
static void check_tls(struct check *check)
{
    const char *cert_file = check->settings->sqs_api.tls.cert_file;
    const char *key_file = check->settings->sqs_api.tls.key_file;
    check_absolute(check, "sqs_api.tls.cert_file", cert_file);
    check_absolute(check, "sqs_api.tls.key_file", key_file);
    if (cert_file != NULL && key_file == NULL) {
        FAIL(check, "sqs_api.tls.key_file", "not given; name the file with the certificate's key");
    } else if (cert_file == NULL && key_file != NULL) {
        FAIL(check, "sqs_api.tls.cert_file", "not given; name the file with the key's certificate");
    }
}

static void check_process(struct check *check)
{
    const struct settings *settings = check->settings;
    bool open = settings->sqs_api.access_keys.count > 0 || settings->sqs_api.allow_anonymous;
    check_listen(check, "sqs_api.listen", &settings->sqs_api.listen, !open);
    check_listen(check, "http.listen", &settings->http.listen, false);
    check_listen_twice(check);
    check_access_keys(check);
    check_text(check, "sqs_api.region", settings->sqs_api.region, settings_region_problem);
    check_text(check, "sqs_api.account", settings->sqs_api.account, settings_account_problem);
    check_text(check, "aws.region", settings->aws.region, settings_region_problem);
    if (settings->aws.endpoint != NULL) {
        const char *problem = settings_url_problem(str_from(settings->aws.endpoint));
        if (problem != NULL) {
            FAIL(check, "aws.endpoint", "the URL cannot be used: %s", problem);
        }
    }
    if (settings->aws.endpoint != NULL && (settings->aws.use_fips || settings->aws.use_dualstack)) {
        FAIL(check, "aws.endpoint", "is given, and aws.%s asks for another one: one of both",
             settings->aws.use_fips ? "use_fips" : "use_dualstack");
    }
    check_absolute(check, "aws.ca_file", settings->aws.ca_file);
    if (settings->aws.proxy != NULL &&
        !str_starts_with(str_from(settings->aws.proxy), STR("http://"))) {
        FAIL(check, "aws.proxy", "expected http://[user:password@]host:port");
    }
    check_absolute(check, "data_dir", settings->data_dir);
    check_text(check, "time_zone", settings->time_zone, calendar_zone_problem);
    check_tls(check);
}

int settings_resolve(struct settings *settings, struct error_list *errors)
{
    struct check check = {.settings = settings, .errors = errors};
    for (uint32_t i = 0; i < settings->limits.count; i++) {
        check_limit(&check, &settings->limits.items[i]);
    }
    for (uint32_t i = 0; i < settings->targets.count; i++) {
        check_target(&check, &settings->targets.items[i]);
    }
    resolve_queues(&check);
    for (uint32_t i = 0; i < settings->routes.count; i++) {
        check_route(&check, &settings->routes.items[i]);
    }
    check_process(&check);
    return check.first_code;
}

/* ---- warnings ---- */

#define WARN(list, where, ...) (void)error_list_add((list), ERR_OK, (where), __VA_ARGS__)

static void warn_route(const struct settings *settings, const struct route_settings *route,
                       struct error_list *warnings)
{
    if (route->limits.count == 0) {
        WARN(warnings, place("routes", route->name, "limits").text,
             "no limit: only concurrency bounds the calls, which is no rate; name a limit");
    }
    if (check_route_is_circle(settings, route)) {
        WARN(warnings, place("routes", route->name, "on_success").text,
             "its records come back to its own queue by way of other routes, and make records "
             "again; a message may never end");
    }
    if (route->queue_index == SETTINGS_NONE) {
        return;
    }
    const struct queue_settings *queue = &settings->queues.items[route->queue_index];
    bool kept = route->on_failure.queue != NULL || route->on_failure.url != NULL;
    if (queue->dead_letter_index == SETTINGS_NONE && !kept) {
        WARN(warnings, place("queues", queue->name, "dead_letter").text,
             "none: messages that the target refuses for good stay in the queue and are called "
             "again; name a dead-letter queue");
    }
}

static void warn_unused(const struct settings *settings, struct error_list *warnings)
{
    for (uint32_t i = 0; i < settings->limits.count; i++) {
        bool used = false;
        for (uint32_t j = 0; j < settings->routes.count; j++) {
            const struct route_settings *route = &settings->routes.items[j];
            for (uint32_t k = 0; k < route->limits.count; k++) {
                used = used || route->limit_index[k] == i;
            }
        }
        if (!used) {
            char where[PATH_TEXT_MAX];
            (void)snprintf(where, sizeof(where), "limits.%s", settings->limits.items[i].name);
            WARN(warnings, where, "no route names this limit: it limits nothing");
        }
    }
    for (uint32_t i = 0; i < settings->targets.count; i++) {
        bool used = false;
        for (uint32_t j = 0; j < settings->routes.count; j++) {
            used = used || settings->routes.items[j].target_index == i;
        }
        if (!used) {
            char where[PATH_TEXT_MAX];
            (void)snprintf(where, sizeof(where), "targets.%s", settings->targets.items[i].name);
            WARN(warnings, where, "no route leads to this target");
        }
    }
}

void settings_warn(const struct settings *settings, struct error_list *warnings)
{
    for (uint32_t i = 0; i < settings->routes.count; i++) {
        warn_route(settings, &settings->routes.items[i], warnings);
    }
    warn_unused(settings, warnings);
    bool local = true;
    for (uint32_t i = 0; i < settings->sqs_api.listen.count && local; i++) {
        (void)settings_address_problem(str_from(settings->sqs_api.listen.items[i]), &local);
    }
    if (!local && settings->sqs_api.allow_anonymous) {
        WARN(warnings, "sqs_api.allow_anonymous",
             "everybody who reaches the address may read and delete messages; add access_keys");
    }
}
