/*
 * What is remembered of messages in the queue file. Two things, and neither touches a message that
 * is simply delivered:
 *
 * Attempts. The queue counts receives, which say nothing of what a message did to the target. A
 * message that waits to retry leaves its count behind, so that a restart goes on from there.
 *
 * Work, on routes with a key. It is begun before the call and done before the queue is told, each
 * time synced: what is done is never called again, and what a killed process began is known to be
 * unknown.
 *
 *   nothing ──begin──► IN_PROGRESS ──the call, ack──► DONE ──► the queue is told
 *                          │  └─ known to have failed: forgotten where that matters (at most once)
 *                          └─ the process ends, no answer comes: unknown. Called again, or given up
 */
#include "delivery_internal.h"
#include "letter.h"

#include "sluice/base/digest.h"
#include "sluice/base/fault.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

#include <stdlib.h>
#include <string.h>

/* No queue keeps a message longer. */
#define RETRY_EXPIRES_MS INT64_C(1209600000)
#define KEY_MAX_BYTES    ((size_t)1 << 20)

/* SHA-256 of a kind and a name, so that no name of one kind is one of another. */
static void digest_of(char kind, struct str name, uint8_t ret[DIGEST_SHA256_BYTES])
{
    struct buf text;

    buf_init(&text, name.len + 1);
    (void)buf_addc(&text, kind);
    (void)buf_add(&text, name);
    SL_ASSERT(buf_failed(&text) == 0);
    digest_sha256(buf_str(&text), ret);
    buf_done(&text);
}

/* ---- records that nobody waits for ---- */

struct note {
    struct delivery *d;
    struct store_records op;
    struct store_record record;
};

/* Told when it begins and when it ends, not for every message. */
static void tell(struct delivery *d, int error)
{
    if (error == ERR_CLOSED || (error != 0) == d->told_unrecorded) {
        return;
    }
    d->told_unrecorded = error != 0;
    if (error != 0) {
        LOG_ERROR("the queue file takes no records: attempts may be counted anew after a restart, "
                  "calls of routes with idempotency wait",
                  LOG_ERR("error", error));
    } else {
        LOG_INFO("the queue file takes records again");
    }
}

static void on_noted(void *context, struct store_records *op)
{
    struct note *note = context;

    tell(note->d, op->error);
    free(note);
}

static void note(const struct delivery_route *route, enum store_records_how how,
                 const struct store_record *record)
{
    struct note *note = MEM_NEW(struct note);

    note->d = route->d;
    note->record = *record;
    note->op = (struct store_records){.how = how,
                                      .route = str_from(route->name),
                                      .items = &note->record,
                                      .count = 1,
                                      .done = on_noted,
                                      .context = note};
    store_records(route->d->store, &note->op);
}

/* ---- attempts ---- */

static struct store_record retry_record(const struct message *message)
{
    struct store_record record = {.kind = STORE_RECORD_RETRY, .expires_in_ms = RETRY_EXPIRES_MS};
    uint8_t digest[DIGEST_SHA256_BYTES];

    digest_of('r', message->id, digest);
    memcpy(record.key, digest, sizeof(record.key));
    return record;
}

/* Is there more to know than the file does? While it waits here, only what would be lost with the
 * process and matters: an attempt that counts, or the first that failed. When it leaves, all. */
static bool is_news(const struct message *message, bool leaves)
{
    static const struct parcel none;
    const struct parcel *parcel = message->user != NULL ? message->user : &none;

    if (message->attempts != parcel->attempts_noted) {
        return true;
    }
    if (!leaves) {
        return message->backoffs > 0 && !parcel->has_retry_record;
    }
    return message->backoffs != parcel->backoffs_noted ||
           (message->calls > 0 && !parcel->has_retry_record);
}

/* A message that was tried waits, or leaves: with what it has used of its attempts. */
static void note_attempts(struct message *message, bool leaves)
{
    struct delivery_route *route = delivery_route_of(message);

    if (!is_news(message, leaves)) {
        return;
    }
    struct parcel *parcel = delivery_parcel(message);
    mono_ns first = message->first_attempt_at == MONO_NEVER ? message->attempt_started_at
                                                            : message->first_attempt_at;
    struct store_record record = retry_record(message);
    record.attempts = message->attempts;
    record.backoffs = message->backoffs;
    record.age_ms = mono_max(loop_now() - first, 0) / NS_PER_MS;
    parcel->attempts_noted = message->attempts;
    parcel->backoffs_noted = message->backoffs;
    parcel->has_retry_record = true;
    route->may_have_retries = true;
    route->retries_noted++;
    note(route, STORE_RECORDS_PUT, &record);
}

