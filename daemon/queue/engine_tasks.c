/*
 * Message move tasks: dead letters go back where they came from, or to one queue. A task is a row
 * of the file, so it survives a restart; its messages go in small steps between other work. They
 * are new messages where they arrive. One pass: a message that is in somebody's hands when its turn
 * comes stays where it is.
 */
#include "engine_internal.h"

#include "sluice/sqs/arn.h"
#include "sluice/sqs/move_task.h"

#define STEP_ROWS_MAX 16 /* messages may be large */
#define TASKS_KEPT    10 /* of a queue, the running one included */
#define RATE_STEPS    10 /* steps a second, for rates that allow it */

static const char reason_no_queue[] = "AWS.SimpleQueueService.NonExistentQueue";
static const char reason_no_source[] = "CouldNotDetermineMessageSource";

/* ---- steps ---- */

struct task {
    struct queue *from;
    int64_t rate, moved, last_row;            /* rate 0: as fast as it goes */
    char destination[SQS_QUEUE_NAME_MAX + 1]; /* "": where each message came from */
};

struct candidate {
    int64_t row_id;
    struct row_state state;
    char source[SQS_QUEUE_NAME_MAX + 1];
};

struct step {
    struct candidate rows[STEP_ROWS_MAX];
    uint32_t count;
    uint32_t moved;
    uint32_t max; /* how many may be moved now */
    const char *failure;
};

static uint32_t step_max(int64_t rate)
{
    int64_t max = rate == 0 ? STEP_ROWS_MAX : rate / RATE_STEPS;
    return max < 1 ? 1 : max > STEP_ROWS_MAX ? STEP_ROWS_MAX : (uint32_t)max;
}

/* Steps at least so far apart keep any second within the rate. */
static int64_t step_interval_ms(int64_t rate)
{
    if (rate == 0) {
        return 0;
    }
    int64_t steps = rate / step_max(rate);
    return (1000 + steps - 1) / steps;
}

void engine_task_watch(struct engine *engine, struct queue *queue)
{
    const struct queue_task *task = &queue->state.task;
    if (task->row == 0) {
        return;
    }
    if (!list_is_linked(&queue->moving)) {
        list_push(&engine->tasks, &queue->moving);
    }
    engine->next_task = task->due < engine->next_task ? task->due : engine->next_task;
}

/* 1: read, 0: it is gone. */
static int read_task(struct engine *engine, struct queue *queue, struct task *ret)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TASK_READ);
    sqlite3_bind_int64(s, 1, queue->state.task.row);
    int rc = db_step(s);
    if (rc == 1) {
        *ret = (struct task){.from = queue,
                             .rate = sqlite3_column_int64(s, 1),
                             .moved = sqlite3_column_int64(s, 2),
                             .last_row = sqlite3_column_int64(s, 3)};
        str_copy(ret->destination, sizeof(ret->destination), db_column(s, 0));
        db_reset(s);
    }
    return rc;
}

static int update_task(struct engine *engine, int64_t row, int64_t moved,
                       enum sqs_move_status status, const char *failure)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TASK_UPDATE);
    sqlite3_bind_int64(s, 1, row);
    sqlite3_bind_int64(s, 2, moved);
    sqlite3_bind_int64(s, 3, status);
    db_bind_str(s, 4, str_from(failure));
    return db_run(s);
}

static int end_task(struct engine *engine, struct queue *queue, int64_t moved,
                    enum sqs_move_status status, const char *failure)
{
    int rc = update_task(engine, queue->state.task.row, moved, status, failure);
    if (rc == 0) {
        uint64_t count = queue->state.task_end.count + 1;
        queue->state.task_end = (struct queue_task_end){count, moved, status, failure};
        queue->state.task = (struct queue_task){.row = 0};
    }
    return rc;
}

static int read_candidates(struct engine *engine, const struct task *task, struct step *step)
{
    const struct queue *from = task->from;
    int64_t first = SCHEMA_ROW_ID(from->space, 0);
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_SPACE_MOVABLE);
    sqlite3_bind_int64(s, 1, from->state.task.from > first ? from->state.task.from : first);
    sqlite3_bind_int64(s, 2, task->last_row);
    sqlite3_bind_int64(s, 3, STEP_ROWS_MAX);
    int rc;
    while ((rc = db_step(s)) == 1) {
        struct candidate *row = &step->rows[step->count++];
        *row = (struct candidate){
            .row_id = sqlite3_column_int64(s, 0),
            .state = {.enqueued_at = sqlite3_column_int64(s, 1),
                      .visible_at = sqlite3_column_int64(s, 2),
                      .receive_count = sqlite3_column_int64(s, 3),
                      .group_key = sqlite3_column_int64(s, 4)},
        };
        str_copy(row->source, sizeof(row->source), db_column(s, 5));
    }
    return rc;
}

