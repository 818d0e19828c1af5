/*
 * The scripted queue: what SQS (a lease, a receipt handle that gets stale) or the embedded queue
 * (held until settled) does with messages, and what goes wrong with either.
 */
#include "sim_internal.h"

#include "sluice/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENDLESS_AHEAD 2000u /* visible messages of an endless queue */
#define LEASE_CAP_NS  (12 * 3600 * NS_PER_S)
#define POLL_NS       (20 * NS_PER_S)
#define RECEIVE_MAX   1000u

static void answer_when_visible(struct sim_queue *queue);

/* ---- records ---- */

static void record_show(struct sim_record *record)
{
    struct sim_group *group = &record->queue->groups[record->group];
    struct list_node *before = &group->visible.head;

    SL_ASSERT(record->place != SIM_VISIBLE);
    record->place = SIM_VISIBLE;
    if (record->queue->config.groups > 0) { /* back to its place in the order */
        LIST_FOR(&group->visible, node)
        {
            if (LIST_ENTRY(node, struct sim_record, node)->sequence > record->sequence) {
                before = node;
                break;
            }
        }
    }
    list_insert_before(&group->visible, before, &record->node);
}

static void record_take_off(struct sim_record *record)
{
    if (record->place == SIM_VISIBLE) {
        list_remove(&record->queue->groups[record->group].visible, &record->node);
    } else if (record->place == SIM_HIDDEN) {
        SL_ASSERT(record->queue->groups[record->group].hidden > 0);
        record->queue->groups[record->group].hidden--;
        sim_clock_clear(&record->queue->sim->clock, &record->hidden);
    }
}

static void record_hide(struct sim_record *record, mono_ns until)
{
    record_take_off(record);
    record->place = SIM_HIDDEN;
    record->queue->groups[record->group].hidden++;
    if (until != MONO_NEVER) {
        sim_clock_set(&record->queue->sim->clock, &record->hidden, until);
    }
}

static void on_visible(void *context, mono_ns now)
{
    struct sim_record *record = context;

    (void)now;
    record_take_off(record);
    record_show(record);
    answer_when_visible(record->queue);
}

void sim_record_unref(struct sim_record *record)
{
    SL_ASSERT(record->references > 0);
    if (--record->references > 0) {
        return;
    }
    list_remove(&record->queue->records, &record->all);
    free(record);
}

/* Out of the queue for good. */
static void record_end(struct sim_record *record, enum sim_place place)
{
    struct sim_queue *queue = record->queue;

    if (record->place == SIM_GONE || record->place == SIM_DEAD) {
        return;
    }
    record_take_off(record);
    record->place = place;
    queue->live--;
    if (place == SIM_GONE) {
        queue->report.acked++;
        queue->report.lost += record->deliveries == 0 ? 1 : 0; /* I3 */
    }
    sim_record_unref(record);
    answer_when_visible(queue); /* its group may go on */
}

static void quiet_wait_add(struct sim_queue *queue, double wait_s)
{
    if (queue->quiet_count == queue->quiet_capacity) {
        queue->quiet_capacity = queue->quiet_capacity == 0 ? 1024 : 2 * queue->quiet_capacity;
        double *waits = MEM_NEW_ARRAY(queue->quiet_capacity, double);
        if (queue->quiet_count > 0) {
            memcpy(waits, queue->quiet_waits, queue->quiet_count * sizeof(double));
        }
        free(queue->quiet_waits);
        queue->quiet_waits = waits;
    }
    queue->quiet_waits[queue->quiet_count++] = wait_s;
}

void sim_record_called(struct sim_record *record, mono_ns now)
{
    struct sim_queue_report *report = &record->queue->report;
    double wait_s = (double)(now - record->sent_at) / (double)NS_PER_S;

    if (record->called) {
        return;
    }
    record->called = true;
    if (record->queue->config.tenants > 0 && record->group > 0) {
        quiet_wait_add(record->queue, wait_s);
    }
    record->queue->waits++;
    report->wait_mean_s += (wait_s - report->wait_mean_s) / (double)record->queue->waits;
    report->wait_max_s = wait_s > report->wait_max_s ? wait_s : report->wait_max_s;
}

