/*
 * store: the embedded queue as the rest of the daemon sees it: asynchronous operations on one
 * SQLite file, done by one thread in the order of submission, many to a commit. A completion means:
 * synced.
 *
 * An operation is the caller's structure; it completes exactly once, never before submit returned,
 * on the loop's thread. Long polls wait inside the store without polling: a waiter is served by the
 * send, expiry or release that makes a message visible.
 *
 * Two kinds of receive: for SQS clients (visibility timeout, receipt handle) and for routes (held:
 * the message belongs to this process, without expiry, until it is settled; what a killed process
 * held is visible again when the file is next opened). Thread: all functions on the loop's thread.
 */
#ifndef SLUICE_QUEUE_STORE_H
#define SLUICE_QUEUE_STORE_H

#include "sluice/base/clock.h"
#include "sluice/base/heap.h"
#include "sluice/base/list.h"
#include "sluice/base/mem.h"
#include "sluice/runtime/calendar.h"
#include "sluice/runtime/loop.h"
#include "sluice/sqs/actions.h"
#include "sluice/sqs/error.h"
#include "sluice/sqs/marks.h"

struct store;

struct store_config {
    const char *path;           /* of the database file */
    struct str region, account; /* of ARNs */
    bool sixty_second_rules;    /* AWS's: one purge a minute, a deleted name is free after one */
};

/* Opens or creates the file, migrates, releases what a dead process held, starts the thread. Takes
 * the time of an integrity glance (header, application id, schema version): milliseconds.
 * ERR_CORRUPT, ERR_VERSION, ERR_DENIED … with *e telling what is wrong and how to recover; the file
 * is left untouched then. */
SL_MUST_CHECK int store_open(struct loop *loop, const struct store_config *config,
                             struct store **ret, struct error *e);
/* Waiting receives complete empty; pending operations are done; the thread ends; the file is
 * closed; then closed(context) on the loop and the store is freed. */
void store_close(struct store *store, void (*closed)(void *context), void *context);

/* Private: the place of an operation inside the store. Zero-initialised by the caller. */
struct queue;
struct store_op {
    struct list_node node, canceled_node;
    struct heap_node deadline;
    struct queue *waits_for; /* the queue among whose waiters it is */
    mono_ns deadline_at;     /* 0: not yet known */
    int kind;
    bool parked, canceled, done;
};

/* ---- SQS actions ---- */
struct store_request {
    enum sqs_action action;
    const void *input;   /* struct sqs_…_in of the action, borrowed until completion */
    struct str endpoint; /* "http://host:port" for queue URLs in answers; borrowed */
    struct str region;   /* of ARNs in answers; empty: the configured one; borrowed */
    struct arena *arena; /* of the request: answers are allocated there, by the store's thread */
    wall_ms wall;        /* SentTimestamp */
    void (*done)(void *context, struct store_request *request);
    void *context;
    /* answer */
    void *output; /* struct sqs_…_out, NULL for void actions */
    struct sqs_error error;
    struct store_op op;
};
void store_submit(struct store *store, struct store_request *request);
/* A waiting receive completes soon with no messages (the client went away). Harmless otherwise. */
void store_cancel(struct store *store, struct store_request *request);

/* ---- for routes ---- */
struct store_held { /* one message held by this process */
    int64_t row_id;
    struct str message_id, body, group_id;
    struct sqs_attributes attributes;
    struct str trace_header; /* AWSTraceHeader or STR_NONE */
    struct str sender_id, sequence_number, deduplication_id, source_arn; /* likewise */
    wall_ms sent_at, first_received_at;
    uint32_t receive_count; /* this receive included */
};
struct store_hold {   /* receive up to max messages for a route; waits until something is there or
                         canceled */
    struct str queue; /* name, borrowed */
    uint32_t max;
    struct arena *arena;
    void (*done)(void *context, struct store_hold *hold);
    void *context;
    struct store_held *messages; /* answer, in arena */
    uint32_t count;
    int error; /* ERR_NOT_FOUND: no such queue; ERR_CANCELED, ERR_CLOSED; ERR_FULL, ERR_IO: try
                  again later */
    struct store_op op;
};
void store_hold(struct store *store, struct store_hold *hold);
void store_hold_cancel(struct store *store, struct store_hold *hold);

