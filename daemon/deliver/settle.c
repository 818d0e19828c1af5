/*
 * The last way of a message, in steps: its destination has the record, then its queue is told. A
 * step that failed ends the settlement with its error; the flow begins it again after a wait, and
 * what was done already is not done again. A process that is killed between two steps does them all
 * again when the message comes back: a destination may hear of a message twice, never not at all.
 *
 * A message handed back (RELEASE) is not over: only its queue is told.
 *
 * Fault points: settle.begin (nothing is done), settle.destination (the destination has the record,
 * the queue was not told), settle.source (the queue was told).
 */
#include "delivery_internal.h"
#include "letter.h"

#include "sluice/base/digest.h"
#include "sluice/base/fault.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/log.h"

static struct letter *letter_or_none(const struct message *message)
{
    const struct parcel *parcel = message->user;

    return parcel == NULL ? NULL : parcel->letter;
}

static bool is_sent(const struct message *message)
{
    const struct letter *letter = letter_or_none(message);

    return letter != NULL && letter->sent;
}

const struct sqs_marks *source_marks(const struct message *message)
{
    return &letter_or_none(message)->marks;
}

/* ---- the queue ---- */

static void tell_source(struct message *message)
{
    struct delivery_route *r = delivery_route_of(message);
    enum settle how = message->settle;

    if (r->d->stopped) {
        return; /* its queue will hand it out again */
    }
    if (how == SETTLE_DEAD_LETTER && !r->source_has_dead_letter && is_sent(message)) {
        how = SETTLE_ACK; /* the destination is its last place */
    }
    if (how == SETTLE_DEAD_LETTER) {
        letter_mark(message, loop_now(), loop_wall());
    }
    r->source->ops->settle(r->source, message, how, message->settle_delay_ns);
}

void source_settled(struct message *message, int error, mono_ns now)
{
    struct delivery_route *r = delivery_route_of(message);

    if (error == 0 && FAULT("settle.source")) {
        error = ERR_IO; /* the answer was lost: telling again does no harm */
    }
    if (error == ERR_UNSUPPORTED && message->settle == SETTLE_DEAD_LETTER && is_sent(message) &&
        !r->d->stopped) {
        r->source->ops->settle(r->source, message, SETTLE_ACK, 0);
        return;
    }
    flow_settled(message, error, now);
}

/* ---- the destination ---- */

static struct delivery_destination *destination_of(const struct message *message)
{
    struct delivery_route *r = delivery_route_of(message);
    enum delivery_end end = message->settle == SETTLE_ACK ? DELIVERY_SUCCESS : DELIVERY_FAILURE;

    if (message->settle == SETTLE_RELEASE || r->destinations[end].destination == NULL) {
        return NULL;
    }
    return &r->destinations[end];
}

static struct str build_record(void *context)
{
    const struct message *message = context;
    const struct delivery_route *r = delivery_route_of(message);
    struct letter *letter = letter_or_none(message);
    struct destination_record record = {
        .at = loop_wall(),
        .message_id = message->id,
        .route = str_from(r->name),
        .queue = str_from(r->queue),
        .body = delivery_original(message),
        .give_up = message->settle == SETTLE_ACK ? GIVE_UP_NONE : message->give_up,
        .attempts = message->attempts,
        .called = message->calls > 0 || letter->done_before,
        .status = message->last_status,
        .error = letter->error[0] != '\0' ? letter->error : NULL,
        .answer = {letter->answer, letter->answer_len},
        .answer_cut = letter->answer_cut,
        .lean = letter->lean,
    };
    int error;

    buf_done(&letter->record);
    buf_init(&letter->record, DESTINATION_RECORD_MAX);
    error = destination_record_write(&record, &letter->record);
    if (error == ERR_NOMEM) {
        record.lean = true;
        error = destination_record_write(&record, &letter->record);
    }
    SL_ASSERT(error == 0);
    return buf_str(&letter->record);
}

/* Once when an outage begins and once when it ends. */
static void note_failure(struct delivery_route *r, struct delivery_destination *to,
                         const struct message *message, int error, const char *reason)
{
    char trace_id[33];

    metric_add(to->failed, 1);
    if (to->failures++ > 0) {
        return;
    }
    digest_hex(message->trace.trace_id, sizeof(message->trace.trace_id), trace_id);
    LOG_WARNING("a destination did not take a record: its message waits, and others like it; the "
                "route stops receiving when it holds too many",
                LOG_STR("route", r->name),
                LOG_STR("destination", destination_name(to->destination)),
                LOG_SLICE("function_request_id", message->id), LOG_ERR("error", error),
                LOG_STR("reason", reason), LOG_STR("trace_id", trace_id));
}

static void note_success(struct delivery_route *r, struct delivery_destination *to)
{
    metric_add(to->sent, 1);
    if (to->failures > 0) {
        LOG_INFO("the destination takes records again", LOG_STR("route", r->name),
                 LOG_STR("destination", destination_name(to->destination)),
                 LOG_I64("failures", to->failures));
        to->failures = 0;
    }
}

static void on_sent(void *context, int error, bool refused, const char *reason, mono_ns now)
{
    struct message *message = context;
    struct letter *letter = letter_or_none(message);
    struct delivery_route *r = delivery_route_of(message);
    struct delivery_destination *to = destination_of(message);

    buf_done(&letter->record);
    if (error != 0) {
        note_failure(r, to, message, error, reason);
        letter->lean = letter->lean || refused;
        flow_settled(message, ERR_IO, now); /* other codes say something of the queue */
        return;
    }
    note_success(r, to);
    letter->sent = true;
    if (FAULT("settle.destination")) {
        flow_settled(message, ERR_IO, now);
        return;
    }
    tell_source(message);
}

static void tell_destination(struct message *message)
{
    struct delivery_destination *to = destination_of(message);
    struct letter *letter;

    if (to == NULL || is_sent(message)) {
        tell_source(message);
        return;
    }
    letter = letter_of(message);
    letter->send = (struct destination_send){
        .record = build_record,
        .message_id = message->id,
        .group = message->group,
        .trace = &message->trace,
        .trace_header = message->trace_header,
        .condition = message->settle == SETTLE_ACK ? "success" : "failure",
        .done = on_sent,
        .context = message,
    };
    destination_send(to->destination, &letter->send);
}

/* ---- all of it ---- */

void delivery_settle(struct message *message, enum settle how, int64_t delay_ns)
{
    SL_ASSERT(message->settle == how && message->settle_delay_ns == delay_ns);
    (void)FAULT("settle.begin");
    tell_destination(message);
}