/* 1: it may be received now, 0: not. Of a FIFO group whose first message may not, none may. */
static int is_movable(struct engine *engine, const struct queue *from, const struct row_state *row)
{
    if (row->visible_at > engine->now || engine_is_expired(engine, from, row->enqueued_at)) {
        return 0;
    }
    if (row->group_key <= 0) {
        return 1;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_GROUP_DUE_AT);
    sqlite3_bind_int64(s, 1, row->group_key);
    int rc = db_step(s);
    if (rc == 1) {
        rc = sqlite3_column_int64(s, 0) <= engine->now;
        db_reset(s);
    }
    return rc;
}

static int move_one(struct engine *engine, const struct task *task, const struct candidate *row,
                    struct step *step)
{
    int rc = is_movable(engine, task->from, &row->state);
    if (rc != 1) {
        return rc;
    }
    const char *name = task->destination[0] != '\0' ? task->destination : row->source;
    struct queue *to = engine_queue(engine, str_from(name));
    if (to == NULL) {
        step->failure = name[0] == '\0' ? reason_no_source : reason_no_queue;
        return 0;
    }
    const struct engine_move move = {
        .from = task->from, .to = to, .row_id = row->row_id, .state = &row->state, .renew = true};
    rc = engine_row_move(engine, &move);
    step->moved += rc == 0;
    return rc;
}

static int step_task(struct engine *engine, struct queue *queue)
{
    struct task task;
    struct step step = {.count = 0};
    int rc = engine_touch(engine, queue);
    if (rc != 0) {
        return rc;
    }
    rc = read_task(engine, queue, &task);
    if (rc != 1) {
        queue->state.task = (struct queue_task){.row = 0};
        return rc;
    }
    step.max = step_max(task.rate);
    rc = read_candidates(engine, &task, &step);
    uint32_t i = 0;
    while (rc == 0 && i < step.count && step.moved < step.max && step.failure == NULL) {
        rc = move_one(engine, &task, &step.rows[i], &step);
        i += step.failure == NULL;
    }
    if (rc != 0) {
        return rc;
    }
    int64_t moved = task.moved + step.moved;
    if (step.failure != NULL) {
        return end_task(engine, queue, moved, SQS_MOVE_FAILED, step.failure);
    }
    if (i == step.count && step.count < STEP_ROWS_MAX) {
        return end_task(engine, queue, moved, SQS_MOVE_COMPLETED, NULL);
    }
    struct queue_task *state = &queue->state.task;
    state->from = step.rows[i - 1].row_id + 1;
    state->due = engine->now + (step.moved > 0 ? step_interval_ms(task.rate) : 0);
    return update_task(engine, state->row, moved, SQS_MOVE_RUNNING, NULL);
}

int engine_step_tasks(struct engine *engine)
{
    int64_t next = QUEUE_NEVER;
    LIST_FOR(&engine->tasks, node)
    {
        struct queue *queue = LIST_ENTRY(node, struct queue, moving);
        const struct queue_task *task = &queue->state.task;
        if (task->row == 0) {
            list_remove(&engine->tasks, node);
            continue;
        }
        int rc = task->due <= engine->now ? step_task(engine, queue) : 0;
        if (rc != 0) {
            return rc;
        }
        next = task->row != 0 && task->due < next ? task->due : next;
    }
    engine->next_task = next;
    return 0;
}

int engine_task_open(struct engine *engine, struct queue *queue)
{
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TASK_LIST);
    sqlite3_bind_int64(s, 1, queue->id);
    sqlite3_bind_int64(s, 2, 1);
    int rc = db_step(s);
    if (rc != 1) {
        return rc;
    }
    if (sqlite3_column_int64(s, 4) == SQS_MOVE_RUNNING) {
        /* When it was stepped last is not known: a second at most was begun. */
        queue->state.task = (struct queue_task){
            .row = sqlite3_column_int64(s, 0),
            .due = engine->now + (sqlite3_column_int64(s, 3) > 0 ? 1000 : 0),
        };
        engine_task_watch(engine, queue);
    }
    db_reset(s);
    return 0;
}

/* ---- the actions ---- */

/* Sets the error and returns NULL when there is no such queue. */
static struct queue *find_resource(struct engine *engine, struct store_request *request,
                                   struct str text, const char *parameter)
{
    struct sqs_arn arn;
    struct queue *queue = NULL;
    if (sqs_arn_parse(text, &arn) == 0 && engine_arn_is_ours(engine, request, &arn)) {
        queue = engine_queue(engine, arn.name);
    }
    if (queue == NULL) {
        (void)sqs_error_set(&request->error, SQS_ERROR_RESOURCE_NOT_FOUND,
                            "The resource that you specified for the %s parameter doesn't exist.",
                            parameter);
    }
    return queue;
}

