/*
 * The store in a process that is killed at its worst moments (the fault points around a commit):
 * what was answered is in the file, what was deleted does not come back, and nothing is there
 * twice.
 */
#include "support/queue_kit.h"

#include "sluice/runtime/loop.h"

#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/wait.h>

#define LANES       8
#define NUMBERS_MAX 20000
#define DEADLINE_S  60

#ifdef SLUICE_FAULTS

struct lane {
    struct client *client;
    struct store_request request;
    struct arena arena;
    struct sqs_send_message_in send;
    struct sqs_receive_in receive;
    struct sqs_handle_in delete;
    char body[16], handle[64];
    int number;
    bool sends; /* the others receive and delete */
};

struct client {
    struct store *store;
    int answers; /* pipe: '+' or '-' and the number */
    int next_number;
    struct lane lanes[LANES];
};

static void lane_next(struct lane *lane);

static void tell(struct client *client, char what, int number)
{
    struct {
        char what;
        int number;
    } line = {what, number};
    SL_ASSERT(write(client->answers, &line, sizeof(line)) == (ssize_t)sizeof(line));
}

static void on_sent(void *context, struct store_request *request)
{
    struct lane *lane = context;
    SL_ASSERT(request->error.code == SQS_OK);
    tell(lane->client, '+', lane->number);
    lane_next(lane);
}

static void on_deleted(void *context, struct store_request *request)
{
    struct lane *lane = context;
    SL_ASSERT(request->error.code == SQS_OK);
    tell(lane->client, '-', lane->number);
    lane_next(lane);
}

static void submit(struct lane *lane, enum sqs_action action, const void *input,
                   void (*done)(void *, struct store_request *))
{
    arena_done(&lane->arena);
    arena_init(&lane->arena, 65536);
    lane->request = (struct store_request){
        .action = action,
        .input = input,
        .endpoint = STR(KIT_ENDPOINT),
        .arena = &lane->arena,
        .wall = loop_wall(),
        .done = done,
        .context = lane,
    };
    store_submit(lane->client->store, &lane->request);
}

static void on_received(void *context, struct store_request *request)
{
    struct lane *lane = context;
    const struct sqs_receive_out *out = request->output;
    int64_t number = 0;
    SL_ASSERT(request->error.code == SQS_OK);
    if (out->messages.count == 0) {
        lane_next(lane);
        return;
    }
    SL_ASSERT(str_to_i64(out->messages.items[0].body, 0, NUMBERS_MAX, &number) == 0);
    lane->number = (int)number;
    str_copy(lane->handle, sizeof(lane->handle), out->messages.items[0].receipt_handle);
    lane->delete = (struct sqs_handle_in){.queue_url = STR("jobs"),
                                          .entry = {.receipt_handle = str_from(lane->handle)}};
    submit(lane, SQS_DELETE_MESSAGE, &lane->delete, on_deleted);
}

static void lane_next(struct lane *lane)
{
    if (!lane->sends) {
        lane->receive =
            (struct sqs_receive_in){.queue_url = STR("jobs"), .wait_seconds = {true, 20}};
        submit(lane, SQS_RECEIVE_MESSAGE, &lane->receive, on_received);
        return;
    }
    lane->number = lane->client->next_number++;
    SL_ASSERT(lane->number < NUMBERS_MAX);
    (void)snprintf(lane->body, sizeof(lane->body), "%d", lane->number);
    lane->send = (struct sqs_send_message_in){.queue_url = STR("jobs"),
                                              .entry = {.body = str_from(lane->body)}};
    submit(lane, SQS_SEND_MESSAGE, &lane->send, on_sent);
}

