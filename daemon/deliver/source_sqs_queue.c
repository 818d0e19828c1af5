#include "source_sqs_internal.h"

#include "sluice/base/json.h"
#include "sluice/runtime/log.h"

#define ATTRIBUTES_PAUSE_MAX_NS (30 * NS_PER_S)
/* Long polls say nothing of it when so many messages are in flight that SQS hands out no more. */
#define IN_FLIGHT_MAX      120000
#define IN_FLIGHT_MAX_FIFO 20000
#define EMPTY_MANY         3                 /* receives in a row, a minute */
#define LOOK_NS            (1800 * NS_PER_S) /* a request that is paid for */

static void ask_attributes(struct sqs_source *self);

static void take_redrive_policy(struct sqs_source *self, struct str policy)
{
    struct json json;

    if (json_parse(&json, policy, JSON_STRICT, NULL) != 0) {
        return;
    }
    self->has_dead_letter =
        sqs_client_url_of_arn(self->client, json_string(json_get(json.root, "deadLetterTargetArn")),
                              self->dead_letter_url, sizeof(self->dead_letter_url)) == 0;
    json_done(&json);
}

/* Said once in a row of failures. */
static void attributes_failed(struct sqs_source *self, const struct sqs_client_answer *answer,
                              mono_ns now)
{
    if (answer->error == ERR_CANCELED || self->stopped) {
        return;
    }
    if (self->attributes_pause_ns == NS_PER_S) {
        LOG_WARNING("the queue's attributes could not be read",
                    LOG_STR("route", source_sqs_route_name(self)),
                    LOG_STR("queue", self->queue_url), LOG_ERR("error", answer->error),
                    LOG_STR("reason", answer->reason));
    }
    loop_timer_set(self->loop, &self->attributes_retry, now + self->attributes_pause_ns);
    self->attributes_pause_ns = mono_min(2 * self->attributes_pause_ns, ATTRIBUTES_PAUSE_MAX_NS);
}

static int64_t number_of(const struct sqs_get_queue_attributes_out *out, const char *name)
{
    int64_t number = 0;

    for (uint32_t i = 0; i < out->attributes.count; i++) {
        const struct sqs_pair *pair = &out->attributes.items[i];
        if (str_equal(pair->name, str_from(name)) &&
            str_to_i64(pair->value, 0, INT64_MAX, &number) != 0) {
            number = 0;
        }
    }
    return number;
}

static void look_at_crowd(struct sqs_source *self, const struct sqs_get_queue_attributes_out *out)
{
    bool fifo = str_ends_with(str_from(self->queue_url), STR(".fifo"));
    int64_t visible = number_of(out, "ApproximateNumberOfMessages");
    int64_t in_flight = number_of(out, "ApproximateNumberOfMessagesNotVisible");

    if (visible == 0 || in_flight < (fifo ? IN_FLIGHT_MAX_FIFO : IN_FLIGHT_MAX)) {
        self->told_crowded = false;
    } else if (!self->told_crowded) {
        self->told_crowded = true;
        LOG_WARNING("SQS hands out no message: as many are in flight as it allows. Some receiver "
                    "does not delete what it receives, or its visibility timeout is too long",
                    LOG_STR("route", source_sqs_route_name(self)),
                    LOG_STR("queue", self->queue_url), LOG_I64("visible", visible),
                    LOG_I64("in_flight", in_flight));
    }
}

static void on_attributes(void *context, const struct sqs_client_answer *answer, mono_ns now)
{
    struct sqs_source *self = context;
    const struct sqs_get_queue_attributes_out *out = answer->output;

    if (answer->error != 0) {
        attributes_failed(self, answer, now);
        return;
    }
    self->attributes_pause_ns = NS_PER_S;
    self->has_dead_letter = false;
    for (uint32_t i = 0; i < out->attributes.count; i++) {
        const struct sqs_pair *pair = &out->attributes.items[i];
        if (str_equal(pair->name, STR("RedrivePolicy"))) {
            take_redrive_policy(self, pair->value);
        } else if (str_equal(pair->name, STR("MessageRetentionPeriod")) &&
                   str_to_i64(pair->value, 1, INT32_MAX, &self->retention_s) != 0) {
            self->retention_s = 0;
        }
    }
    look_at_crowd(self, out);
    source_dead_letter(&self->source, self->has_dead_letter);
}

static void ask_attributes(struct sqs_source *self)
{
    struct sqs_client_call *running;
    int error = sqs_client_call(self->client, SQS_GET_QUEUE_ATTRIBUTES, &self->attributes_in,
                                SQS_CALL_TIMEOUT_NS, on_attributes, self, &running);

    SL_ASSERT(error == 0);
}

static void on_attributes_retry(void *context, mono_ns now)
{
    (void)now;
    ask_attributes(context);
}

void source_sqs_queue_init(struct sqs_source *self)
{
    self->asked_queue_attributes[0] = STR("RedrivePolicy");
    self->asked_queue_attributes[1] = STR("MessageRetentionPeriod");
    self->asked_queue_attributes[2] = STR("ApproximateNumberOfMessages");
    self->asked_queue_attributes[3] = STR("ApproximateNumberOfMessagesNotVisible");
    self->attributes_in.queue_url = str_from(self->queue_url);
    self->attributes_in.names = (struct sqs_strings){self->asked_queue_attributes, 4, true};
    self->attributes_pause_ns = NS_PER_S;
    self->attributes_retry = (struct loop_timer){.callback = on_attributes_retry, .context = self};
    ask_attributes(self);
}

void source_sqs_queue_received(struct sqs_source *self, uint32_t count, mono_ns now)
{
    self->empty_in_a_row = count > 0 ? 0 : self->empty_in_a_row + 1;
    if (self->empty_in_a_row >= EMPTY_MANY && now >= self->look_again && !self->stopped) {
        self->look_again = mono_add(now, LOOK_NS);
        ask_attributes(self);
    }
}
