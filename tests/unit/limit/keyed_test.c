#include "unit.h"

#include "sluice/limit/keyed.h"

#include <stdio.h>
#include <stdlib.h>

static struct limit_keyed *keyed_at_zero(struct limit_config config, uint32_t keys_max)
{
    struct limit_keyed *keyed = NULL;
    assert_int_equal(limit_keyed_new(&config, keys_max, 0, &keyed), 0);
    return keyed;
}

static struct limit_key *get(struct limit_keyed *keyed, const char *key, mono_ns now)
{
    mono_ns at;
    struct limit_key *entry = limit_keyed_get(keyed, str_from(key), now, &at);
    assert_non_null(entry);
    return entry;
}

static void each_key_on_its_own(void **state)
{
    (void)state;
    struct limit_keyed *keyed = keyed_at_zero(window_of(2, S), 10);
    struct limit_key *a = get(keyed, "a", 10 * S);
    struct limit_key *b = get(keyed, "b", 10 * S);
    call(a->limit, 2, 10 * S);
    assert_waits(a->limit, 1, 10 * S, LIMIT_REASON_PERMIT, 11 * S);
    assert_admits(b->limit, 2, 10 * S);
    assert_ptr_equal(get(keyed, "a", 10 * S), a);
    assert_int_equal(limit_keyed_count(keyed), 2);
    limit_key_unref(a);
    limit_key_unref(a);
    limit_key_unref(b);
    limit_keyed_free(keyed);
}

/* As cold as the process, not as the key. */
static void cold_once(void **state)
{
    (void)state;
    struct limit_keyed *keyed = keyed_at_zero(window_of(2, S), 10);
    struct limit_key *early = get(keyed, "early", S);
    assert_waits(early->limit, 1, S, LIMIT_REASON_COLD, 2 * S); /* max_flight, and the window */
    struct limit_key *late = get(keyed, "late", 60 * S);
    assert_admits(late->limit, 2, 60 * S);
    limit_key_unref(early);
    limit_key_unref(late);
    limit_keyed_free(keyed);

    keyed = keyed_at_zero(bucket_of(1, S, 5), 10); /* full by now, as any bucket since the start */
    late = get(keyed, "late", 60 * S);
    assert_admits(late->limit, 5, 60 * S);
    limit_key_unref(late);
    limit_keyed_free(keyed);
}

/* I8: the table's memory is bounded by its permits, also when they become more. */
static void permits_of_a_table(void **state)
{
    (void)state;
    struct limit_keyed *keyed = NULL;
    struct limit_config config = window_of(LIMIT_KEYED_PERMITS_MAX / 100 + 1, S);
    assert_int_equal(limit_keyed_new(&config, 100, 0, &keyed), ERR_RANGE);
    config.requests--;
    assert_int_equal(limit_keyed_new(&config, 100, 0, &keyed), 0);
    config.requests++;
    assert_int_equal(limit_keyed_resize(keyed, &config, S), ERR_RANGE);
    config.requests -= 2;
    assert_int_equal(limit_keyed_resize(keyed, &config, S), 0);
    limit_keyed_free(keyed);
}

static void only_what_is_as_new_makes_room(void **state)
{
    (void)state;
    struct limit_keyed *keyed = keyed_at_zero(window_of(2, S), 2);
    struct limit_key *a = get(keyed, "a", 10 * S);
    struct limit_key *b = get(keyed, "b", 10 * S);
    mono_ns at;
    assert_null(limit_keyed_get(keyed, STR("c"), 10 * S, &at));
    assert_true(at == MONO_NEVER); /* both are in use */
    call(a->limit, 1, 10 * S);
    limit_key_unref(a);
    assert_null(limit_keyed_get(keyed, STR("c"), 10 * S, &at));
    assert_true(at == 11 * S); /* a's call counts until then */
    assert_null(limit_keyed_get(keyed, STR("c"), 11 * S - 1, &at));
    struct limit_key *c = limit_keyed_get(keyed, STR("c"), 11 * S, &at);
    assert_ptr_equal(c, a); /* the same memory */
    assert_admits(c->limit, 2, 11 * S);
    assert_int_equal(limit_keyed_count(keyed), 2);
    /* A pause that was asked for is not forgotten either. */
    limit_gate(b->limit, 40 * S);
    limit_key_unref(b);
    assert_null(limit_keyed_get(keyed, STR("d"), 40 * S - 1, &at));
    assert_true(at == 40 * S);
    assert_ptr_equal(get(keyed, "d", 40 * S), b);
    limit_key_unref(b);
    limit_key_unref(c);
    limit_keyed_free(keyed);
}