enum store_settle_how {
    STORE_SETTLE_DELETE,
    STORE_SETTLE_RELEASE,     /* visible after delay_ms; uncount: the receive is taken back (no call
                                 that counts was made) */
    STORE_SETTLE_DEAD_LETTER, /* move to the queue's dead-letter queue */
};
struct store_settle {
    struct str queue;
    int64_t row_id;
    enum store_settle_how how;
    int64_t delay_ms;
    bool uncount;
    const struct sqs_marks *marks; /* DEAD_LETTER: what it says of itself, borrowed; or NULL */
    void (*done)(void *context, struct store_settle *settle);
    void *context;
    int error; /* ERR_NOT_FOUND: purged meanwhile: nothing to do; ERR_UNSUPPORTED: no dead-letter
                * queue; ERR_FULL, ERR_IO …: nothing happened, try again later */
    struct store_op op;
};
void store_settle(struct store *store, struct store_settle *settle);

/* ---- what routes remember ---- */
#define STORE_RECORD_KEY_BYTES 16
#define STORE_ANSWER_MAX_BYTES ((size_t)64 << 10)

enum store_record_kind {
    STORE_RECORD_RETRY, /* of a message: how often it was tried */
    STORE_RECORD_WORK,  /* of the work a key names: begun, or done */
};
enum store_work { STORE_WORK_NONE, STORE_WORK_IN_PROGRESS, STORE_WORK_DONE };
struct store_record {
    enum store_record_kind kind;
    uint8_t key[STORE_RECORD_KEY_BYTES];
    int64_t expires_in_ms; /* to write; what is over is as good as absent */
    bool found;            /* answer of GET, BEGIN: one was there, and is in the members below */
    /* RETRY */
    uint32_t attempts, backoffs;
    int64_t age_ms; /* since the first attempt */
    /* WORK */
    enum store_work state;
    int status;        /* of the answer that ended it; 0: not kept */
    struct str answer; /* at most STORE_ANSWER_MAX_BYTES; read: in the arena, borrowed to write. Not
                          kept while the disk is nearly full */
};
enum store_records_how {
    STORE_RECORDS_GET,
    STORE_RECORDS_PUT,    /* in place of what there was */
    STORE_RECORDS_BEGIN,  /* the state IN_PROGRESS, unless one is found: then nothing changes. An
                             IN_PROGRESS one is replaced (and not found) with take_over */
    STORE_RECORDS_DELETE, /* no error if there is none */
};
struct store_records {
    enum store_records_how how;
    struct str route; /* borrowed */
    struct store_record *items;
    uint32_t count;
    bool take_over;
    struct arena *arena; /* of answers; NULL: they are not wanted */
    void (*done)(void *context, struct store_records *records);
    void *context;
    bool any;  /* answer of GET: the route has records of the first item's kind */
    int error; /* ERR_FULL, ERR_IO …: nothing happened; ERR_CLOSED */
    struct store_op op;
};
void store_records(struct store *store, struct store_records *records);

/* ---- looking without receiving ---- */
#define STORE_PEEK_ROWS 1000 /* that one page looks at, whether it shows them or not */
/* Messages of a queue, oldest first, a page at a time: nothing about them changes. Visible ones;
 * also those that are not (in flight, held by a route, or behind one of their FIFO group that is)
 * and delayed ones when asked for. All attributes, no receipt handle; with IsVisible and IsDelayed
 * among the system attributes when the one or the other kind was asked for. */
