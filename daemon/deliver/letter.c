#include "letter.h"

#include "sluice/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct letter *letter_of(struct message *message)
{
    struct parcel *parcel = delivery_parcel(message);

    if (parcel->letter == NULL) {
        parcel->letter = MEM_NEW(struct letter);
    }
    return parcel->letter;
}

void letter_free(struct letter *letter)
{
    if (letter != NULL) {
        free(letter->answer);
        buf_done(&letter->record);
        free(letter);
    }
}

static void keep_answer(struct letter *letter, struct str body)
{
    struct str kept = destination_cut(body, DESTINATION_ANSWER_MAX);

    letter->answer = mem_dup(kept.ptr, kept.len);
    letter->answer_len = kept.len;
    letter->answer_cut = kept.len < body.len;
}

void letter_keep(struct message *message, const struct http_result *result)
{
    const struct delivery_route *r = delivery_route_of(message);
    const struct parcel *parcel = message->user;
    bool wanted = r->destinations[DELIVERY_SUCCESS].destination != NULL ||
                  r->destinations[DELIVERY_FAILURE].destination != NULL;
    struct letter *letter;
    char code[16];

    if (result->error == 0 && !wanted && (parcel == NULL || parcel->letter == NULL)) {
        return; /* the usual case */
    }
    letter = letter_of(message);
    letter->error[0] = '\0';
    free(letter->answer);
    letter->answer = NULL;
    if (result->error != 0) {
        (void)snprintf(letter->error, sizeof(letter->error), "%s%s%.100s",
                       instruments_code(result->status, result->error, code),
                       result->detail[0] != '\0' ? ": " : "", result->detail);
    } else if (wanted) {
        keep_answer(letter, result->body);
    }
}

void letter_restore(struct message *message, int status, struct str answer)
{
    const struct delivery_route *r = delivery_route_of(message);

    if (r->destinations[DELIVERY_SUCCESS].destination == NULL) {
        return;
    }
    struct letter *letter = letter_of(message);
    free(letter->answer);
    letter->answer = NULL;
    letter->done_before = true;
    message->last_status = status;
    if (answer.ptr != NULL) {
        keep_answer(letter, answer);
        letter->answer_cut = answer.len >= DESTINATION_ANSWER_MAX;
    }
}

static struct str time_of(mono_ns at, mono_ns now, wall_ms wall, char out[DESTINATION_TIME_SIZE])
{
    destination_time(wall - (now - at) / NS_PER_MS, out);
    return str_from(out);
}

void letter_mark(struct message *message, mono_ns now, wall_ms wall)
{
    const struct delivery_route *r = delivery_route_of(message);
    struct letter *letter = letter_of(message);
    struct str *values = letter->marks.values;

    letter->marks = (struct sqs_marks){.values = {STR_NONE}};
    values[SQS_MARK_REASON] = str_from(give_up_name(message->give_up));
    values[SQS_MARK_ROUTE] = str_from(r->name);
    values[SQS_MARK_QUEUE] = str_from(r->queue);
    (void)snprintf(letter->attempts, sizeof(letter->attempts), "%u", message->attempts);
    values[SQS_MARK_ATTEMPTS] = str_from(letter->attempts);
    if (message->calls > 0 && message->last_status > 0) {
        (void)snprintf(letter->status, sizeof(letter->status), "%d", message->last_status);
        values[SQS_MARK_STATUS] = str_from(letter->status);
    }
    values[SQS_MARK_ERROR] = str_from(letter->error);
    if (message->first_attempt_at != MONO_NEVER) {
        values[SQS_MARK_FIRST_ATTEMPT] =
            time_of(message->first_attempt_at, now, wall, letter->first_attempt);
    }
    if (message->calls > 0) {
        values[SQS_MARK_LAST_ATTEMPT] =
            time_of(message->attempt_started_at, now, wall, letter->last_attempt);
    }
}