void sim_record_arrived(struct sim_record *record)
{
    struct sim_queue *queue = record->queue;

    if (queue->config.groups == 0 || record->deliveries > 0) {
        return; /* no order, or a repetition */
    }
    LIST_FOR(&queue->records, node)
    {
        struct sim_record *other = LIST_ENTRY(node, struct sim_record, all);
        if (other->group == record->group && other->sequence < record->sequence &&
            other->deliveries == 0 && other->place != SIM_DEAD) {
            queue->report.order_broken++; /* I7 */
            return;
        }
    }
}

void sim_record_done(struct sim_record *record)
{
    if (record->deliveries++ == 0) {
        record->queue->report.delivered++;
    } else {
        record->queue->report.repeated++;
    }
}

/* ---- what goes wrong ---- */

static const struct sim_queue_fault *fault_at(const struct sim_queue *queue)
{
    mono_ns now = queue->sim->clock.now;

    for (uint32_t i = 0; i < queue->config.fault_count; i++) {
        const struct sim_queue_fault *fault = &queue->config.faults[i];
        if (now >= fault->from && now < fault->until) {
            return fault;
        }
    }
    return NULL;
}

/* Does this operation fail, which does with that share at any time? */
static bool fails(const struct sim_queue *queue, double share)
{
    const struct sim_queue_fault *fault = fault_at(queue);

    return sim_chance(queue->sim, share) ||
           (fault != NULL && sim_chance(queue->sim, fault->fail_share));
}

static bool is_answer_lost(const struct sim_queue *queue)
{
    const struct sim_queue_fault *fault = fault_at(queue);

    return sim_chance(queue->sim, queue->config.settle_lost_share) ||
           (fault != NULL && sim_chance(queue->sim, fault->lost_share));
}

/* ---- sending ---- */

/* Of a FIFO queue in turn; what is not of the Poisson stream is of the noisy tenant. */
static uint32_t next_group(const struct sim_queue *queue)
{
    return queue->config.tenants > 0 ? 0 : (uint32_t)(queue->next_sequence % queue->group_count);
}

static void send_one(struct sim_queue *queue, uint32_t group, mono_ns now)
{
    struct sim_record *record = MEM_NEW(struct sim_record);

    record->queue = queue;
    record->place = SIM_GONE;
    record->references = 1; /* of the queue, until it is deleted or dead */
    record->sequence = queue->next_sequence++;
    record->group = group;
    record->sent_at = now;
    record->scripted = sim_chance(queue->sim, queue->config.refused_share)   ? 400
                       : sim_chance(queue->sim, queue->config.failing_share) ? 500
                                                                             : 0;
    queue->report.scripted += record->scripted != 0 ? 1 : 0;
    record->hidden.fire = on_visible;
    record->hidden.context = record;
    (void)snprintf(record->id, sizeof(record->id), "m%llu", (unsigned long long)record->sequence);
    (void)snprintf(record->group_id, sizeof(record->group_id), "g%u", record->group);
    list_push(&queue->records, &record->all);
    queue->report.sent++;
    queue->live++;
    record_show(record);
}

void sim_send(struct sim *sim, uint32_t queue, uint32_t count)
{
    struct sim_queue *to = sim->queues[queue];

    for (uint32_t i = 0; i < count; i++) {
        send_one(to, next_group(to), sim->clock.now);
    }
    answer_when_visible(to);
}

static void on_burst(void *context, mono_ns now)
{
    struct sim_queue *queue = context;

    for (uint32_t i = 0; i < queue->config.burst_count; i++) {
        send_one(queue, next_group(queue), now);
    }
    if (--queue->bursts_left > 0) {
        sim_clock_set(&queue->sim->clock, &queue->burst, now + queue->config.burst_every_ns);
    }
    answer_when_visible(queue);
}

