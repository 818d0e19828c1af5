#include "unit.h"

#include "sluice/base/digest.h"
#include "sluice/base/rng.h"

static void assert_hex(const uint8_t *bytes, size_t len, const char *expected)
{
    char text[129];
    digest_hex(bytes, len, text);
    assert_string_equal(text, expected);
}

static void test_md5(void **state)
{
    (void)state;
    static const struct {
        struct str data;
        const char *hex;
    } vectors[] = {
        /* RFC 1321 */
        {STR_NONE, "d41d8cd98f00b204e9800998ecf8427e"},
        {{"abc", 3}, "900150983cd24fb0d6963f7d28e17f72"},
        {{"message digest", 14}, "f96b697d7cb7938d525a2f31aaf161d0"},
        {{"12345678901234567890123456789012345678901234567890123456789012345678901234567890", 80},
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < SL_COUNT(vectors); i++) {
        uint8_t out[DIGEST_MD5_BYTES];
        digest_md5(vectors[i].data, out);
        assert_hex(out, sizeof(out), vectors[i].hex);
    }
}

static void md5_u32(struct digest_md5 *md5, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                        (uint8_t)value};
    digest_md5_update(md5, bytes, sizeof(bytes));
}

static void md5_attribute(struct digest_md5 *md5, struct str name, struct str type,
                          uint8_t transport, struct str value)
{
    md5_u32(md5, (uint32_t)name.len);
    digest_md5_update(md5, name.ptr, name.len);
    md5_u32(md5, (uint32_t)type.len);
    digest_md5_update(md5, type.ptr, type.len);
    digest_md5_update(md5, &transport, 1);
    md5_u32(md5, (uint32_t)value.len);
    digest_md5_update(md5, value.ptr, value.len);
}

static void test_md5_of_message_attributes(void **state)
{
    (void)state;
    uint8_t out[DIGEST_MD5_BYTES];
    struct digest_md5 md5;
    digest_md5_init(&md5);
    md5_attribute(&md5, STR("color"), STR("String"), 1, STR("blue"));
    digest_md5_final(&md5, out);
    assert_hex(out, sizeof(out), "da1b33cc3cbfe8b1630921e78e6b9880");
    assert_null(md5.context);

    digest_md5_init(&md5);
    md5_attribute(&md5, STR("blob"), STR("Binary"), 2, STR("\x01\x02\x03"));
    md5_attribute(&md5, STR("color"), STR("String"), 1, STR("blue"));
    md5_attribute(&md5, STR("count"), STR("Number"), 1, STR("3"));
    digest_md5_final(&md5, out);
    assert_hex(out, sizeof(out), "d838729972a4b70e2d2acd9d59ac847c");
}

