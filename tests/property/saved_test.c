/*
 * Limits that outlive the process: calls with any delay, claims that are written late, fail, or are
 * written and not known to be, and the process killed and started again at any moment, with the
 * mark of what was really used or without it. At the receiver no window, no period and no bucket
 * ever holds more than it may. SLUICE_PROPERTY_LIVES: how many processes in all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "limiter_harness.h"

#include "sluice/limit/limit.h"

#define LIVES_DEFAULT 20000
#define LIVES_OF_CASE 25
#define CALLS_MAX     4096 /* of a case */
#define ROWS_MAX      4096
#define FLYING_MAX    16
#define PER_NS        (10 * NS_PER_S) /* W, and a period */
#define SLOT_NS       (NS_PER_S / 4)
#define FLIGHT_NS     (2 * NS_PER_S)

enum end { END_ARRIVES, END_UNKNOWN, END_REFUND };

struct flying {
    mono_ns arrival, known_at;
    enum end end;
};

struct row {
    int64_t key; /* end of the slot, or the period */
    uint64_t used;
};

/* What is on disk: written at once, or not at all. */
struct disk {
    bool found;
    uint64_t outstanding;
    uint32_t record; /* 0: none */
    struct row rows[ROWS_MAX];
    uint32_t count;
};

struct scene {
    struct rng rng;
    bool calm; /* every call arrives, at once; every kill leaves the mark */
    bool late; /* calls come at the ends of periods, and are under way at the boundary */
    struct limit_config config;
    struct limit *limit;
    mono_ns now;
    struct disk disk, next; /* next: being written */
    bool writing;
    mono_ns written_at;
    uint32_t record, in_force; /* of the process: the latest, and the one it knows to be there */
    uint64_t marks[2][2];      /* record, used */
    struct flying flying[FLYING_MAX];
    uint32_t flying_count;
    mono_ns arrivals[CALLS_MAX];
    uint32_t count;
};

struct tally {
    uint64_t lives, calls, full; /* full: windows or periods that held all they may */
};

static bool chance(struct scene *w, uint32_t percent)
{
    return rng_between(&w->rng, 0, 99) < (int64_t)percent;
}

/* ---- the calendar ---- */

static void tell(struct scene *w)
{
    int64_t id = (w->now - LIMIT_QUOTA_SLACK_NS) / PER_NS;
    struct limit_period told[2];

    for (int i = 0; i < 2; i++) {
        told[i] = (struct limit_period){id + i, (id + i) * PER_NS, (id + i + 1) * PER_NS};
    }
    limit_quota_periods(w->limit, told, w->now);
}

/* ---- the disk and the mark ---- */

static void mark(struct scene *w)
{
    struct limit_use use;

    limit_claim_used(w->limit, &use);
    if (w->in_force != 0) {
        w->marks[w->in_force % 2][0] = w->in_force;
        w->marks[w->in_force % 2][1] = use.in_force;
    }
    if (use.is_being_written) {
        w->marks[w->record % 2][0] = w->record;
        w->marks[w->record % 2][1] = use.being_written;
    }
}

static void put(struct disk *disk, int64_t key, uint64_t used, bool add)
{
    for (uint32_t i = 0; i < disk->count; i++) {
        if (disk->rows[i].key == key) {
            disk->rows[i].used = used + (add ? disk->rows[i].used : 0);
            return;
        }
    }
    SL_ASSERT(disk->count < ROWS_MAX);
    disk->rows[disk->count++] = (struct row){key, used};
}

static void claim(struct scene *w, bool final)
{
    struct limit_record record;

    if (w->writing || !limit_claim_begin(w->limit, final, &record, w->now)) {
        return;
    }
    w->next = w->disk;
    w->next.found = true;
    w->next.outstanding = record.outstanding;
    w->next.record = ++w->record;
    if (w->config.kind == LIMIT_QUOTA) {
        for (uint32_t i = 0; i < record.period_count; i++) {
            put(&w->next, record.periods[i].id, record.periods[i].used, false);
        }
    } else {
        put(&w->next, ((w->now + FLIGHT_NS) / SLOT_NS + 1) * SLOT_NS, record.arrived, true);
    }
    w->writing = true;
    w->written_at = w->now + rng_between(&w->rng, 0, NS_PER_S / 10);
    mark(w);
}

static void finish_write(struct scene *w)
{
    bool fails = chance(w, 5);

    w->writing = false;
    if (!fails || chance(w, 50)) { /* it may be there all the same */
        w->disk = w->next;
    }
    limit_claim_end(w->limit, !fails);
    if (fails) {
        w->marks[w->next.record % 2][0] = 0;
    } else {
        w->in_force = w->next.record;
    }
}

/* ---- calls ---- */