static void forget_attempts(struct message *message)
{
    const struct store_record record = retry_record(message);

    note(delivery_route_of(message), STORE_RECORDS_DELETE, &record);
}

struct lookup {
    struct delivery_route *route;
    struct store_records op;
    struct message **messages;
    uint64_t retries_noted; /* when it began */
};

static void restore(struct message *message, const struct store_record *record, mono_ns now)
{
    struct parcel *parcel = delivery_parcel(message);

    message->attempts = parcel->attempts_noted = record->attempts;
    message->backoffs = parcel->backoffs_noted = record->backoffs;
    message->first_attempt_at = now - mono_max(record->age_ms, 0) * NS_PER_MS;
    parcel->has_retry_record = true;
}

static void on_looked_up(void *context, struct store_records *op)
{
    struct lookup *lookup = context;
    struct delivery_route *route = lookup->route;
    mono_ns now = loop_now();

    if (op->error != 0 && op->error != ERR_CLOSED) {
        LOG_WARNING("attempts of received messages could not be read: counted anew",
                    LOG_STR("route", route->name), LOG_ERR("error", op->error));
    }
    for (uint32_t i = 0; i < op->count && op->error == 0; i++) {
        if (op->items[i].found) {
            restore(lookup->messages[i], &op->items[i], now);
        }
    }
    if (op->error == 0 && !op->any && route->retries_noted == lookup->retries_noted) {
        route->may_have_retries = false; /* until the next one is noted */
    }
    flow_received(route->route, lookup->messages, op->count, 0, now);
    free(op->items);
    free(lookup->messages);
    free(lookup);
}

void ledger_received(struct delivery_route *route, struct message **messages, uint32_t count,
                     int error, mono_ns now)
{
    if (count == 0 || !route->may_have_retries) {
        flow_received(route->route, messages, count, error, now);
        return;
    }
    struct lookup *lookup = MEM_NEW(struct lookup);
    lookup->route = route;
    lookup->retries_noted = route->retries_noted;
    lookup->messages = MEM_NEW_ARRAY(count, struct message *);
    lookup->op = (struct store_records){.how = STORE_RECORDS_GET,
                                        .route = str_from(route->name),
                                        .items = MEM_NEW_ARRAY(count, struct store_record),
                                        .count = count,
                                        .done = on_looked_up,
                                        .context = lookup};
    for (uint32_t i = 0; i < count; i++) {
        lookup->messages[i] = messages[i];
        lookup->op.items[i] = retry_record(messages[i]);
    }
    store_records(route->d->store, &lookup->op);
}

/* ---- work: its key ---- */

static bool is_header_value(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '!' || text.ptr[i] > '~') {
            return false;
        }
    }
    return text.len > 0 && text.len < sizeof(((struct parcel *)NULL)->header);
}

static void set_header(struct parcel *parcel, struct str key)
{
    uint8_t digest[DIGEST_SHA256_BYTES];

    if (is_header_value(key)) {
        (void)str_copy(parcel->header, sizeof(parcel->header), key);
        return;
    }
    digest_sha256(key, digest);
    digest_hex(digest, sizeof(digest), parcel->header);
}

/* A message without a key is its own work. */
static struct str key_or_id(struct delivery_route *route, const struct message *message,
                            struct buf *scratch, char *ret_kind)
{
    struct str key = message_key_value(&route->key, message, delivery_attributes(message), scratch);

    *ret_kind = 'k';
    if (key.ptr != NULL) {
        return key;
    }
    if (!route->told_keyless) {
        route->told_keyless = true;
        LOG_WARNING("a message has no idempotency key: its message id takes the place",
                    LOG_SLICE("function_request_id", message->id), LOG_STR("route", route->name));
    }
    *ret_kind = 'm';
    return message->id;
}

static void find_key(struct delivery_route *route, struct parcel *parcel)
{
    uint8_t digest[DIGEST_SHA256_BYTES];
    struct buf scratch;
    char kind;

    if (parcel->has_key) {
        return;
    }
    buf_init(&scratch, KEY_MAX_BYTES);
    struct str key = key_or_id(route, parcel->message, &scratch, &kind);
    digest_of(kind, key, digest);
    memcpy(parcel->key, digest, sizeof(parcel->key));
    set_header(parcel, key);
    parcel->has_key = true;
    buf_done(&scratch);
}

/* ---- work: begun ---- */

