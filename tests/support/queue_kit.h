/*
 * queue_kit: for tests of the embedded queue: an engine on a file in a new directory, driven with a
 * clock of the test's own, and short forms of the actions.
 */
#ifndef SLUICE_TESTS_QUEUE_KIT_H
#define SLUICE_TESTS_QUEUE_KIT_H

#include "queue/engine.h"

#include "sluice/base/mem.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIT_ENDPOINT "http://localhost:9324"
#define KIT_ACCOUNT  "000000000000"
#define KIT_REGION   "us-east-1"
#define KIT_WALL     INT64_C(1700000000000)

struct kit {
    char directory[64], path[96];
    struct engine engine;
    bool is_open;
    bool groups_commits, in_transaction; /* as the store does: many operations to a commit */
    int64_t now_ms; /* since the start of the test; the engine sees KIT_WALL + now_ms */
    int64_t wall_step_ms;
    bool sixty_second_rules;      /* from the next opening on */
    const char *region;           /* of the requests; NULL: they name none */
    struct arena arena;           /* of the answers, freed at the end */
    struct store_request request; /* of the last call */
};

static inline void kit_directory(char *directory, size_t size)
{
    (void)snprintf(directory, size, "%s/sluice-queue-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    SL_ASSERT(mkdtemp(directory) != NULL);
}

static inline void kit_remove_directory(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    char path[512];
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] != '.') {
            (void)unlink(path);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(directory);
}

static inline int kit_try_open(struct kit *kit, struct error *e)
{
    const struct engine_config config = {
        .path = kit->path,
        .region = STR(KIT_REGION),
        .account = STR(KIT_ACCOUNT),
        .wall = KIT_WALL + kit->now_ms + kit->wall_step_ms,
        .now = kit->now_ms * NS_PER_MS,
        .sixty_second_rules = kit->sixty_second_rules,
    };
    int rc = engine_open(&kit->engine, &config, e);
    kit->is_open = rc == 0;
    return rc;
}

static inline void kit_open(struct kit *kit)
{
    struct error e = {.code = 0};
    int rc = kit_try_open(kit, &e);
    if (rc != 0) {
        (void)fprintf(stderr, "open: %s: %s\n", e.where, e.text);
    }
    SL_ASSERT(rc == 0);
}

static inline void kit_close(struct kit *kit)
{
    if (kit->is_open) {
        engine_close(&kit->engine);
        kit->is_open = false;
    }
}

static inline void kit_reopen(struct kit *kit)
{
    kit_close(kit);
    kit_open(kit);
}

static inline void kit_init(struct kit *kit)
{
    memset(kit, 0, sizeof(*kit));
    kit_directory(kit->directory, sizeof(kit->directory));
    (void)snprintf(kit->path, sizeof(kit->path), "%s/queue.db", kit->directory);
    arena_init(&kit->arena, (size_t)256 << 20);
    kit_open(kit);
}

static inline void kit_done(struct kit *kit)
{
    kit_close(kit);
    arena_done(&kit->arena);
    kit_remove_directory(kit->directory);
}

/* ---- transactions ---- */

static inline int64_t kit_lease_ms(const struct kit *kit)
{
    return lease_clock_ms(&kit->engine.clock, kit->now_ms * NS_PER_MS);
}

static inline void kit_begin(struct kit *kit)
{
    if (kit->in_transaction) {
        return;
    }
    int rc =
        engine_begin(&kit->engine, kit_lease_ms(kit), KIT_WALL + kit->now_ms + kit->wall_step_ms);
    SL_ASSERT(rc == 0);
}

static inline void kit_flush(struct kit *kit)
{
    int rc = engine_commit(&kit->engine);
    SL_ASSERT(rc == 0);
    kit->in_transaction = false;
}

static inline void kit_commit(struct kit *kit)
{
    kit->in_transaction = true;
    if (!kit->groups_commits) {
        kit_flush(kit);
    }
}

/* One action in a transaction of its own; the answer is kit->request. Returns the SQS error code.
 */
static inline int kit_run(struct kit *kit, enum sqs_action action, const void *input)
{
    kit->request = (struct store_request){
        .action = action,
        .input = input,
        .endpoint = STR(KIT_ENDPOINT),
        .region = str_from(kit->region),
        .arena = &kit->arena,
        .wall = KIT_WALL + kit->now_ms + kit->wall_step_ms,
    };
    kit_begin(kit);
    int rc = engine_run(&kit->engine, &kit->request);
    SL_ASSERT(rc == 0);
    kit_commit(kit);
    return (int)kit->request.error.code;
}

/* ---- actions in short ---- */

static inline struct str kit_text(struct kit *kit, const char *text)
{
    size_t len = strlen(text);
    return (struct str){arena_dup(&kit->arena, text, len), len};
}

static inline struct str kit_url(struct kit *kit, const char *name)
{
    char url[256];
    (void)snprintf(url, sizeof(url), KIT_ENDPOINT "/" KIT_ACCOUNT "/%s", name);
    return kit_text(kit, url);
}

/* "Name", "value", …, NULL */
static inline struct sqs_map kit_map(struct kit *kit, va_list args)
{
    struct sqs_map map = {.items = arena_alloc(&kit->arena, 32 * sizeof(struct sqs_pair))};
    const char *name;
    while ((name = va_arg(args, const char *)) != NULL) {
        const char *value = va_arg(args, const char *);
        map.items[map.count++] = (struct sqs_pair){kit_text(kit, name), kit_text(kit, value)};
    }
    map.set = map.count > 0;
    return map;
}

static inline int kit_create(struct kit *kit, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    struct sqs_create_queue_in in = {.queue_name = kit_text(kit, name),
                                     .attributes = kit_map(kit, args)};
    va_end(args);
    return kit_run(kit, SQS_CREATE_QUEUE, &in);
}