static void arrive(struct scene *w, mono_ns at)
{
    SL_ASSERT(w->count < CALLS_MAX);
    w->arrivals[w->count++] = at;
}

static mono_ns some_delay(struct scene *w)
{
    return !w->calm && chance(w, 10) ? rng_between(&w->rng, 0, 3 * NS_PER_S)
                                     : rng_between(&w->rng, 0, NS_PER_S / 20);
}

static void start(struct scene *w)
{
    struct flying *call = &w->flying[w->flying_count];

    if (w->flying_count == FLYING_MAX || (w->late && w->now % PER_NS < PER_NS - 2 * NS_PER_S)) {
        return;
    }
    struct limit_verdict verdict = limit_check(w->limit, 1, w->now);
    if (verdict.reason == LIMIT_REASON_CLAIM) {
        limit_claim_want(w->limit, 1);
    }
    if (!verdict.admit) {
        return;
    }
    limit_take(w->limit, 1, w->now);
    mark(w);
    w->flying_count++;
    call->end = w->calm || chance(w, 80) ? END_ARRIVES : chance(w, 50) ? END_UNKNOWN : END_REFUND;
    call->arrival = w->now + some_delay(w);
    call->known_at = (call->end == END_ARRIVES ? call->arrival : w->now) + some_delay(w);
}

static void end_call(struct scene *w, uint32_t i)
{
    struct flying call = w->flying[i];

    w->flying[i] = w->flying[--w->flying_count];
    if (call.end == END_ARRIVES) {
        arrive(w, call.arrival);
        limit_arrived(w->limit, 1, call.arrival, w->now);
    } else if (call.end == END_REFUND) {
        limit_refund(w->limit, 1, w->now);
    } else {
        limit_unknown(w->limit, 1, w->now, w->now);
        if (call.arrival <= w->now + FLIGHT_NS) {
            arrive(w, call.arrival);
        }
    }
}

/* ---- lives ---- */

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static void restore(struct scene *w, bool has_marks)
{
    uint64_t outstanding = w->disk.found ? w->disk.outstanding : 0;
    const uint64_t *m = w->marks[w->disk.record % 2];

    if (has_marks && w->disk.record != 0 && m[0] == w->disk.record && m[1] < outstanding) {
        outstanding = m[1];
    }
    if (!has_marks) {
        memset(w->marks, 0, sizeof(w->marks));
    }
    qsort(w->disk.rows, w->disk.count, sizeof(w->disk.rows[0]), by_key);
    if (w->config.kind == LIMIT_QUOTA) {
        int64_t id = (w->now - LIMIT_QUOTA_SLACK_NS) / PER_NS;
        uint64_t used[2] = {0, 0};
        for (uint32_t i = 0; i < w->disk.count; i++) {
            used[0] += w->disk.rows[i].key == id ? w->disk.rows[i].used : 0;
            used[1] += w->disk.rows[i].key == id + 1 ? w->disk.rows[i].used : 0;
        }
        tell(w);
        limit_restore_quota(w->limit, used);
    } else {
        for (uint32_t i = 0; i < w->disk.count; i++) {
            mono_ns at = w->disk.rows[i].key;
            limit_restore(w->limit, w->disk.rows[i].used,
                          at < w->now + FLIGHT_NS ? at : w->now + FLIGHT_NS);
        }
    }
    limit_restored(w->limit, outstanding, w->now);
    w->record = w->disk.record;
    w->in_force = 0;
}

/* At any moment: what is written may be there or not, what is sent may arrive or not. */
static void kill_it(struct scene *w)
{
    if (w->writing && chance(w, 50)) {
        w->disk = w->next;
    }
    w->writing = false;
    for (uint32_t i = 0; i < w->flying_count; i++) {
        const struct flying *call = &w->flying[i];
        if (call->end != END_REFUND && call->arrival <= w->now + FLIGHT_NS) {
            arrive(w, call->arrival);
        }
    }
    w->flying_count = 0;
}

static void live(struct scene *w, uint32_t steps)
{
    for (uint32_t step = 0; step < steps && w->count + 2 * FLYING_MAX < CALLS_MAX; step++) {
        w->now += rng_between(&w->rng, 0, NS_PER_S / 10);
        if (w->config.kind == LIMIT_QUOTA) {
            tell(w);
        }
        for (uint32_t i = w->flying_count; i > 0; i--) {
            if (w->flying[i - 1].known_at <= w->now) {
                end_call(w, i - 1);
            }
        }
        if (w->writing && w->written_at <= w->now) {
            finish_write(w);
        }
        start(w);
        claim(w, false);
    }
}

/* ---- what the receiver saw ---- */