static void next_arrival(struct sim_queue *queue, mono_ns now)
{
    double mean_ns = (double)NS_PER_S / queue->config.arrivals_per_second;
    mono_ns at = now + (int64_t)rng_exponential(&queue->sim->rng, mean_ns);

    if (queue->config.arrivals_until == 0 || at < queue->config.arrivals_until) {
        sim_clock_set(&queue->sim->clock, &queue->arrival, at);
    }
}

static uint32_t quiet_tenant(struct sim_queue *queue)
{
    return queue->config.tenants > 1
               ? (uint32_t)rng_between(&queue->sim->rng, 1, queue->config.tenants - 1)
               : next_group(queue);
}

static void on_arrival(void *context, mono_ns now)
{
    struct sim_queue *queue = context;

    send_one(queue, quiet_tenant(queue), now);
    next_arrival(queue, now);
    answer_when_visible(queue);
}

/* ---- receiving ---- */

/* The next message that may be received, of each group in turn. */
static struct sim_record *next_visible(struct sim_queue *queue, const bool *taken)
{
    for (uint32_t i = 0; i < queue->group_count; i++) {
        uint32_t index = (queue->group_turn + i) % queue->group_count;
        if (queue->config.tenants > 1) { /* in turn, the noisy one last */
            index = i == queue->group_count - 1
                        ? 0
                        : 1 + (queue->group_turn + i) % (queue->group_count - 1);
        }
        struct sim_group *group = &queue->groups[index];
        struct list_node *first = list_first(&group->visible);
        /* A group with messages out is locked, but for those of this same receive. */
        bool locked = queue->config.groups > 0 && group->hidden > 0 && !taken[index];
        if (first != NULL && !locked) {
            queue->group_turn = index;
            return LIST_ENTRY(first, struct sim_record, node);
        }
    }
    return NULL;
}

static void pick(struct sim_queue *queue, struct sim_record *record, mono_ns now)
{
    const struct sim_queue_config *config = &queue->config;
    bool twice = sim_chance(queue->sim, config->duplicate_share);

    record->receive_count++;
    record->generation++;
    if (record->receive_count > queue->report.receive_count_max) {
        queue->report.receive_count_max = record->receive_count;
    }
    queue->report.received++;
    record_hide(record, config->visibility_ns > 0
                            ? now + (twice ? NS_PER_MS : config->visibility_ns)
                            : MONO_NEVER);
    record->references++;
    queue->picked[queue->picked_count++] = record;
}

/* The server's side of a receive. */
static void pick_all(struct sim_queue *queue, mono_ns now)
{
    bool *taken = MEM_NEW_ARRAY(queue->group_count, bool);
    struct sim_record *record;

    queue->picked_count = 0;
    while (queue->picked_count < queue->ask_max && (record = next_visible(queue, taken)) != NULL) {
        uint32_t most = queue->config.max_receives;
        taken[record->group] = true;
        if (most > 0 && record->receive_count >= most) {
            queue->report.dead_by_receives++;
            record_end(record, SIM_DEAD);
            continue;
        }
        pick(queue, record, now);
        if (queue->config.endless) {
            send_one(queue, next_group(queue), now);
        }
    }
    queue->picked_at = now;
    free(taken);
}

static void answer(struct sim_queue *queue, int error)
{
    queue->polling = false;
    queue->answer_error = error;
    sim_clock_clear(&queue->sim->clock, &queue->poll_end);
    sim_clock_set(&queue->sim->clock, &queue->answer,
                  sim_process_at(queue->sim, queue->sim->clock.now));
}

static void answer_when_visible(struct sim_queue *queue)
{
    if (!queue->polling) {
        return;
    }
    queue->polling = false; /* while it is answered */
    pick_all(queue, queue->sim->clock.now);
    if (queue->picked_count > 0) {
        answer(queue, 0);
    } else {
        queue->polling = true;
    }
}

static void on_asked(void *context, mono_ns now)
{
    struct sim_queue *queue = context;
    int64_t poll_ns = queue->config.poll_ns > 0 ? queue->config.poll_ns : POLL_NS;

    queue->picked_count = 0;
    if (fails(queue, queue->config.receive_fail_share)) {
        answer(queue, ERR_TIMEOUT);
        return;
    }
    queue->polling = true;
    sim_clock_set(&queue->sim->clock, &queue->poll_end, now + poll_ns);
    answer_when_visible(queue);
}