/* Routes have keys of their own. */
static struct str working_name(const struct delivery_route *route, const struct parcel *parcel,
                               char *out, size_t size)
{
    size_t len = strlen(route->name);

    SL_ASSERT(len + sizeof(parcel->key) <= size);
    memcpy(out, parcel->key, sizeof(parcel->key));
    memcpy(out + sizeof(parcel->key), route->name, len);
    return (struct str){out, sizeof(parcel->key) + len};
}

static bool working_add(struct delivery_route *route, struct parcel *parcel)
{
    char text[DELIVERY_NAME_MAX + STORE_RECORD_KEY_BYTES];
    struct str name = working_name(route, parcel, text, sizeof(text));

    parcel->working =
        map_get(&route->d->working, name) == NULL && map_set(&route->d->working, name, parcel) == 0;
    return parcel->working;
}

static void working_remove(struct delivery_route *route, struct parcel *parcel)
{
    char text[DELIVERY_NAME_MAX + STORE_RECORD_KEY_BYTES];

    if (parcel->working) {
        (void)map_remove(&route->d->working, working_name(route, parcel, text, sizeof(text)));
        parcel->working = false;
    }
}

static struct store_record work_record(const struct delivery_route *route,
                                       const struct parcel *parcel, enum store_work state)
{
    struct store_record record = {
        .kind = STORE_RECORD_WORK, .expires_in_ms = route->key_expires_ms, .state = state};

    memcpy(record.key, parcel->key, sizeof(record.key));
    return record;
}

/* With the answer where a destination wants it again, should the message come again. */
static struct store_record done_record(const struct delivery_route *route,
                                       const struct parcel *parcel)
{
    struct store_record record = work_record(route, parcel, STORE_WORK_DONE);
    const struct letter *letter = parcel->letter;

    record.status = parcel->message->last_status;
    if (letter != NULL && route->destinations[DELIVERY_SUCCESS].destination != NULL) {
        record.answer = (struct str){letter->answer, letter->answer_len};
    }
    return record;
}

static void work_submit(struct delivery_route *route, struct parcel *parcel,
                        enum store_records_how how,
                        void (*done)(void *context, struct store_records *op))
{
    parcel->op = (struct store_records){.how = how,
                                        .route = str_from(route->name),
                                        .items = &parcel->record,
                                        .count = 1,
                                        .take_over = !route->at_most_once || parcel->known_failed,
                                        .arena = &parcel->arena,
                                        .done = done,
                                        .context = parcel};
    store_records(route->d->store, &parcel->op);
}

static void done_before(struct delivery_route *route, struct parcel *parcel)
{
    char trace_id[33];
    struct message *message = parcel->message;

    letter_restore(message, parcel->record.status, parcel->record.answer);
    parcel->answered = parcel->finished = true;
    digest_hex(message->trace.trace_id, sizeof(message->trace.trace_id), trace_id);
    metric_add(route->idempotent_hits, 1);
    LOG_INFO("message not called again: its work was done before", LOG_STR("route", route->name),
             LOG_SLICE("function_request_id", message->id),
             LOG_STR("idempotency_key", parcel->header), LOG_STR("trace_id", trace_id));
}

static void unknown_before(const struct delivery_route *route, const struct parcel *parcel)
{
    char trace_id[33];
    const struct message *message = parcel->message;

    digest_hex(message->trace.trace_id, sizeof(message->trace.trace_id), trace_id);
    LOG_WARNING(
        "message not called again: its work was begun before, and how that ended is unknown",
        LOG_STR("route", route->name), LOG_SLICE("function_request_id", message->id),
        LOG_STR("idempotency_key", parcel->header), LOG_STR("trace_id", trace_id));
}

static enum attempt_end end_of_begin(struct delivery_route *route, struct parcel *parcel)
{
    tell(route->d, parcel->op.error);
    if (parcel->op.error != 0) {
        return ATTEMPT_POSTPONED;
    }
    if (!parcel->record.found) {
        return ATTEMPT_CALLED;
    }
    if (parcel->record.state == STORE_WORK_DONE) {
        done_before(route, parcel);
        return ATTEMPT_DONE_BEFORE;
    }
    unknown_before(route, parcel);
    return ATTEMPT_UNKNOWN;
}

static void on_begun(void *context, struct store_records *op)
{
    struct parcel *parcel = context;
    struct delivery_route *route = delivery_route_of(parcel->message);
    enum attempt_end end = end_of_begin(route, parcel);

    (void)op;
    arena_done(&parcel->arena);
    if (end == ATTEMPT_CALLED) {
        parcel->known_failed = false;
        (void)FAULT("deliver.begun");
    } else {
        working_remove(route, parcel);
    }
    parcel->begun(parcel->begun_context, end, loop_now());
}

