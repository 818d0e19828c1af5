#include "unit.h"

#include "sluice/base/map.h"
#include "sluice/base/rng.h"

#define KEYS  300
#define STEPS 200000

static void test_basics(void **state)
{
    (void)state;
    struct map map;
    int a = 1;
    int b = 2;
    map_init(&map, 10, 42);
    assert_null(map_get(&map, STR("x")));
    assert_null(map_remove(&map, STR("x")));
    char key[] = "x";
    assert_int_equal(map_set(&map, str_from(key), &a), 0);
    key[0] = 'y'; /* the map has its own copy */
    assert_ptr_equal(map_get(&map, STR("x")), &a);
    assert_null(map_get(&map, STR("X")));
    assert_int_equal(map_set(&map, STR("x"), &b), 0);
    assert_int_equal(map.count, 1);
    assert_ptr_equal(map_get(&map, STR("x")), &b);
    assert_int_equal(map_set(&map, STR(""), &a), 0);
    assert_ptr_equal(map_get(&map, STR_NONE), &a);
    assert_int_equal(map_set(&map, (struct str){"x\0z", 3}, &a), 0);
    assert_ptr_equal(map_get(&map, (struct str){"x\0z", 3}), &a);
    assert_ptr_equal(map_get(&map, STR("x")), &b);
    assert_ptr_equal(map_remove(&map, STR("x")), &b);
    assert_null(map_get(&map, STR("x")));
    map_done(&map);
    assert_null(map_get(&map, STR("")));
    map_done(&map);
}

static void test_maximum(void **state)
{
    (void)state;
    struct map map;
    char name[16];
    int value = 0;
    map_init(&map, 100, 1);
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "k%d", i);
        assert_int_equal(map_set(&map, str_from(name), &value), 0);
    }
    assert_int_equal(map_set(&map, STR("one more"), &value), ERR_FULL);
    assert_int_equal(map_set(&map, STR("k7"), name), 0); /* replacing needs no room */
    assert_ptr_equal(map_remove(&map, STR("k7")), name);
    assert_int_equal(map_set(&map, STR("one more"), &value), 0);
    assert_int_equal(map.count, 100);
    map_done(&map);
}

/* The model: value i + 1 stands for "key i is there". */
static void assert_same_entries(const struct map *map, int *const *model, size_t model_count)
{
    size_t seen = 0;
    size_t cursor = 0;
    struct str key = STR_NONE;
    void *value = NULL;
    while (map_each(map, &cursor, &key, &value)) {
        int64_t number = 0;
        assert_int_equal(str_to_i64((struct str){key.ptr + 1, key.len - 1}, 0, KEYS, &number), 0);
        assert_ptr_equal(value, model[number]);
        seen++;
    }
    assert_int_equal(seen, model_count);
    assert_int_equal(map->count, model_count);
}

static void test_against_model(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, unit_seed());
    static int values[16];
    static int *model[KEYS];
    size_t count = 0;
    struct map map;
    map_init(&map, KEYS, rng_next(&rng));
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rng_between(&rng, 0, KEYS - 1);
        char name[16];
        (void)snprintf(name, sizeof(name), "k%zu", i);
        int64_t fill = (step / 5000) % 2 == 0 ? 75 : 25;
        if (rng_between(&rng, 0, 99) < fill) {
            int *value = &values[rng_between(&rng, 0, 15)];
            assert_int_equal(map_set(&map, str_from(name), value), 0);
            count += model[i] == NULL ? 1 : 0;
            model[i] = value;
        } else {
            assert_ptr_equal(map_remove(&map, str_from(name)), model[i]);
            count -= model[i] == NULL ? 0 : 1;
            model[i] = NULL;
        }
        size_t j = (size_t)rng_between(&rng, 0, KEYS - 1);
        (void)snprintf(name, sizeof(name), "k%zu", j);
        assert_ptr_equal(map_get(&map, str_from(name)), model[j]);
        if (step % 1000 == 0) {
            assert_same_entries(&map, model, count);
        }
    }
    assert_same_entries(&map, model, count);
    map_done(&map);
}

static void test_keys_spread_under_any_seed(void **state)
{
    (void)state;
    /* The longest run of full slots stays short: consecutive names are the usual case. */
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct map map;
        int value = 0;
        map_init(&map, 3000, seed);
        for (int i = 0; i < 3000; i++) {
            char name[32];
            (void)snprintf(name, sizeof(name), "message-group-%04d", i);
            assert_int_equal(map_set(&map, str_from(name), &value), 0);
        }
        size_t run = 0;
        size_t longest = 0;
        for (size_t i = 0; i < map.capacity; i++) {
            run = map.slots[i].key == NULL ? 0 : run + 1;
            longest = run > longest ? run : longest;
        }
        assert_true(longest < 250);
        map_done(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_keys_spread_under_any_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
