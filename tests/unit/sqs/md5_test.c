/* The digests, against values of AWS. */
#include "sluice/sqs/md5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define TEXT(n, t, v)  ((struct sqs_attribute){STR(n), STR(t), STR(v), STR_NONE, false})
#define BYTES(n, t, v) ((struct sqs_attribute){STR(n), STR(t), STR_NONE, STR(v), false})

static void check(struct sqs_attribute *items, uint32_t count, const char *wanted)
{
    char out[33];
    struct sqs_attributes attributes = {items, count, true};
    sqs_md5_attributes(&attributes, out);
    assert_string_equal(out, wanted);
}

static void attributes(void **state)
{
    (void)state;
    check((struct sqs_attribute[]){TEXT("color", "String", "blue")}, 1,
          "da1b33cc3cbfe8b1630921e78e6b9880");
    check((struct sqs_attribute[]){TEXT("count", "Number", "3"), TEXT("color", "String", "blue"),
                                   BYTES("blob", "Binary", "\x01\x02\x03")},
          3, "d838729972a4b70e2d2acd9d59ac847c");
    check((struct sqs_attribute[]){TEXT("Foo", "String", "Bar")}, 1,
          "ae7155c6026991b6d54b11589678bf9c");
    check((struct sqs_attribute[]){TEXT("Hello", "String", "There"),
                                   TEXT("General", "String", "Kenobi"),
                                   TEXT("Help.Me", "String", "Me")},
          3, "4c360f3fdafd970e05fae2f149d997f5");
    check((struct sqs_attribute[]){TEXT("customNumberTypeAttrib", "Number.float",
                                        "4563442423554324324264524243.32543234")},
          1, "9fe1b90bbd9965bdf77bac517c7d2495");
    check(
        (struct sqs_attribute[]){BYTES("attr1", "Binary",
                                       "traceparent\x1e"
                                       "00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01")},
        1, "8cbe4db156db8a94db8b801b7addb984");
    check((struct sqs_attribute[]){TEXT(
              "AWSTraceHeader", "String",
              "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")},
          1, "5ae4d5d7636402d80f4eb6d213245a88");
    check(NULL, 0, "");
}

static void bodies(void **state)
{
    (void)state;
    char out[33];
    sqs_md5_body(STR(""), out);
    assert_string_equal(out, "d41d8cd98f00b204e9800998ecf8427e");
    sqs_md5_body(STR("hello"), out);
    assert_string_equal(out, "5d41402abc4b2a76b9719d911017c592");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes),
        cmocka_unit_test(bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