static void on_postponed(void *context, mono_ns now)
{
    struct parcel *parcel = context;

    parcel->begun(parcel->begun_context, ATTEMPT_POSTPONED, now);
}

void ledger_begin(struct message *message,
                  void (*begun)(void *context, enum attempt_end end, mono_ns now), void *context)
{
    struct delivery_route *route = delivery_route_of(message);
    struct parcel *parcel = delivery_parcel(message);

    (void)FAULT("deliver.begin");
    find_key(route, parcel);
    parcel->begun = begun;
    parcel->begun_context = context;
    if (!working_add(route, parcel)) {
        parcel->postponed = (struct loop_timer){.callback = on_postponed, .context = parcel};
        loop_timer_set(route->d->loop, &parcel->postponed, loop_now());
        return;
    }
    arena_init(&parcel->arena, 2 * STORE_ANSWER_MAX_BYTES);
    parcel->record = work_record(route, parcel, STORE_WORK_IN_PROGRESS);
    work_submit(route, parcel, STORE_RECORDS_BEGIN, on_begun);
}

static void forget_work(struct delivery_route *route, struct parcel *parcel)
{
    const struct store_record record = work_record(route, parcel, STORE_WORK_NONE);

    parcel->known_failed = true;
    note(route, STORE_RECORDS_DELETE, &record);
}

void ledger_withdraw(struct message *message)
{
    struct delivery_route *route = delivery_route_of(message);
    struct parcel *parcel = delivery_parcel(message);

    working_remove(route, parcel);
    if (route->at_most_once) {
        forget_work(route, parcel);
    }
}

/* ---- work: done ---- */

void ledger_attempt_ended(struct message *message, const struct attempt_result *facts)
{
    struct delivery_route *route = delivery_route_of(message);
    bool acked = message->state == MESSAGE_SETTLING && message->settle == SETTLE_ACK;

    if (message->state == MESSAGE_WAITING) {
        note_attempts(message, false);
    }
    if (route->key.kind == MESSAGE_KEY_NONE) {
        return;
    }
    struct parcel *parcel = delivery_parcel(message);
    if (acked) {
        parcel->answered = true; /* and still at work, until the file says that it is done */
        return;
    }
    working_remove(route, parcel);
    /* Where it may be called again, a record that says "begun" is in nobody's way. */
    if (route->at_most_once && !outcome_is_unknown(facts)) {
        forget_work(route, parcel);
    }
}

static void on_finished(void *context, struct store_records *op)
{
    struct parcel *parcel = context;
    struct message *message = parcel->message;

    tell(delivery_route_of(message)->d, op->error);
    if (op->error != 0) {
        flow_settled(message, op->error, loop_now()); /* the flow tries again */
        return;
    }
    parcel->finished = true;
    /* From now on the file says so to any other of the same key, however long the queue takes. */
    working_remove(delivery_route_of(message), parcel);
    (void)FAULT("deliver.finished");
    delivery_settle(message, message->settle, message->settle_delay_ns);
}

bool ledger_settle(struct message *message, enum settle how)
{
    struct delivery_route *route = delivery_route_of(message);
    struct parcel *parcel = message->user;

    if (how == SETTLE_RELEASE) {
        note_attempts(message, true); /* first, so that whoever receives it next finds them */
    }
    if (how != SETTLE_ACK || parcel == NULL || !parcel->answered || parcel->finished) {
        return false;
    }
    parcel->record = done_record(route, parcel);
    work_submit(route, parcel, STORE_RECORDS_PUT, on_finished);
    return true;
}

/* ---- the end ---- */

static void remember_at_the_end(struct delivery_route *route, struct message *message)
{
    struct parcel *parcel = message->user;
    bool is_over = message->settle == SETTLE_ACK || message->settle == SETTLE_DEAD_LETTER;

    if (!is_over) {
        note_attempts(message, true);
        parcel = message->user;
    }
    if (parcel == NULL) {
        return;
    }
    if (is_over && parcel->has_retry_record) {
        forget_attempts(message);
    }
    if (parcel->answered && !parcel->finished) { /* its lease ran out first: it comes again */
        /* Without the answer: a note keeps no memory but its own. */
        const struct store_record record = work_record(route, parcel, STORE_WORK_DONE);
        note(route, STORE_RECORDS_PUT, &record);
    }
}

void ledger_message_done(struct message *message)
{
    struct delivery_route *route = delivery_route_of(message);

    if (message->settled) {
        remember_at_the_end(route, message);
    }
    if (message->user != NULL) {
        working_remove(route, message->user);
    }
}
