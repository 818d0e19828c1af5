/*
 * Limits that outlive the process: when hours and days begin and end, what earlier processes did,
 * and the permission on disk for what this one is about to do. And how much was called this hour
 * and today, for all limits.
 *
 * A window or bucket has a clock of its own, in ms: it goes on by the monotonic clock while the
 * process runs and by what calendar_elapsed_ms() says between two processes. Calls are recorded at
 * the end of the slot in which they had arrived, so that a window's history is some rows and not
 * one a call.
 */
#include "delivery_internal.h"
#include "mark.h"

#include "sluice/base/digest.h"
#include "sluice/base/mem.h"
#include "sluice/queue/store.h"
#include "sluice/runtime/calendar.h"
#include "sluice/runtime/log.h"

#include <stdlib.h>

#define RETRY_NS    NS_PER_S
#define TELL_NS     (60 * NS_PER_S) /* how soon a clock that was set is noticed */
#define SLOTS       1440            /* of a window's length */
#define SLOT_MIN_MS 1000
/* A period that begins later is no news but a clock that was wrong. Also how long periods that are
 * over are kept, for a quota that is per day from now on and was per hour. */
#define KEEP_MS (INT64_C(2) * 86400 * 1000)

struct saved_limit {
    struct list_node node;
    struct delivery *d;
    struct delivery_limit *limit;
    struct store_quota op;
    struct store_quota_row saved[2];
    bool busy, loaded, final, flushed;
    bool failing; /* and that was said */
    mono_ns retry_at;
    struct mark mark;
    uint32_t record, record_in_force; /* numbers: of the latest */
    /* window, bucket: its clock, and the slots */
    int64_t clock_ms, span_ms, slot_ms;
    mono_ns clock_at;
    /* quota */
    struct calendar_period periods[2]; /* as told last */
    mono_ns tell_at;
    struct metric *used, *requests, *reset;
    struct metric *failures;
};

static const struct limit_config *config_of(const struct saved_limit *s)
{
    return limit_config(s->limit->limit);
}

static bool is_quota(const struct saved_limit *s)
{
    return config_of(s)->kind == LIMIT_QUOTA;
}

/* ---- the calendar ---- */

static enum calendar_unit unit_of(const struct limit_config *config)
{
    return config->per_ns == LIMIT_HOUR_NS ? CALENDAR_HOUR : CALENDAR_DAY;
}

/* The monotonic time of a moment of the wall clock. */
static mono_ns mono_of(wall_ms at, wall_ms wall, mono_ns now)
{
    return now + (at - wall) * NS_PER_MS;
}

/* A clock that was set back does not bring back the period before. At a boundary both periods
 * count, and the present one is the earlier. */
static void tell_periods(struct saved_limit *s, wall_ms wall, mono_ns now)
{
    wall_ms at = wall - LIMIT_QUOTA_SLACK_NS / NS_PER_MS;
    struct limit_period told[2];

    at = at > s->periods[0].start ? at : s->periods[0].start;
    calendar_period(unit_of(config_of(s)), at, &s->periods[0]);
    calendar_period(unit_of(config_of(s)), s->periods[0].end, &s->periods[1]);
    for (int i = 0; i < 2; i++) {
        told[i] = (struct limit_period){.id = s->periods[i].start,
                                        .start = mono_of(s->periods[i].start, wall, now),
                                        .end = mono_of(s->periods[i].end, wall, now)};
    }
    limit_quota_periods(s->limit->limit, told, now);
    s->tell_at = mono_min(now + TELL_NS, told[0].end + LIMIT_QUOTA_SLACK_NS + NS_PER_MS);
}

static void tell_counts(struct delivery *d, wall_ms wall)
{
    bool new_hour = wall < d->hour.start || wall >= d->hour.end;
    bool new_day = wall < d->day.start || wall >= d->day.end;

    if (!new_hour && !new_day) {
        return;
    }
    calendar_period(CALENDAR_HOUR, wall, &d->hour);
    calendar_period(CALENDAR_DAY, wall, &d->day);
    LIST_FOR(&d->limits, node)
    {
        struct delivery_limit *limit = LIST_ENTRY(node, struct delivery_limit, node);
        limit->calls_hour = new_hour ? 0 : limit->calls_hour;
        limit->calls_day = new_day ? 0 : limit->calls_day;
    }
}

/* ---- what earlier processes did ---- */

