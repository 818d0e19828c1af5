/*
 * fuzz: what every harness shares. A harness defines LLVMFuzzerTestOneInput and is built twice:
 * with libFuzzer (-DSLUICE_FUZZ=ON), and as a program that replays its corpus (replay_main.c),
 * which is an ordinary test.
 */
#ifndef SLUICE_TESTS_FUZZ_H
#define SLUICE_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