static bool is_dead_letter_queue(struct engine *engine, const struct queue *queue)
{
    LIST_FOR(&engine->queues, node)
    {
        const struct queue *other = LIST_ENTRY(node, struct queue, node);
        if (str_equal(str_from(other->definition->dead_letter), queue_name(queue))) {
            return true;
        }
    }
    return false;
}

#define INVALID(request, text)                                                                     \
    sqs_error_set(&(request)->error, SQS_ERROR_INVALID_PARAMETER_VALUE, (text))

/* What the queues have to say to a new task. SQS_OK or the code of the error. */
static int check_start(struct engine *engine, struct store_request *request,
                       const struct queue *from)
{
    const struct sqs_start_move_task_in *in = request->input;
    if (!is_dead_letter_queue(engine, from)) {
        return INVALID(request, "Source queue must be configured as a Dead Letter Queue.");
    }
    if (in->destination_arn.ptr != NULL) {
        struct queue *to = find_resource(engine, request, in->destination_arn, "DestinationArn");
        if (to == NULL) {
            return (int)request->error.code;
        }
        if (to->fifo != from->fifo) {
            return INVALID(request, "The source queue and destination queue must be of the same "
                                    "queue type.");
        }
    }
    if (from->state.task.row != 0) {
        return INVALID(request, "There is already a task running. Only one active task is allowed "
                                "for a source queue arn at a given time.");
    }
    return SQS_OK;
}

static int insert_task(struct engine *engine, struct store_request *request, struct queue *queue,
                       struct str task_id)
{
    const struct sqs_start_move_task_in *in = request->input;
    struct sqs_arn destination = {.name = STR_NONE};
    if (in->destination_arn.ptr != NULL && sqs_arn_parse(in->destination_arn, &destination) != 0) {
        return ERR_INVALID;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TASK_TRIM);
    sqlite3_bind_int64(s, 1, queue->id);
    sqlite3_bind_int64(s, 2, TASKS_KEPT - 1);
    int rc = db_run(s);
    if (rc != 0) {
        return rc;
    }
    s = db_use(&engine->db, STATEMENT_TASK_INSERT);
    sqlite3_bind_int64(s, 1, queue->id);
    db_bind_str(s, 2, task_id);
    db_bind_str(s, 3, destination.name);
    if (in->max_per_second.set) {
        sqlite3_bind_int64(s, 4, in->max_per_second.value);
    } else {
        sqlite3_bind_null(s, 4);
    }
    sqlite3_bind_int64(s, 5, SQS_MOVE_RUNNING);
    sqlite3_bind_int64(s, 6, (int64_t)queue->state.counts[QUEUE_VISIBLE]);
    sqlite3_bind_int64(s, 7, SCHEMA_ROW_ID(queue->space, queue->next_sequence) - 1);
    sqlite3_bind_int64(s, 8, request->wall);
    rc = db_run(s);
    if (rc == 0) {
        int64_t row = sqlite3_last_insert_rowid(engine->db.handle);
        queue->state.task = (struct queue_task){.row = row, .due = engine->now};
        engine_task_watch(engine, queue);
    }
    return rc;
}

int engine_start_message_move_task(struct engine *engine, struct store_request *request)
{
    const struct sqs_start_move_task_in *in = request->input;
    if (sqs_validate_start_move_task(in, &request->error) != 0) {
        return 0;
    }
    struct queue *queue = find_resource(engine, request, in->source_arn, "SourceArn");
    int rc = queue == NULL ? 0 : engine_touch(engine, queue);
    if (rc != 0 || queue == NULL || check_start(engine, request, queue) != 0) {
        return rc;
    }
    uint8_t raw[16];
    engine_random_id(engine, raw);
    struct str task_id = engine_message_id(request->arena, raw);
    struct sqs_task_handle *out = engine_output(request, sizeof(*out));
    if (out == NULL || task_id.ptr == NULL) {
        return engine_out_of_memory(request);
    }
    out->task_handle = sqs_move_handle_write(request->arena, task_id, in->source_arn);
    if (out->task_handle.ptr == NULL) {
        return engine_out_of_memory(request);
    }
    return insert_task(engine, request, queue, task_id);
}

static struct sqs_int number(sqlite3_stmt *s, int column)
{
    return (struct sqs_int){.set = sqlite3_column_type(s, column) != SQLITE_NULL,
                            .value = sqlite3_column_int64(s, column)};
}