static void on_poll_end(void *context, mono_ns now)
{
    (void)now;
    answer(context, 0);
}

static int64_t lease_cap_ns(const struct sim_queue *queue)
{
    return queue->config.lease_cap_ns > 0 ? queue->config.lease_cap_ns : LEASE_CAP_NS;
}

static struct message *message_from(struct sim_queue *queue, struct sim_record *record)
{
    struct message *message = flow_message_new(queue->route->route);
    struct sim_handle *handle = MEM_NEW(struct sim_handle);

    list_push(&queue->handles, &handle->all);
    handle->record = record;
    handle->message = message;
    handle->generation = record->generation;
    message->source_data = handle;
    message->id = str_from(record->id);
    message->group = queue->config.groups > 0 ? str_from(record->group_id) : STR_NONE;
    message->tenant = queue->group_count > 1 ? str_from(record->group_id) : STR_NONE;
    message->receive_count = record->receive_count;
    message->attempts = record->attempts;
    message->received_at = queue->sim->clock.now;
    message->visibility_ns = queue->config.visibility_ns;
    message->lease_until =
        message->visibility_ns > 0 ? queue->picked_at + message->visibility_ns : MONO_NEVER;
    message->lease_cap =
        message->visibility_ns > 0 ? queue->picked_at + lease_cap_ns(queue) : MONO_NEVER;
    handle->lease_cap = message->lease_cap;
    return message;
}

static void on_answer(void *context, mono_ns now)
{
    struct sim_queue *queue = context;
    struct message *messages[RECEIVE_MAX];

    for (uint32_t i = 0; i < queue->picked_count; i++) {
        messages[i] = message_from(queue, queue->picked[i]);
    }
    queue->asked = false;
    flow_received(queue->route->route, messages, queue->picked_count, queue->answer_error, now);
    queue->picked_count = 0;
}

void sim_queue_receive(struct sim_queue *queue, uint32_t max)
{
    struct sim *sim = queue->sim;
    uint32_t most = queue->config.receive_max;

    SL_ASSERT(!queue->asked && max > 0); /* I5: one at a time */
    queue->asked = true;
    queue->report.receives++;
    most = most == 0 || most > RECEIVE_MAX ? RECEIVE_MAX : most;
    queue->ask_max = max < most ? max : most;
    sim_clock_set(&sim->clock, &queue->asking,
                  sim->clock.now + sim_latency_draw(&queue->config.receive_latency, &sim->rng));
}

void sim_queue_cancel(struct sim_queue *queue)
{
    if (queue->polling) {
        answer(queue, ERR_CANCELED);
    }
}

/* ---- settling and extending ---- */

static void handle_unref(struct sim_handle *handle)
{
    struct sim_queue *queue = handle->record->queue;

    if (handle->message == NULL && handle->running == 0) {
        sim_record_unref(handle->record);
        list_remove(&queue->handles, &handle->all);
        free(handle);
    }
}

/* The server's side. A handle is stale once the message was received again; on a FIFO queue as soon
 * as its visibility ran out. */
static bool is_stale(const struct sim_handle *handle)
{
    const struct sim_record *record = handle->record;

    return handle->generation != record->generation ||
           (record->queue->config.groups > 0 && record->place != SIM_HIDDEN);
}

static int release_apply(struct sim_handle *handle, mono_ns now)
{
    struct sim_record *record = handle->record;

    if (record->place != SIM_HIDDEN) {
        return ERR_NOT_FOUND;
    }
    if (handle->delay_ns == 0) {
        on_visible(record, now);
        return 0;
    }
    SL_ASSERT(handle->lease_cap == MONO_NEVER ||
              now + handle->delay_ns <= handle->lease_cap + NS_PER_S);
    record_hide(record, now + handle->delay_ns);
    return 0;
}