static void test_sha256_and_hmac(void **state)
{
    (void)state;
    uint8_t out[DIGEST_SHA256_BYTES];
    digest_sha256(STR_NONE, out);
    assert_hex(out, sizeof(out),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_sha256(STR("abc"), out);
    assert_hex(out, sizeof(out),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256(STR("same"), out);
    assert_hex(out, sizeof(out),
               "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5");
    /* RFC 4231, cases 1, 2 and 6 */
    char key[131];
    memset(key, 0x0b, 20);
    digest_hmac_sha256((struct str){key, 20}, STR("Hi There"), out);
    assert_hex(out, sizeof(out),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    digest_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_hex(out, sizeof(out),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    digest_hmac_sha256((struct str){key, sizeof(key)},
                       STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, sizeof(out),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_hmac_sha256(STR_NONE, STR_NONE, out);
    assert_hex(out, sizeof(out),
               "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_hex(void **state)
{
    (void)state;
    uint8_t out[4] = {9, 9, 9, 9};
    assert_int_equal(digest_from_hex(STR("00aBfF7e"), out, 4), 0);
    assert_hex(out, 4, "00abff7e");
    static const char *const bad[] = {"",         "00abff7",  "00abff7e0",
                                      "00abff7g", "00abff 7", "0x00abff"};
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        assert_int_equal(digest_from_hex(str_from(bad[i]), out, 4), ERR_SYNTAX);
        assert_hex(out, 4, "00abff7e");
    }
    assert_int_equal(digest_from_hex(STR(""), out, 0), 0);
}

static void test_base64_vectors(void **state)
{
    (void)state;
    /* RFC 4648, section 10 */
    static const char *const vectors[][2] = {{"", ""},
                                             {"f", "Zg=="},
                                             {"fo", "Zm8="},
                                             {"foo", "Zm9v"},
                                             {"foob", "Zm9vYg=="},
                                             {"fooba", "Zm9vYmE="},
                                             {"foobar", "Zm9vYmFy"},
                                             {"\xfb\xff\xfe", "+//+"}};
    struct buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < SL_COUNT(vectors); i++) {
        buf_reset(&b);
        assert_int_equal(digest_base64(&b, vectors[i][0], strlen(vectors[i][0])), 0);
        assert_str(buf_str(&b), vectors[i][1]);
        buf_reset(&b);
        assert_int_equal(digest_from_base64(&b, str_from(vectors[i][1])), 0);
        assert_str(buf_str(&b), vectors[i][0]);
    }
    buf_done(&b);
}

static void test_base64_is_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Zg",         "Zg=",      "Zg===",        "=",        "====",     "Z===",
        "Zm9v Zm9v",  "Zm9v\n",   "Zm9v\n\n\n\n", "Zg==Zm9v", "Zm8=Zm9v", "Zm-_",
        "Z\xc3\xa9v", "Zm9vZm=v", "Zh==",         "Zm9=",
    };
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(buf_adds(&b, "kept"), 0);
    for (size_t i = 0; i < SL_COUNT(bad); i++) {
        if (digest_from_base64(&b, str_from(bad[i])) != ERR_SYNTAX) {
            fail_msg("accepted \"%s\"", bad[i]);
        }
        assert_str(buf_str(&b), "kept");
    }
    buf_done(&b);
    buf_init(&b, 7);
    assert_int_equal(digest_base64(&b, "foobar", 6), ERR_TOO_BIG);
    assert_int_equal(b.len, 0);
    buf_done(&b);
}

static void test_base64_round_trip(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, unit_seed());
    /* The last is more than one chunk of the encoder. */
    const size_t lengths[] = {1, 2, 3, 100, 4095, 4096, 4097, (3U << 20) + 1, (6U << 20) + 5};
    for (size_t i = 0; i < SL_COUNT(lengths); i++) {
        size_t len = lengths[i];
        char *bytes = malloc(len);
        for (size_t j = 0; j < len; j++) {
            bytes[j] = (char)rng_next(&rng);
        }
        struct buf text, back;
        buf_init(&text, 2 * len + 4);
        buf_init(&back, len + 3);
        assert_int_equal(digest_base64(&text, bytes, len), 0);
        assert_int_equal(text.len, (len + 2) / 3 * 4);
        assert_int_equal(digest_from_base64(&back, buf_str(&text)), 0);
        assert_int_equal(back.len, len);
        assert_memory_equal(back.ptr, bytes, len);
        buf_done(&text);
        buf_done(&back);
        free(bytes);
    }
}

static void test_random(void **state)
{
    (void)state;
    char a[37], b[37];
    digest_uuid(a);
    digest_uuid(b);
    assert_string_not_equal(a, b);
    for (int i = 0; i < 200; i++) {
        digest_uuid(a);
        assert_int_equal(strlen(a), 36);
        assert_int_equal(strspn(a, "0123456789abcdef-"), 36);
        assert_true(a[8] == '-' && a[13] == '-' && a[18] == '-' && a[23] == '-');
        assert_int_equal(a[14], '4');
        assert_non_null(memchr("89ab", a[19], 4));
    }
    uint8_t bytes[64] = {0};
    uint8_t zero[64] = {0};
    digest_random(bytes, sizeof(bytes));
    assert_memory_not_equal(bytes, zero, sizeof(bytes));
    digest_random(bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_md5),
        cmocka_unit_test(test_md5_of_message_attributes),
        cmocka_unit_test(test_sha256_and_hmac),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_is_strict),
        cmocka_unit_test(test_base64_round_trip),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