/* A row of STATEMENT_TASK_LIST as it is told. False: no memory. */
static bool describe(const struct engine *engine, struct store_request *request, sqlite3_stmt *s,
                     struct sqs_move_task *ret)
{
    const struct sqs_list_move_tasks_in *in = request->input;
    struct arena *arena = request->arena;
    struct str destination = db_column(s, 2);
    struct str failure = db_column(s, 8);
    int64_t status = sqlite3_column_int64(s, 4);
    if (status < 0 || status >= SQS_MOVE__COUNT) { /* a file edited by hand */
        status = SQS_MOVE_FAILED;
    }
    *ret = (struct sqs_move_task){
        .status = str_from(sqs_move_status_name((enum sqs_move_status)status)),
        .source_arn = in->source_arn,
        .max_per_second = number(s, 3),
        .moved = number(s, 5),
        .to_move = number(s, 6),
        .started_at = number(s, 7),
    };
    bool ok = true;
    if (status == SQS_MOVE_RUNNING) {
        ret->task_handle = sqs_move_handle_write(arena, db_column(s, 1), in->source_arn);
        ok = ret->task_handle.ptr != NULL;
    }
    if (ok && destination.ptr != NULL) {
        ret->destination_arn = sqs_arn_build(arena, engine_region(engine, request),
                                             str_from(engine->account), destination);
        ok = ret->destination_arn.ptr != NULL;
    }
    if (ok && failure.ptr != NULL) {
        ret->failure_reason = engine_text(arena, "%.*s", STR_FMT(failure));
        ok = ret->failure_reason.ptr != NULL;
    }
    return ok;
}

int engine_list_message_move_tasks(struct engine *engine, struct store_request *request)
{
    const struct sqs_list_move_tasks_in *in = request->input;
    if (sqs_validate_list_move_tasks(in, &request->error) != 0) {
        return 0;
    }
    const struct queue *queue = find_resource(engine, request, in->source_arn, "SourceArn");
    if (queue == NULL) {
        return 0;
    }
    int64_t max = in->max_results.set ? in->max_results.value : 1;
    struct sqs_list_move_tasks_out *out = engine_output(request, sizeof(*out));
    if (out == NULL) {
        return 0;
    }
    out->results.items = arena_alloc(request->arena, (size_t)max * sizeof(*out->results.items));
    bool ok = out->results.items != NULL;
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TASK_LIST);
    sqlite3_bind_int64(s, 1, queue->id);
    sqlite3_bind_int64(s, 2, max);
    int rc = 0;
    while (ok && (rc = db_step(s)) == 1) {
        ok = describe(engine, request, s, &out->results.items[out->results.count++]);
        out->results.set = true;
    }
    if (!ok) {
        db_reset(s);
        return engine_out_of_memory(request);
    }
    return rc;
}

/* What the handle names. 1: found, 0: request->error is set; negative: error of the file. */
static int find_task(struct engine *engine, struct store_request *request, struct queue **ret_queue,
                     int64_t *ret_status, int64_t *ret_moved)
{
    const struct sqs_task_handle *in = request->input;
    struct sqs_move_handle handle;
    if (sqs_move_handle_read(in->task_handle, request->arena, &handle, &request->error) != 0) {
        return 0;
    }
    *ret_queue = find_resource(engine, request, handle.source_arn, "SourceArn");
    if (*ret_queue == NULL) {
        return 0;
    }
    sqlite3_stmt *s = db_use(&engine->db, STATEMENT_TASK_FIND);
    sqlite3_bind_int64(s, 1, (*ret_queue)->id);
    db_bind_str(s, 2, handle.task_id);
    int rc = db_step(s);
    if (rc == 1) {
        *ret_status = sqlite3_column_int64(s, 1);
        *ret_moved = sqlite3_column_int64(s, 2);
        db_reset(s);
    } else if (rc == 0) {
        (void)sqs_error_set(&request->error, SQS_ERROR_RESOURCE_NOT_FOUND, "Task does not exist.");
    }
    return rc;
}

int engine_cancel_message_move_task(struct engine *engine, struct store_request *request)
{
    struct queue *queue = NULL;
    int64_t status = SQS_MOVE_FAILED;
    int64_t moved = 0;
    int rc = find_task(engine, request, &queue, &status, &moved);
    if (rc != 1) {
        return rc;
    }
    if (status != SQS_MOVE_RUNNING) {
        (void)INVALID(request, "Only active tasks can be cancelled.");
        return 0;
    }
    struct sqs_cancel_move_task_out *out = engine_output(request, sizeof(*out));
    if (out == NULL) {
        return 0;
    }
    out->moved = (struct sqs_int){.set = true, .value = moved};
    rc = engine_touch(engine, queue);
    return rc != 0 ? rc : end_task(engine, queue, moved, SQS_MOVE_CANCELLED, NULL);
}