static int settle_apply(struct sim_handle *handle, mono_ns now)
{
    struct sim_record *record = handle->record;

    if (record->place == SIM_GONE || record->place == SIM_DEAD) {
        return 0;
    }
    if (is_stale(handle)) {
        return ERR_NOT_FOUND;
    }
    if (handle->how == SETTLE_RELEASE) {
        return release_apply(handle, now);
    }
    if (handle->how == SETTLE_DEAD_LETTER) {
        record->queue->report.dead++;
        record->queue->report.dead_unscripted += record->scripted == 0 ? 1 : 0;
    }
    record_end(record, handle->how == SETTLE_DEAD_LETTER ? SIM_DEAD : SIM_GONE);
    return 0;
}

static void on_settle(void *context, mono_ns now)
{
    struct sim_handle *handle = context;
    struct sim_queue *queue = handle->record->queue;
    struct sim *sim = queue->sim;

    if (fails(queue, queue->config.settle_fail_share)) {
        handle->settle_error = ERR_TIMEOUT;
    } else {
        handle->settle_error = settle_apply(handle, now);
        if (is_answer_lost(queue)) {
            handle->settle_error = ERR_TIMEOUT;
        }
    }
    sim_clock_set(&sim->clock, &handle->settled, sim_process_at(sim, now));
}

static void on_settled(void *context, mono_ns now)
{
    struct sim_handle *handle = context;

    handle->running--;
    if (handle->message == NULL) {
        handle_unref(handle);
        return;
    }
    /* A standard queue takes a stale handle and does nothing; a FIFO queue says so. */
    int error = handle->settle_error;
    if (error == ERR_NOT_FOUND && handle->record->queue->config.groups == 0) {
        error = 0;
    }
    flow_settled(handle->message, error, now);
}

void sim_queue_settle(struct message *message, enum settle how, int64_t delay_ns)
{
    struct sim_handle *handle = message->source_data;
    struct sim_queue *queue = handle->record->queue;
    struct sim *sim = queue->sim;

    SL_ASSERT(how != SETTLE_LOST);
    handle->how = how;
    handle->delay_ns = delay_ns;
    handle->running++;
    handle->settle = (struct sim_event){.fire = on_settle, .context = handle};
    handle->settled = (struct sim_event){.fire = on_settled, .context = handle};
    sim_clock_set(&sim->clock, &handle->settle,
                  sim->clock.now + sim_latency_draw(&queue->config.settle_latency, &sim->rng));
}

static void on_extend(void *context, mono_ns now)
{
    struct sim_handle *handle = context;
    struct sim_record *record = handle->record;
    struct sim_queue *queue = record->queue;

    if (fails(queue, queue->config.extend_fail_share)) {
        handle->extend_error = ERR_TIMEOUT;
    } else if (record->place != SIM_HIDDEN || record->generation != handle->generation) {
        handle->extend_error = ERR_NOT_FOUND;
    } else {
        handle->extend_error = 0;
        handle->lease_until = now + handle->extension_ns;
        SL_ASSERT(handle->lease_until <= handle->lease_cap + NS_PER_S); /* SQS would refuse it */
        sim_clock_set(&queue->sim->clock, &record->hidden, handle->lease_until);
    }
    sim_clock_set(&queue->sim->clock, &handle->extended, sim_process_at(queue->sim, now));
}

static void on_extended(void *context, mono_ns now)
{
    struct sim_handle *handle = context;

    handle->running--;
    if (handle->message == NULL) {
        handle_unref(handle);
        return;
    }
    flow_extended(handle->message, handle->extend_error, handle->lease_until, now);
}

void sim_queue_extend(struct message *message)
{
    struct sim_handle *handle = message->source_data;
    struct sim_queue *queue = handle->record->queue;
    struct sim *sim = queue->sim;

    handle->running++;
    queue->report.extensions++;
    handle->extension_ns = message->extension_ns;
    handle->extend = (struct sim_event){.fire = on_extend, .context = handle};
    handle->extended = (struct sim_event){.fire = on_extended, .context = handle};
    sim_clock_set(&sim->clock, &handle->extend,
                  sim->clock.now + sim_latency_draw(&queue->config.settle_latency, &sim->rng));
}