struct store_peek {
    struct str queue;  /* name, borrowed */
    struct str region; /* of ARNs; empty: the configured one; borrowed */
    bool invisible, delayed;
    int64_t from;        /* 0: the oldest; else `next` of the page before */
    struct arena *arena; /* what the messages point to */
    void (*done)(void *context, struct store_peek *peek);
    void *context;
    struct sqs_message *messages; /* room for max of them, caller's; a page adds to count */
    uint32_t count, max;
    uint32_t before; /* private: count at the page's beginning; a page may be read twice */
    int64_t next;    /* answer: where the next page begins; 0: there is none */
    bool full;       /* answer: the arena has no room for the message at next */
    int error;       /* ERR_NOT_FOUND: no such queue; ERR_CLOSED, ERR_IO … */
    struct store_op op;
};
void store_peek(struct store *store, struct store_peek *peek);

/* ---- saved limits ---- */
#define STORE_QUOTA_ROWS_MAX 2048
struct store_quota_row { /* calls that arrived in [period, until), in ms */
    int64_t period, until;
    uint64_t used;
};
enum store_quota_how { STORE_QUOTA_LOAD, STORE_QUOTA_SAVE };
/* What is known of a limit's calls beyond the life of this process: read it, or write some rows and
 * its state, both at once. */
struct store_quota {
    struct str name; /* of the limit, borrowed */
    enum store_quota_how how;
    bool add;                     /* SAVE: what the rows say is added to what is there */
    int64_t forget_before;        /* SAVE: rows of periods before it are deleted */
    struct store_quota_row *rows; /* caller's; LOAD: room for STORE_QUOTA_ROWS_MAX */
    uint32_t count;               /* LOAD: answer, the latest first */
    bool found;                   /* LOAD: answer, whether there is a state */
    uint64_t outstanding;
    int64_t clock_ms;
    uint32_t mark;               /* number of this record; 0: none */
    struct calendar_stamp stamp; /* of this record */
    void (*done)(void *context, struct store_quota *quota);
    void *context;
    int error; /* ERR_FULL, ERR_IO …: nothing happened, try again later; ERR_CLOSED */
    struct store_op op;
};
void store_quota(struct store *store, struct store_quota *quota);

/* ---- backup ---- */
#define STORE_BACKUP_PATH_MAX 1024
enum store_backup_state {
    STORE_BACKUP_NONE,
    STORE_BACKUP_RUNNING,
    STORE_BACKUP_DONE,
    STORE_BACKUP_FAILED,
};
struct store_backup_status {
    enum store_backup_state state;
    char path[STORE_BACKUP_PATH_MAX];
    uint64_t pages_done, pages_total;
    uint64_t bytes, messages; /* DONE: what the file holds */
    struct error error;       /* FAILED */
};
/* Begins to copy the queue file to path, which must be absolute, while operations go on; what was
 * answered before is in the copy. replace: a queue file at path may be replaced (nothing else ever
 * is). ERR_BUSY: another one is running; ERR_INVALID: the path; ERR_CLOSED. Everything else that
 * goes wrong is told by the status. */
SL_MUST_CHECK int store_backup_start(struct store *store, const char *path, bool replace);
void store_backup_status(struct store *store, struct store_backup_status *ret);

/* Declares a queue of the configuration: creates it or sets its attributes (and its dead-letter
 * policy). Completes like the rest; error text says what contradicts. Uses the SQS attribute names.
 */
/* (CreateQueue + SetQueueAttributes through store_submit; see deliver.) */

struct store_queue_stats {
    char name[81];
    char dead_letter[81]; /* "": none */
    uint64_t visible, in_flight, delayed;
    wall_ms oldest_sent_at;                                   /* of the visible ones; 0 when none */
    uint64_t sent, received, deleted, dead_lettered, expired; /* since start */
};
struct store_stats {
    uint64_t commits, operations; /* since start: operations / commits = group size */
    int64_t last_commit_ns, longest_commit_ns;
    int error; /* of the last commit: ERR_FULL (also: nearly full, messages are refused),
                  ERR_READ_ONLY … 0: fine. ERR_CORRUPT stays until the file is opened again */
};
/* Snapshot kept up to date by the store's thread after each commit (mutex, no waiting for SQLite).
 * Returns the number of queues; fills at most max. */
uint32_t store_queue_stats(struct store *store, struct store_queue_stats *ret, uint32_t max);
void store_stats(struct store *store, struct store_stats *ret);

#endif
