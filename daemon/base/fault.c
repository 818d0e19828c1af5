#include "sluice/base/fault.h"

#ifdef SLUICE_FAULTS

#include "sluice/base/err.h"
#include "sluice/base/str.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define POINTS_MAX_COUNT 16
#define PASSES_MAX       INT64_C(1000000000)

struct point {
    char name[64];
    int64_t passes_left; /* 0: has struck */
    bool kill;
};

/* Process-wide by nature (a point is a place in the program), and absent from release builds. */
static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    atomic_bool armed;
    struct point points[POINTS_MAX_COUNT];
    size_t count;
} faults = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

/* name[:nth][=action] */
static int parse_point(struct str text, struct point *ret)
{
    struct str nth = STR_NONE;
    struct str name = STR_NONE;
    *ret = (struct point){.passes_left = 1};
    (void)str_next(&text, '=', &nth);
    (void)str_next(&nth, ':', &name);
    struct str action = text;
    if (name.len == 0 || name.len >= sizeof(ret->name)) {
        return ERR_SYNTAX;
    }
    str_copy(ret->name, sizeof(ret->name), name);
    ret->kill = str_equal(action, STR("kill"));
    if (action.ptr != NULL && !ret->kill && !str_equal(action, STR("fail"))) {
        return ERR_SYNTAX;
    }
    return nth.ptr == NULL ? 0 : str_to_i64(nth, 1, PASSES_MAX, &ret->passes_left);
}

static int parse_points(struct str text, struct point *points, size_t *ret_count)
{
    struct str part = STR_NONE;
    size_t count = 0;
    if (text.len == 0) {
        text = STR_NONE; /* an empty variable arms nothing */
    }
    while (str_next(&text, ',', &part)) {
        if (count == POINTS_MAX_COUNT) {
            return ERR_FULL;
        }
        int rc = parse_point(part, &points[count++]);
        if (rc != 0) {
            return rc;
        }
    }
    *ret_count = count;
    return 0;
}

static int arm(const char *points_text)
{
    struct point points[POINTS_MAX_COUNT];
    size_t count = 0;
    int rc = parse_points(str_from(points_text), points, &count);
    if (rc != 0) {
        return rc;
    }
    pthread_mutex_lock(&faults.lock);
    for (size_t i = 0; i < count; i++) {
        faults.points[i] = points[i];
    }
    faults.count = count;
    atomic_store(&faults.armed, count > 0);
    pthread_mutex_unlock(&faults.lock);
    return 0;
}

static void arm_from_environment(void)
{
    const char *text = getenv("SLUICE_FAULT");
    if (arm(text) != 0) {
        /* A fault that never strikes would make a test pass for the wrong reason. */
        (void)fprintf(stderr, "sluice: SLUICE_FAULT is malformed: %s\n", text);
        abort();
    }
}

int fault_arm(const char *points_text)
{
    /* First, or the environment would overwrite this at the first pass. */
    pthread_once(&faults.once, arm_from_environment);
    return arm(points_text);
}

static int strike(const char *name)
{
    for (size_t i = 0; i < faults.count; i++) {
        struct point *point = &faults.points[i];
        if (point->passes_left == 0 || !str_equal(str_from(point->name), str_from(name))) {
            continue;
        }
        if (--point->passes_left == 0) {
            if (point->kill) {
                (void)kill(getpid(), SIGKILL);
            }
            return 1;
        }
    }
    return 0;
}

int fault_point(const char *name)
{
    pthread_once(&faults.once, arm_from_environment);
    if (!atomic_load_explicit(&faults.armed, memory_order_relaxed)) {
        return 0;
    }
    pthread_mutex_lock(&faults.lock);
    int struck = strike(name);
    pthread_mutex_unlock(&faults.lock);
    return struck;
}

#endif