static void restore_clocked(struct saved_limit *s, mono_ns now)
{
    struct calendar_stamp stamp = s->op.stamp;
    int64_t latest;

    s->clock_ms = loop_wall();
    s->clock_at = now;
    if (s->op.found) {
        calendar_stamp_now(&s->d->stamp);
        s->clock_ms = s->op.clock_ms + calendar_elapsed_ms(&stamp, &s->d->stamp);
    }
    latest = s->clock_ms + config_of(s)->max_flight_ns / NS_PER_MS;
    for (uint32_t i = s->op.count; i > 0; i--) {
        const struct store_quota_row *row = &s->op.rows[i - 1];
        int64_t until = row->until < latest ? row->until : latest;
        if (until >= s->clock_ms - s->span_ms - s->slot_ms) {
            limit_restore(s->limit->limit, row->used, mono_of(until, s->clock_ms, now));
        }
    }
}

static bool is_of_a_wrong_clock(const struct store_quota_row *row, wall_ms wall)
{
    return row->period > wall + KEEP_MS;
}

/* Rows of just this period say all of it. Rows of others that lie in it do as well, where the
 * quota's period or the time zone was another one. */
static uint64_t used_in(const struct saved_limit *s, const struct calendar_period *period)
{
    uint64_t exact = 0, others = 0;

    for (uint32_t i = 0; i < s->op.count; i++) {
        const struct store_quota_row *row = &s->op.rows[i];
        if (row->period == period->start && row->until == period->end) {
            exact += row->used;
        } else if (row->period < period->end && row->until > period->start) {
            others += row->used;
        }
    }
    return exact > others ? exact : others;
}

static void restore_quota(struct saved_limit *s, mono_ns now)
{
    wall_ms wall = loop_wall();
    uint64_t used[2];

    for (uint32_t i = 0; i < s->op.count; i++) {
        const struct store_quota_row *row = &s->op.rows[i];
        if (row->period > s->periods[0].start && row->until > row->period &&
            !is_of_a_wrong_clock(row, wall)) {
            s->periods[0].start = row->period; /* the clock was set back meanwhile */
        }
    }
    tell_periods(s, wall, now);
    for (int i = 0; i < 2; i++) {
        used[i] = used_in(s, &s->periods[i]);
    }
    for (uint32_t i = 0; i < s->op.count; i++) {
        used[0] += is_of_a_wrong_clock(&s->op.rows[i], wall) ? s->op.rows[i].used : 0;
    }
    limit_restore_quota(s->limit->limit, used);
}

/* What may have been called: what was, when a mark of this record and this boot says so. */
static uint64_t outstanding_of(struct saved_limit *s)
{
    struct calendar_stamp now = {.boot_id = ""};
    uint64_t used;

    calendar_stamp_now(&now);
    if (s->op.found && mark_get(&s->mark, s->op.mark, &used) &&
        calendar_is_same_boot(&s->op.stamp, &now) && used < s->op.outstanding) {
        return used;
    }
    return s->op.found ? s->op.outstanding : 0;
}

/* Numbers go on, so that the mark of the record in force stays; a mark that nobody knows of is not
 * taken for one of ours. */
static void next_record(struct saved_limit *s)
{
    if (s->mark.words == NULL) {
        s->record = 0;
        return;
    }
    if (s->record == 0) {
        digest_random(&s->record, sizeof(s->record));
    }
    s->record = s->record == UINT32_MAX ? 1 : s->record + 1;
}

static void note_result(struct saved_limit *s, const char *what, int error)
{
    s->busy = false;
    s->retry_at = error != 0 ? loop_now() + RETRY_NS : 0;
    if (error != 0 && error != ERR_CLOSED) {
        metric_add(s->failures, 1);
    }
    if (error != 0 && !s->failing) {
        LOG_ERROR(what, LOG_STR("limit", s->limit->name), LOG_ERR("error", error));
    } else if (error == 0 && s->failing) {
        LOG_INFO("the limit's state is written again", LOG_STR("limit", s->limit->name));
    }
    s->failing = error != 0;
    loop_wake(s->d->loop);
}

static void on_loaded(void *context, struct store_quota *op)
{
    struct saved_limit *s = context;
    mono_ns now = loop_now();

    note_result(s, "the limit's state cannot be read: its calls wait", op->error);
    if (op->error == 0) {
        if (is_quota(s)) {
            restore_quota(s, now);
        } else {
            restore_clocked(s, now);
        }
        limit_restored(s->limit->limit, outstanding_of(s), now);
        s->record = op->found ? op->mark : 0;
        s->loaded = true;
    }
    free(op->rows);
    op->rows = NULL;
}

static void load(struct saved_limit *s)
{
    s->busy = true;
    s->op =
        (struct store_quota){.name = str_from(s->limit->name),
                             .how = STORE_QUOTA_LOAD,
                             .rows = MEM_NEW_ARRAY(STORE_QUOTA_ROWS_MAX, struct store_quota_row),
                             .done = on_loaded,
                             .context = s};
    store_quota(s->d->store, &s->op);
}