static int by_time(const void *a, const void *b)
{
    mono_ns x = *(const mono_ns *)a, y = *(const mono_ns *)b;
    return x < y ? -1 : x > y;
}

static uint32_t most_allowed(const struct scene *w, mono_ns from, mono_ns to)
{
    const struct limit_config *c = &w->config;
    int64_t t_ns = (c->per_ns + c->requests - 1) / c->requests;

    return c->kind == LIMIT_BUCKET ? c->burst + (uint32_t)((to - from) / t_ns) : c->requests;
}

static void check_windows(struct scene *w, struct tally *tally)
{
    for (uint32_t i = 0; i < w->count; i++) {
        for (uint32_t j = i; j < w->count; j++) {
            mono_ns apart = w->arrivals[j] - w->arrivals[i];
            if (w->config.kind == LIMIT_WINDOW && apart >= w->config.per_ns) {
                break;
            }
            uint32_t most = most_allowed(w, w->arrivals[i], w->arrivals[j]);
            assert_true(j - i + 1 <= most); /* I1 */
            tally->full += j - i + 1 == most ? 1 : 0;
        }
    }
}

/* The receiver's clock is off by up to the slack. */
static void check_periods(struct scene *w, struct tally *tally)
{
    for (mono_ns off = -LIMIT_QUOTA_SLACK_NS + 1; off < LIMIT_QUOTA_SLACK_NS; off += NS_PER_S / 7) {
        int64_t id = -1;
        uint32_t in_it = 0;
        for (uint32_t i = 0; i < w->count; i++) {
            int64_t at = (w->arrivals[i] + off) / PER_NS;
            in_it = at == id ? in_it + 1 : 1;
            id = at;
            assert_true(in_it <= w->config.requests);
            tally->full += in_it == w->config.requests ? 1 : 0;
        }
    }
}

static void run_case(const struct limit_config *config, uint64_t seed, struct tally *tally)
{
    struct scene *w = calloc(1, sizeof(*w));

    rng_init(&w->rng, seed);
    w->config = *config;
    w->calm = seed % 2 == 0;
    w->late = config->kind == LIMIT_QUOTA && seed % 3 == 0;
    w->now = 1000 * NS_PER_S;
    w->record = 1 + (uint32_t)rng_between(&w->rng, 0, 1000);
    for (uint32_t life = 0; life < LIVES_OF_CASE; life++) {
        assert_int_equal(limit_new(config, w->now, &w->limit), 0);
        restore(w, w->calm || chance(w, 70));
        live(w, (uint32_t)rng_between(&w->rng, 1, 400));
        kill_it(w);
        limit_free(w->limit);
        w->now += chance(w, 50) ? 0 : rng_between(&w->rng, 0, 2 * NS_PER_S);
        tally->lives++;
    }
    qsort(w->arrivals, w->count, sizeof(w->arrivals[0]), by_time);
    if (config->kind == LIMIT_QUOTA) {
        check_periods(w, tally);
    } else {
        check_windows(w, tally);
    }
    tally->calls += w->count;
    free(w);
}

static void run_kind(enum limit_kind kind, const char *name)
{
    static const uint32_t requests[] = {1, 2, 5, 20};
    const uint64_t lives = harness_number("SLUICE_PROPERTY_LIVES", LIVES_DEFAULT) / 3;
    const uint64_t seed = harness_seed();
    struct tally tally = {0};

    for (uint32_t i = 0; tally.lives < lives; i++) {
        uint32_t n = requests[i % SL_COUNT(requests)];
        struct limit_config config = {.kind = kind,
                                      .requests = n,
                                      .per_ns = kind == LIMIT_QUOTA ? LIMIT_DAY_NS : PER_NS,
                                      .burst = kind == LIMIT_BUCKET ? 1 + i % 7 : 0,
                                      .max_flight_ns = FLIGHT_NS,
                                      .saved = true};
        run_case(&config, harness_mix(seed, i, (uint32_t)kind), &tally);
    }
    print_message("%s: %" PRIu64 " lives, %" PRIu64 " calls, full %" PRIu64 " times\n", name,
                  tally.lives, tally.calls, tally.full);
    assert_true(tally.full > lives / 10); /* what never comes close proves nothing */
}

static void windows_hold_over_kills(void **state)
{
    (void)state;
    run_kind(LIMIT_WINDOW, "window");
}

static void buckets_hold_over_kills(void **state)
{
    (void)state;
    run_kind(LIMIT_BUCKET, "bucket");
}

static void quotas_hold_over_kills(void **state)
{
    (void)state;
    run_kind(LIMIT_QUOTA, "quota");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_hold_over_kills),
        cmocka_unit_test(buckets_hold_over_kills),
        cmocka_unit_test(quotas_hold_over_kills),
    };
    return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