static _Noreturn void run_client(const char *path, int answers, const char *fault, int first)
{
    static struct client client;
    struct error e;
    SL_ASSERT(setenv("SLUICE_FAULT", fault, 1) == 0);
    struct loop *loop = loop_new();
    const struct store_config config = {
        .path = path, .region = STR(KIT_REGION), .account = STR(KIT_ACCOUNT)};
    SL_ASSERT(store_open(loop, &config, &client.store, &e) == 0);
    (void)alarm(DEADLINE_S);
    client.answers = answers;
    client.next_number = first;
    for (int i = 0; i < LANES; i++) {
        client.lanes[i] = (struct lane){.client = &client, .sends = i % 2 == 0 || i == 1};
        lane_next(&client.lanes[i]);
    }
    for (;;) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
}

struct fates {
    bool sent[NUMBERS_MAX], deleted[NUMBERS_MAX];
    int highest, answers;
};

static void read_answers(int fd, struct fates *fates)
{
    struct {
        char what;
        int number;
    } line;
    while (read(fd, &line, sizeof(line)) == (ssize_t)sizeof(line)) {
        (line.what == '+' ? fates->sent : fates->deleted)[line.number] = true;
        fates->highest = line.number > fates->highest ? line.number : fates->highest;
        fates->answers++;
    }
}

/* What is in the file against what was answered. */
static void compare(struct kit *kit, struct fates *fates)
{
    static bool there[NUMBERS_MAX];
    memset(there, 0, sizeof(there));
    sqlite3_stmt *s = NULL;
    sqlite3_prepare_v2(kit->engine.db.handle, "SELECT body FROM messages", -1, &s, NULL);
    while (sqlite3_step(s) == SQLITE_ROW) {
        int number = sqlite3_column_int(s, 0);
        assert_true(number >= 0 && number < NUMBERS_MAX);
        assert_false(there[number]); /* twice */
        there[number] = true;
        assert_false(fates->deleted[number]);
    }
    sqlite3_finalize(s);
    int missing = 0;
    for (int i = 0; i <= fates->highest; i++) {
        if (fates->sent[i] && !there[i] && !fates->deleted[i]) {
            missing++;
            fates->deleted[i] = true;
        }
    }
    /* Only those whose delete was done but not answered any more: one a lane at most. */
    assert_true(missing <= LANES);
}

static void killed_at(struct kit *kit, struct fates *fates, const char *fault)
{
    int ends[2];
    int status = 0;
    assert_int_equal(pipe(ends), 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        run_client(kit->path, ends[1], fault, fates->highest + LANES + 1);
    }
    close(ends[1]);
    read_answers(ends[0], fates);
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    kit_open(kit);
    compare(kit, fates);
    kit_close(kit);
}

static void test_killed_around_commits(void **state)
{
    static const char *const points[] = {"store.before_commit", "store.after_commit",
                                         "store.before_answer"};
    static struct fates fates;
    struct kit kit;
    (void)state;
    kit_init(&kit);
    assert_int_equal(kit_create(&kit, "jobs", "VisibilityTimeout", "0", NULL), 0);
    kit_close(&kit);
    memset(&fates, 0, sizeof(fates));
    fates.highest = -1;
    for (int round = 0; round < 12; round++) {
        char fault[64];
        (void)snprintf(fault, sizeof(fault), "%s:%d=kill", points[round % 3], 20 + 13 * round);
        int before = fates.answers;
        killed_at(&kit, &fates, fault);
        assert_true(fates.answers > before);
    }
    kit_done(&kit);
}

/* A commit that fails is tried again, one operation at a time: nobody notices. */
static void test_failed_commits(void **state)
{
    static struct fates fates;
    struct kit kit;
    (void)state;
    kit_init(&kit);
    assert_int_equal(kit_create(&kit, "jobs", "VisibilityTimeout", "0", NULL), 0);
    kit_close(&kit);
    memset(&fates, 0, sizeof(fates));
    fates.highest = -1;
    killed_at(&kit, &fates,
              "store.before_commit:7=fail,store.before_commit:40=fail,store.after_commit:150=kill");
    assert_true(fates.answers > 100);
    kit_done(&kit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_around_commits),
        cmocka_unit_test(test_failed_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    (void)printf("SKIP: built without fault points\n");
    return 0;
}

#endif