/* ---- records ---- */

void quotas_mark(struct saved_limit *s)
{
    struct limit_use use;

    limit_claim_used(s->limit->limit, &use);
    mark_set(&s->mark, s->record_in_force, use.in_force);
    if (use.is_being_written) {
        mark_set(&s->mark, s->record, use.being_written);
    }
}

static void on_saved(void *context, struct store_quota *op)
{
    struct saved_limit *s = context;

    limit_claim_end(s->limit->limit, op->error == 0);
    if (op->error != 0) {
        mark_forget(&s->mark, s->record); /* it may be there all the same */
    } else {
        s->record_in_force = s->record;
    }
    s->flushed = s->final;
    note_result(s, "the limit's state cannot be written: its calls wait", op->error);
}

static void fill_clocked(struct saved_limit *s, const struct limit_record *record, mono_ns now)
{
    int64_t clock_ms = s->clock_ms + (now - s->clock_at) / NS_PER_MS;
    int64_t latest = clock_ms + config_of(s)->max_flight_ns / NS_PER_MS + 1;
    int64_t slot = (latest / s->slot_ms + 1) * s->slot_ms;

    s->op.add = true;
    s->op.clock_ms = clock_ms;
    s->op.forget_before = clock_ms - s->span_ms - s->slot_ms;
    s->saved[0] = (struct store_quota_row){slot, slot, record->arrived};
    s->op.count = record->arrived > 0 ? 1 : 0;
}

static void fill_quota(struct saved_limit *s, const struct limit_record *record)
{
    s->op.clock_ms = loop_wall();
    s->op.forget_before = s->periods[0].start - KEEP_MS;
    for (uint32_t i = 0; i < record->period_count; i++) {
        struct calendar_period period;
        calendar_period(unit_of(config_of(s)), record->periods[i].id, &period);
        s->saved[s->op.count++] =
            (struct store_quota_row){period.start, period.end, record->periods[i].used};
    }
}

static void save(struct saved_limit *s, const struct limit_record *record, mono_ns now)
{
    s->busy = true;
    s->op = (struct store_quota){.name = str_from(s->limit->name),
                                 .how = STORE_QUOTA_SAVE,
                                 .rows = s->saved,
                                 .outstanding = record->outstanding,
                                 .done = on_saved,
                                 .context = s};
    if (is_quota(s)) {
        fill_quota(s, record);
    } else {
        fill_clocked(s, record, now);
    }
    calendar_stamp_now(&s->d->stamp);
    s->op.stamp = s->d->stamp;
    next_record(s);
    s->op.mark = s->record;
    quotas_mark(s);
    store_quota(s->d->store, &s->op);
}

void quotas_resize(struct saved_limit *s, const struct limit_config *config)
{
    int64_t span_ns = config->per_ns;
    if (config->kind == LIMIT_BUCKET) { /* what it takes to fill */
        span_ns = config->burst * ((config->per_ns + config->requests - 1) / config->requests);
    }
    s->span_ms = (span_ns + config->guard_ns) / NS_PER_MS + 1;
    s->slot_ms = s->span_ms / SLOTS + 1 > SLOT_MIN_MS ? s->span_ms / SLOTS + 1 : SLOT_MIN_MS;
}

/* ---- once a turn ---- */

mono_ns quotas_tell(struct delivery *d, mono_ns now)
{
    mono_ns next = MONO_NEVER;

    tell_counts(d, loop_wall());
    LIST_FOR(&d->saved, node)
    {
        struct saved_limit *s = LIST_ENTRY(node, struct saved_limit, node);
        if (is_quota(s) && s->loaded) {
            if (now >= s->tell_at) {
                tell_periods(s, loop_wall(), now);
            }
            next = mono_min(next, s->tell_at);
        }
    }
    return next;
}

mono_ns quotas_claim(struct delivery *d, mono_ns now)
{
    struct limit_record record;
    mono_ns next = MONO_NEVER;

    LIST_FOR(&d->saved, node)
    {
        struct saved_limit *s = LIST_ENTRY(node, struct saved_limit, node);
        if (s->busy) {
            continue;
        }
        if (s->retry_at > now) {
            next = mono_min(next, s->retry_at);
        } else if (!s->loaded) {
            load(s);
        } else if (limit_claim_begin(s->limit->limit, false, &record, now)) {
            save(s, &record, now);
        }
    }
    return next;
}

