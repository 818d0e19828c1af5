#include "unit.h"

#include "sluice/base/heap.h"
#include "sluice/base/rng.h"

#include <signal.h>

#define NODES 200
#define STEPS 200000

static void test_order_and_ties(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node n[6] = {0};
    heap_init(&heap);
    assert_null(heap_first(&heap));
    heap_remove(&heap, &n[0]); /* in no heap: nothing happens */
    heap_add(&heap, &n[0], 5);
    heap_add(&heap, &n[1], 3);
    heap_add(&heap, &n[2], 5);
    heap_add(&heap, &n[3], 3);
    heap_add(&heap, &n[4], INT64_MIN);
    heap_add(&heap, &n[5], INT64_MAX);
    const int expected[] = {4, 1, 3, 0, 2, 5};
    for (size_t i = 0; i < 6; i++) {
        assert_ptr_equal(heap_first(&heap), &n[expected[i]]);
        heap_remove(&heap, &n[expected[i]]);
        assert_false(heap_is_linked(&n[expected[i]]));
    }
    assert_int_equal(heap.count, 0);
    heap_done(&heap);
}

static void test_reserve_makes_adds_allocation_free(void **state)
{
    (void)state;
    struct heap heap;
    struct heap_node n[100] = {0};
    heap_init(&heap);
    heap_add(&heap, &n[0], 0);
    heap_reserve(&heap, 100);
    struct heap_node **nodes = heap.nodes;
    for (int i = 1; i < 100; i++) {
        heap_add(&heap, &n[i], -i);
    }
    assert_ptr_equal(heap.nodes, nodes);
    assert_ptr_equal(heap_first(&heap), &n[99]);
    heap_done(&heap);
}

/* The model: an array searched from end to end. */
struct model {
    bool linked[NODES];
    int64_t key[NODES];
    uint64_t order[NODES];
    uint64_t next_order;
    size_t count;
};

static size_t model_first(const struct model *m)
{
    size_t best = NODES;
    for (size_t i = 0; i < NODES; i++) {
        if (m->linked[i] && (best == NODES || m->key[i] < m->key[best] ||
                             (m->key[i] == m->key[best] && m->order[i] < m->order[best]))) {
            best = i;
        }
    }
    return best;
}

static void model_set(struct model *m, size_t i, int64_t key)
{
    m->count += m->linked[i] ? 0 : 1;
    m->linked[i] = true;
    m->key[i] = key;
    m->order[i] = m->next_order++;
}

static void model_remove(struct model *m, size_t i)
{
    m->count -= m->linked[i] ? 1 : 0;
    m->linked[i] = false;
}

static void test_against_model(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, unit_seed());
    struct heap heap;
    static struct heap_node nodes[NODES];
    static struct model model;
    heap_init(&heap);
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)rng_between(&rng, 0, NODES - 1);
        int64_t key = rng_between(&rng, 0, 50); /* few, so that ties are common */
        /* Long stretches that fill, then long stretches that drain. */
        int64_t fill = (step / 5000) % 2 == 0 ? 70 : 30;
        if (rng_between(&rng, 0, 99) < fill) {
            heap_set(&heap, &nodes[i], key);
            model_set(&model, i, key);
        } else if (rng_between(&rng, 0, 1) == 0 && model.count > 0) {
            model_remove(&model, model_first(&model));
            heap_remove(&heap, heap_first(&heap));
        } else {
            heap_remove(&heap, &nodes[i]);
            model_remove(&model, i);
        }
        size_t first = model_first(&model);
        assert_ptr_equal(heap_first(&heap), first == NODES ? NULL : &nodes[first]);
        assert_int_equal(heap.count, model.count);
        assert_int_equal(heap_is_linked(&nodes[i]), model.linked[i]);
    }
    heap_done(&heap);
}

static void add_twice(void)
{
    struct heap heap;
    struct heap_node n = {0};
    heap_init(&heap);
    heap_add(&heap, &n, 1);
    heap_add(&heap, &n, 2);
}

static void remove_from_another(void)
{
    struct heap a, b;
    struct heap_node n = {0};
    heap_init(&a);
    heap_init(&b);
    heap_add(&a, &n, 1);
    heap_remove(&b, &n);
}

static void test_misuse_is_caught(void **state)
{
    (void)state;
    assert_int_equal(unit_end_of(add_twice), 128 + SIGABRT);
    assert_int_equal(unit_end_of(remove_from_another), 128 + SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_ties),
        cmocka_unit_test(test_reserve_makes_adds_allocation_free),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_misuse_is_caught),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