#define MODEL_KEYS 12
#define MODEL_MAX  4

struct held {
    uint32_t key;
    struct limit_key *entry;
};

/* A table of a few entries answers as limits that are never forgotten do, or not at all. */
static void against_limits_that_stay(struct limit_config config, uint64_t seed)
{
    struct limit_keyed *keyed = keyed_at_zero(config, MODEL_MAX);
    struct limit *model[MODEL_KEYS];
    struct held held[MODEL_MAX];
    uint32_t count = 0, full = 0, calls = 0, reused = 0;
    struct rng rng;
    mono_ns now = 0, at;

    rng_init(&rng, seed);
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        model[i] = limit_at_zero(config);
    }
    for (int step = 0; step < 20000; step++) {
        now += rng_between(&rng, 0, 300 * MS);
        uint32_t key = (uint32_t)rng_between(&rng, 0, MODEL_KEYS - 1);
        char name[8];
        (void)snprintf(name, sizeof(name), "k%u", key);
        struct limit_key *entry = limit_keyed_get(keyed, str_from(name), now, &at);
        if (entry == NULL) {
            full++;
            assert_true(at > now);
        } else {
            struct limit_verdict is = limit_check(entry->limit, 1, now);
            assert_int_equal(is.admit, limit_check(model[key], 1, now).admit);
            if (!is.admit || count == MODEL_MAX) {
                limit_key_unref(entry);
            } else {
                (void)limit_take(entry->limit, 1, now);
                (void)limit_take(model[key], 1, now);
                held[count++] = (struct held){key, entry};
                calls++;
            }
        }
        if (count > 0 && rng_between(&rng, 0, 2) > 0) { /* a call ends, one way or another */
            struct held one = held[--count];
            int64_t how = rng_between(&rng, 0, 3);
            void (*end)(struct limit *, uint32_t, mono_ns, mono_ns) =
                how == 0 ? limit_unknown : limit_arrived;
            if (how == 1) {
                limit_refund(one.entry->limit, 1, now);
                limit_refund(model[one.key], 1, now);
            } else {
                end(one.entry->limit, 1, now, now);
                end(model[one.key], 1, now, now);
            }
            limit_key_unref(one.entry);
            reused++;
        }
    }
    assert_int_equal(limit_keyed_count(keyed), MODEL_MAX);
    assert_true(full > 500 && calls > 2000 && reused > 1000);
    while (count > 0) {
        limit_key_unref(held[--count].entry);
    }
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        limit_free(model[i]);
    }
    limit_keyed_free(keyed);
}

static void lossless(void **state)
{
    (void)state;
    struct limit_config paced = window_of(3, S);
    paced.pace = true;
    paced.guard_ns = 10 * MS;
    against_limits_that_stay(window_of(2, S), 1);
    against_limits_that_stay(paced, 2);
    against_limits_that_stay(bucket_of(2, S, 3), 3);
}