bool quotas_flush(struct delivery *d, mono_ns now)
{
    struct limit_record record;
    bool done = true;

    LIST_FOR(&d->saved, node)
    {
        struct saved_limit *s = LIST_ENTRY(node, struct saved_limit, node);
        if (!s->busy && !s->final && s->loaded &&
            limit_claim_begin(s->limit->limit, true, &record, now)) {
            s->final = true;
            save(s, &record, now);
        }
        done = done && !s->busy;
    }
    return done;
}

/* ---- life ---- */

static uint32_t used_now(const struct saved_limit *s)
{
    return config_of(s)->requests - limit_free_permits(s->limit->limit, loop_now());
}

static void collect(void *context)
{
    struct delivery *d = context;

    LIST_FOR(&d->saved, node)
    {
        struct saved_limit *s = LIST_ENTRY(node, struct saved_limit, node);
        if (is_quota(s)) {
            metric_set(s->requests, config_of(s)->requests);
            metric_set(s->used, used_now(s));
            metric_set(s->reset, (double)s->periods[0].end / 1e3);
        }
    }
}

static struct metric *series(struct metric_family *family, const struct delivery_limit *limit)
{
    return metric_series(family, (const char *const[]){limit->name, NULL});
}

void quotas_init(struct delivery *d)
{
    static const char *const by_limit[] = {"limit", NULL};
    struct quota_families *f = &d->quota_families;

    list_init(&d->saved);
    f->used = metrics_family(d->metrics, METRIC_GAUGE, "sluice_quota_used",
                             "Requests of the quota's period that are used up.", by_limit);
    f->requests = metrics_family(d->metrics, METRIC_GAUGE, "sluice_quota_requests",
                                 "Requests of the quota in a period.", by_limit);
    f->reset = metrics_family(d->metrics, METRIC_GAUGE, "sluice_quota_reset_timestamp_seconds",
                              "Unix time at which the quota's period ends.", by_limit);
    f->failures = metrics_family(d->metrics, METRIC_COUNTER, "sluice_limit_state_errors_total",
                                 "Failed reads and writes of a limit's state.", by_limit);
    d->quota_collector = (struct metrics_collector){.collect = collect, .context = d};
    metrics_collector_add(d->metrics, &d->quota_collector);
}

void quotas_done(struct delivery *d)
{
    struct list_node *node;

    metrics_collector_remove(d->metrics, &d->quota_collector);
    while ((node = list_pop(&d->saved)) != NULL) {
        struct saved_limit *s = LIST_ENTRY(node, struct saved_limit, node);
        if (s->op.how == STORE_QUOTA_LOAD) {
            free(s->op.rows);
        }
        mark_close(&s->mark);
        free(s);
    }
}

void quotas_add(struct delivery *d, struct delivery_limit *limit)
{
    struct saved_limit *s = MEM_NEW(struct saved_limit);
    const struct limit_config *config = limit_config(limit->limit);
    const struct quota_families *f = &d->quota_families;

    s->d = d;
    s->limit = limit;
    s->failures = series(f->failures, limit);
    if (config->kind == LIMIT_QUOTA) {
        s->used = series(f->used, limit);
        s->requests = series(f->requests, limit);
        s->reset = series(f->reset, limit);
    } else {
        quotas_resize(s, config);
    }
    mark_open(&s->mark, d->data_dir, limit->name);
    limit->saved = s;
    list_push(&d->saved, &s->node);
}

/* ---- to read ---- */

static void write_quota(const struct saved_limit *s, struct json_writer *w)
{
    const struct limit_config *config = config_of(s);
    char text[CALENDAR_TEXT_MAX];

    json_member_str(w, "period", unit_of(config) == CALENDAR_HOUR ? STR("hour") : STR("day"));
    json_member_i64(w, "used", used_now(s));
    if (s->loaded) {
        calendar_text(s->periods[0].end, text);
        json_member_str(w, "resets_at", str_from(text));
    }
}

void delivery_usage(struct delivery *d, struct json_writer *w)
{
    static const char *const kinds[] = {"window", "bucket", "quota"};

    (void)quotas_tell(d, loop_now());
    json_key_write(w, STR("limits"));
    json_array_begin(w);
    LIST_FOR(&d->limits, node)
    {
        struct delivery_limit *limit = LIST_ENTRY(node, struct delivery_limit, node);
        const struct limit_config *config = delivery_limit_config(limit);
        json_object_begin(w);
        delivery_limit_describe(limit, w);
        json_member_str(w, "kind", str_from(kinds[config->kind]));
        if (limit->saved != NULL && config->kind == LIMIT_QUOTA) {
            write_quota(limit->saved, w);
        }
        json_member_i64(w, "calls_this_hour", (int64_t)limit->calls_hour);
        json_member_i64(w, "calls_today", (int64_t)limit->calls_day);
        json_object_end(w);
    }
    json_array_end(w);
}