void sim_queue_message_done(struct message *message)
{
    struct sim_handle *handle = message->source_data;
    struct sim_queue_report *report = &handle->record->queue->report;

    handle->message = NULL;
    handle->record->attempts = message->attempts;
    if (message->settled) {
        report->hand_backs += message->settle == SETTLE_RELEASE ? 1 : 0;
        report->receives_uncalled += message->calls == 0 ? 1 : 0;
    }
    if (message->attempts > report->attempts_max) {
        report->attempts_max = message->attempts;
    }
    handle_unref(handle);
}

/* ---- life ---- */

/* The process died: what it held without a lease is visible when the queue is opened again. */
void sim_queue_killed(struct sim_queue *queue)
{
    struct sim_clock *clock = &queue->sim->clock;

    sim_clock_clear(clock, &queue->asking);
    sim_clock_clear(clock, &queue->poll_end);
    sim_clock_clear(clock, &queue->answer);
    for (uint32_t i = 0; i < queue->picked_count; i++) {
        sim_record_unref(queue->picked[i]); /* hidden, and nobody knows */
    }
    queue->picked_count = 0;
    queue->asked = queue->polling = false;
    if (queue->config.visibility_ns == 0) {
        LIST_FOR(&queue->records, node)
        {
            struct sim_record *record = LIST_ENTRY(node, struct sim_record, all);
            if (record->place == SIM_HIDDEN) {
                record->generation++;
                on_visible(record, clock->now);
            }
        }
    }
}

bool sim_queue_is_empty(const struct sim_queue *queue)
{
    bool more = queue->config.arrivals_until > 0 && heap_is_linked(&queue->arrival.node);

    return queue->live == 0 && queue->bursts_left == 0 && !more;
}

static void queue_events(struct sim_queue *queue)
{
    queue->asking = (struct sim_event){.fire = on_asked, .context = queue};
    queue->poll_end = (struct sim_event){.fire = on_poll_end, .context = queue};
    queue->answer = (struct sim_event){.fire = on_answer, .context = queue};
    queue->arrival = (struct sim_event){.fire = on_arrival, .context = queue};
    queue->burst = (struct sim_event){.fire = on_burst, .context = queue};
}

struct sim_queue *sim_queue_new(struct sim *sim, const struct sim_queue_config *config)
{
    struct sim_queue *queue = MEM_NEW(struct sim_queue);
    mono_ns now = sim->clock.now;

    queue->sim = sim;
    queue->config = *config;
    queue->group_count = config->groups > 0    ? config->groups
                         : config->tenants > 0 ? config->tenants
                                               : 1;
    queue->groups = MEM_NEW_ARRAY(queue->group_count, struct sim_group);
    for (uint32_t i = 0; i < queue->group_count; i++) {
        list_init(&queue->groups[i].visible);
    }
    list_init(&queue->records);
    list_init(&queue->handles);
    queue->picked = MEM_NEW_ARRAY(RECEIVE_MAX, struct sim_record *);
    queue_events(queue);
    for (uint32_t i = 0; i < (config->endless ? ENDLESS_AHEAD : config->backlog); i++) {
        send_one(queue, next_group(queue), now);
    }
    queue->bursts_left = config->bursts;
    if (config->bursts > 0) {
        sim_clock_set(&sim->clock, &queue->burst, now + config->burst_every_ns);
    }
    if (config->arrivals_per_second > 0) {
        next_arrival(queue, now);
    }
    return queue;
}

void sim_queue_free(struct sim_queue *queue)
{
    LIST_FOR(&queue->handles, node)
    {
        free(LIST_ENTRY(node, struct sim_handle, all));
    }
    LIST_FOR(&queue->records, node)
    {
        struct sim_record *record = LIST_ENTRY(node, struct sim_record, all);
        list_remove(&queue->records, node);
        free(record);
    }
    free(queue->groups);
    free(queue->picked);
    free(queue->quiet_waits);
    free(queue);
}