/* I8: whatever the number of keys, so many limits. */
static void bounded(void **state)
{
    (void)state;
    struct limit_keyed *keyed = keyed_at_zero(window_of(1, S), 100);
    mono_ns now = 10 * S, at;
    uint32_t refused = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "%u", i);
        struct limit_key *entry = limit_keyed_get(keyed, str_from(name), now, &at);
        if (entry == NULL) {
            refused++;
            assert_true(at > now && at <= now + S);
            now = at;
            continue;
        }
        call(entry->limit, 1, now);
        limit_key_unref(entry);
        now += MS;
    }
    assert_int_equal(limit_keyed_count(keyed), 100);
    assert_true(refused > 50);
    limit_keyed_free(keyed);
}

static void long_keys(void **state)
{
    char key[2][1000], out[LIMIT_KEY_MAX], other[LIMIT_KEY_MAX];

    (void)state;
    memset(key, 'x', sizeof(key));
    key[1][999] = 'y';
    struct str a = limit_key_bounded((struct str){key[0], 1000}, out);
    struct str b = limit_key_bounded((struct str){key[1], 1000}, other);
    assert_int_equal(a.len, LIMIT_KEY_MAX);
    assert_false(str_equal(a, b));
    assert_ptr_equal(limit_key_bounded((struct str){key[0], LIMIT_KEY_MAX}, out).ptr, key[0]);
}

static void resized(void **state)
{
    (void)state;
    struct limit_keyed *keyed = keyed_at_zero(window_of(1, S), 2);
    struct limit_key *a = get(keyed, "a", 10 * S);
    call(a->limit, 1, 10 * S);
    struct limit_config more = window_of(3, 4 * S);
    assert_int_equal(limit_keyed_resize(keyed, &more, 10 * S), 0);
    limit_key_unref(a);
    assert_admits(get(keyed, "a", 10 * S)->limit, 2, 10 * S);
    assert_waits(a->limit, 3, 10 * S, LIMIT_REASON_PERMIT, 14 * S);
    struct limit_key *b = get(keyed, "b", 12 * S); /* a new key has the new terms */
    assert_admits(b->limit, 3, 12 * S);
    struct limit_config bucket = bucket_of(1, S, 1);
    assert_int_equal(limit_keyed_resize(keyed, &bucket, 12 * S), ERR_INVALID);
    limit_key_unref(a);
    limit_key_unref(b);
    limit_keyed_free(keyed);
}

/* Everything passes; what a limit would have held up is counted and takes nothing. */
static void dry_run(void **state)
{
    (void)state;
    struct limit_config config = window_of(2, S);
    config.dry_run = true;
    struct limit *shadow = limit_at_zero(config);
    struct limit *real = limit_at_zero(window_of(5, S));
    const struct limit_set set = {.limits = {shadow, real}, .count = 2};
    struct limit_grant grants[5];
    for (int i = 0; i < 5; i++) {
        assert_true(limit_set_check(&set, 1, 10 * S).admit);
        limit_grant_take(&grants[i], &set, 1, 10 * S);
        assert_int_equal(grants[i].open, i < 2 ? 3 : 2);
    }
    assert_int_equal(limit_dry_run_delayed(shadow), 3);
    assert_false(limit_set_check(&set, 1, 10 * S).admit); /* the other one still holds */
    for (int i = 0; i < 5; i++) {
        limit_grant_arrived(&grants[i], 10 * S, 10 * S);
        assert_int_equal(grants[i].open, 0);
    }
    assert_int_equal(limit_free_permits(shadow, 11 * S), 2);
    assert_int_equal(limit_dry_run_delayed(real), 0);
    limit_free(shadow);
    limit_free(real);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_on_its_own),
        cmocka_unit_test(cold_once),
        cmocka_unit_test(permits_of_a_table),
        cmocka_unit_test(only_what_is_as_new_makes_room),
        cmocka_unit_test(lossless),
        cmocka_unit_test(bounded),
        cmocka_unit_test(long_keys),
        cmocka_unit_test(resized),
        cmocka_unit_test(dry_run),
    };

    return cmocka_run_group_tests_name("keyed", tests, NULL, NULL);
}
