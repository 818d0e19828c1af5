/*
 * letter: what is kept of a message's last attempt for those who hear of it when it is over: the
 * marks of a dead letter, the record for a destination, and how far its settlement has come.
 * Belongs to the message's parcel.
 */
#ifndef SLUICE_DELIVER_LETTER_H
#define SLUICE_DELIVER_LETTER_H

#include "delivery_internal.h"
#include "destination_record.h"
#include "destination_send.h"

#include "sluice/sqs/marks.h"

#define LETTER_ERROR_SIZE 128

struct letter {
    char error[LETTER_ERROR_SIZE]; /* why the last attempt has no answer: code, text; "" */
    char *answer;                  /* body of the last answer, only where a destination wants it */
    size_t answer_len;
    bool answer_cut;
    bool done_before; /* the answer is of an earlier call */
    /* its settlement */
    bool sent; /* the destination has the record */
    bool lean; /* the destination refused the record with payloads */
    struct buf record;
    struct destination_send send;
    struct sqs_marks marks; /* point to the texts */
    char status[16], attempts[16];
    char first_attempt[DESTINATION_TIME_SIZE], last_attempt[DESTINATION_TIME_SIZE];
};

/* The message's letter, made when it has none. */
struct letter *letter_of(struct message *message);
/* The end of an attempt: keeps its error, and its answer where the route has a destination. */
void letter_keep(struct message *message, const struct http_result *result);
/* Its work was done before, with that answer (STR_NONE: not kept): as if it had come now. */
void letter_restore(struct message *message, int status, struct str answer);
/* Fills letter->marks. */
void letter_mark(struct message *message, mono_ns now, wall_ms wall);
void letter_free(struct letter *letter); /* NULL: nothing */

#endif
