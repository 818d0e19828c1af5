#include "unit.h"

#include "limit/stamps.h"

#define CAPACITY 40
#define LATEST   (INT64_C(1) << 40) /* far more than steps: no two are equal */

/* The model: units in a plain list. */
struct model {
    struct stamp items[CAPACITY];
    uint32_t count;
};

static uint32_t model_first(const struct model *model)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < model->count; i++) {
        first = model->items[i].at < model->items[first].at ? i : first;
    }
    return first;
}

static uint64_t model_until(const struct model *model, mono_ns until, mono_ns *next)
{
    uint64_t units = 0;
    *next = MONO_NEVER;
    for (uint32_t i = 0; i < model->count; i++) {
        if (model->items[i].at <= until) {
            units += model->items[i].units;
        } else {
            *next = mono_min(*next, model->items[i].at);
        }
    }
    return units;
}

static void assert_like_model(const struct stamps *stamps, const struct model *model, mono_ns until)
{
    mono_ns next = -1, model_next;
    uint64_t all = 0;
    uint64_t units = model_until(model, until, &model_next);
    for (uint32_t i = 0; i < model->count; i++) {
        all += model->items[i].units;
    }
    assert_int_equal(stamps->units, all);
    assert_int_equal(stamps_until(stamps, until, UINT64_MAX, &next), units);
    assert_int_equal(next, model_next);
    assert_true(units == 0 || stamps_until(stamps, until, 1, &next) >= 1);
    assert_int_equal(stamps_first(stamps),
                     model->count == 0 ? MONO_NEVER : model->items[model_first(model)].at);
}

static void test_random_operations(void **state)
{
    (void)state;
    struct stamps stamps;
    struct model model = {0};
    struct rng rng;
    rng_init(&rng, 11);
    stamps_init(&stamps, 8);
    for (int step = 0; step < 100000; step++) {
        if (step == 1000) {
            stamps_reserve(&stamps, CAPACITY);
            stamps_reserve(&stamps, 1);
            assert_int_equal(stamps.capacity, CAPACITY);
        }
        if (model.count < stamps.capacity && rng_between(&rng, 0, 1) == 0) {
            struct stamp stamp = {.at = rng_between(&rng, 0, LATEST),
                                  .units = (uint32_t)rng_between(&rng, 1, 4)};
            model.items[model.count++] = stamp;
            stamps_push(&stamps, stamp.at, stamp.units);
        } else if (model.count > 0) {
            mono_ns at;
            uint32_t max = (uint32_t)rng_between(&rng, 1, 4);
            uint32_t units = stamps_pop(&stamps, max, &at);
            struct stamp *first = &model.items[model_first(&model)];
            assert_int_equal(at, first->at);
            assert_int_equal(units, first->units < max ? first->units : max);
            first->units -= units;
            if (first->units == 0) {
                *first = model.items[--model.count];
            }
            assert_int_equal(stamps.count, model.count);
        }
        assert_like_model(&stamps, &model, rng_between(&rng, -1, LATEST + 1));
    }
    stamps_done(&stamps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_operations)};
    return cmocka_run_group_tests_name("stamps", tests, NULL, NULL);
}