static inline int kit_set(struct kit *kit, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    struct sqs_set_queue_attributes_in in = {.queue_url = kit_url(kit, name),
                                             .attributes = kit_map(kit, args)};
    va_end(args);
    return kit_run(kit, SQS_SET_QUEUE_ATTRIBUTES, &in);
}

/* One attribute; STR_NONE when it is not shown. */
static inline struct str kit_get(struct kit *kit, const char *queue, const char *attribute)
{
    struct str name = kit_text(kit, attribute);
    struct sqs_get_queue_attributes_in in = {
        .queue_url = kit_url(kit, queue),
        .names = {.items = &name, .count = 1, .set = true},
    };
    if (kit_run(kit, SQS_GET_QUEUE_ATTRIBUTES, &in) != 0) {
        return STR_NONE;
    }
    const struct sqs_get_queue_attributes_out *out = kit->request.output;
    return sqs_map_get(&out->attributes, name);
}

static inline int64_t kit_number(struct kit *kit, const char *queue, const char *attribute)
{
    int64_t value = -1;
    if (str_to_i64(kit_get(kit, queue, attribute), 0, INT64_MAX, &value) != 0) {
        return -1;
    }
    return value;
}

static inline int64_t kit_visible(struct kit *kit, const char *queue)
{
    return kit_number(kit, queue, "ApproximateNumberOfMessages");
}

static inline int64_t kit_in_flight(struct kit *kit, const char *queue)
{
    return kit_number(kit, queue, "ApproximateNumberOfMessagesNotVisible");
}

static inline int64_t kit_delayed(struct kit *kit, const char *queue)
{
    return kit_number(kit, queue, "ApproximateNumberOfMessagesDelayed");
}

/* delay_s < 0: the queue's. */
static inline int kit_send(struct kit *kit, const char *queue, const char *body, int64_t delay_s)
{
    struct sqs_send_message_in in = {
        .queue_url = kit_url(kit, queue),
        .entry = {.body = kit_text(kit, body), .delay_seconds = {delay_s >= 0, delay_s}},
    };
    return kit_run(kit, SQS_SEND_MESSAGE, &in);
}

/* timeout_s < 0: the queue's. All system attributes, all message attributes. */
static inline const struct sqs_receive_out *kit_receive(struct kit *kit, const char *queue,
                                                        int64_t max, int64_t timeout_s)
{
    static struct str all[] = {{"All", 3}};
    struct sqs_receive_in in = {
        .queue_url = kit_url(kit, queue),
        .system_attribute_names = {.items = all, .count = 1, .set = true},
        .message_attribute_names = {.items = all, .count = 1, .set = true},
        .max_messages = {true, max},
        .visibility_timeout = {timeout_s >= 0, timeout_s},
    };
    return kit_run(kit, SQS_RECEIVE_MESSAGE, &in) == 0 ? kit->request.output : NULL;
}

static inline int kit_delete(struct kit *kit, const char *queue, struct str handle)
{
    struct sqs_handle_in in = {.queue_url = kit_url(kit, queue),
                               .entry = {.receipt_handle = handle}};
    return kit_run(kit, SQS_DELETE_MESSAGE, &in);
}

static inline int kit_change(struct kit *kit, const char *queue, struct str handle, int64_t seconds)
{
    struct sqs_handle_in in = {
        .queue_url = kit_url(kit, queue),
        .entry = {.receipt_handle = handle, .visibility_timeout = {true, seconds}},
    };
    return kit_run(kit, SQS_CHANGE_MESSAGE_VISIBILITY, &in);
}

static inline int kit_queue_action(struct kit *kit, enum sqs_action action, const char *queue)
{
    struct sqs_queue_in in = {.queue_url = kit_url(kit, queue)};
    return kit_run(kit, action, &in);
}

/* Holds up to max; the messages are in kit->arena. */
static inline struct store_hold kit_hold(struct kit *kit, const char *queue, uint32_t max)
{
    struct store_hold hold = {.queue = kit_text(kit, queue), .max = max, .arena = &kit->arena};
    kit_begin(kit);
    int rc = engine_hold(&kit->engine, &hold);
    SL_ASSERT(rc == 0);
    kit_commit(kit);
    return hold;
}

static inline int kit_settle(struct kit *kit, struct store_settle settle)
{
    kit_begin(kit);
    int rc = engine_settle(&kit->engine, &settle);
    SL_ASSERT(rc == 0);
    kit_commit(kit);
    return settle.error;
}

static inline void kit_sweep(struct kit *kit)
{
    kit_begin(kit);
    int rc = engine_sweep(&kit->engine);
    SL_ASSERT(rc == 0);
    kit_commit(kit);
}

/* Steps of the move tasks that are due, one transaction each, until none is. */
static inline void kit_step_tasks(struct kit *kit)
{
    do {
        kit_begin(kit);
        int rc = engine_step_tasks(&kit->engine);
        SL_ASSERT(rc == 0);
        kit_commit(kit);
    } while (kit->engine.next_task <= kit->engine.now);
}

static inline struct str kit_system(const struct sqs_message *message, const char *name)
{
    return sqs_map_get(&message->system_attributes, str_from(name));
}

/* ---- for cmocka ---- */

static inline int kit_teardown(void **state)
{
    kit_done(*state);
    free(*state);
    return 0;
}

#define assert_str(s, text)                                                                        \
    do {                                                                                           \
        struct str s_ = (s);                                                                       \
        assert_non_null(s_.ptr);                                                                   \
        assert_int_equal(s_.len, strlen(text));                                                    \
        assert_memory_equal(s_.ptr, text, s_.len);                                                 \
    } while (0)

#endif
