#include "unit.h"

#include "sluice/base/rng.h"

#include <math.h>

#define DRAWS 200000

static void test_sequence_is_the_published_one(void **state)
{
    (void)state;
    /* The first outputs of xoshiro256** from the state {1, 2, 3, 4}. */
    struct rng rng = {{1, 2, 3, 4}};
    assert_true(rng_next(&rng) == 11520);
    assert_true(rng_next(&rng) == 0);
    assert_true(rng_next(&rng) == 1509978240);
    assert_true(rng_next(&rng) == UINT64_C(1215971899390074240));
    /* splitmix64 from 1234567. */
    rng_init(&rng, 1234567);
    assert_true(rng.state[0] == UINT64_C(6457827717110365317));
    assert_true(rng.state[1] == UINT64_C(3203168211198807973));
    assert_true(rng.state[2] == UINT64_C(9817491932198370423));
    assert_true(rng.state[3] == UINT64_C(4593380528125082431));
}

static void test_same_seed_same_sequence(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_init(&a, 7);
    rng_init(&b, 7);
    rng_init(&c, 8);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        same += x == rng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void test_between(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 1);
    int seen[7] = {0};
    for (int i = 0; i < 70000; i++) {
        int64_t x = rng_between(&rng, -3, 3);
        assert_true(x >= -3 && x <= 3);
        seen[x + 3]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(seen[i], 9500, 10500);
    }
    assert_int_equal(rng_between(&rng, 5, 5), 5);
    bool negative = false;
    bool positive = false;
    for (int i = 0; i < 100; i++) {
        int64_t x = rng_between(&rng, INT64_MIN, INT64_MAX);
        negative = negative || x < 0;
        positive = positive || x > 0;
        x = rng_between(&rng, INT64_MAX - 1, INT64_MAX);
        assert_true(x >= INT64_MAX - 1);
    }
    assert_true(negative && positive);
}

struct moments {
    double mean, deviation;
};

static double draw_unit(struct rng *rng)
{
    double x = rng_unit(rng);
    assert_true(x >= 0 && x < 1);
    return x;
}

static double draw_exponential(struct rng *rng)
{
    double x = rng_exponential(rng, 600);
    assert_true(x >= 0 && isfinite(x));
    return x;
}

static double draw_lognormal(struct rng *rng)
{
    double x = rng_lognormal(rng, 600, 0.5);
    assert_true(x > 0 && isfinite(x));
    return x;
}

static struct moments moments_of(double (*draw)(struct rng *))
{
    struct rng rng;
    rng_init(&rng, 2026);
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < DRAWS; i++) {
        double x = draw(&rng);
        sum += x;
        squares += x * x;
    }
    double mean = sum / DRAWS;
    return (struct moments){mean, sqrt(squares / DRAWS - mean * mean)};
}

static void assert_near(double actual, double expected, double tolerance)
{
    if (fabs(actual - expected) > tolerance) {
        fail_msg("%g is not %g +- %g", actual, expected, tolerance);
    }
}

static void test_distributions(void **state)
{
    (void)state;
    struct moments m = moments_of(draw_unit);
    assert_near(m.mean, 0.5, 0.005);
    assert_near(m.deviation, sqrt(1.0 / 12), 0.005);
    m = moments_of(draw_exponential);
    assert_near(m.mean, 600, 6);
    assert_near(m.deviation, 600, 12);
    m = moments_of(rng_normal);
    assert_near(m.mean, 0, 0.01);
    assert_near(m.deviation, 1, 0.01);
    m = moments_of(draw_lognormal);
    assert_near(m.mean, 600, 6);
    assert_near(m.deviation, 300, 9);
    struct rng rng;
    rng_init(&rng, 1);
    assert_near(rng_lognormal(&rng, 600, 0), 600, 1e-9); /* no spread: the mean itself */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequence_is_the_published_one),
        cmocka_unit_test(test_same_seed_same_sequence),
        cmocka_unit_test(test_between),
        cmocka_unit_test(test_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
