/* The shapes that rows of the providers' tables share: parameters, and operations by what they are. What a
 * macro does not say, the row says behind it. Not for other folders. */
#pragma once
#include "providers/provider.h"

/* ---- parameters ---- */

#define PARAM_TEXT(member, needed, longest, words)                                                           \
    { .name = member, .type = MT_P_STRING, .required = needed, .min = 1, .max = longest, .doc = words }
#define PARAM_CODE(member, needed, length, words)                                                            \
    { .name = member, .type = MT_P_STRING, .required = needed, .min = length, .max = length, .doc = words }
#define PARAM_WORD(member, needed, choices, words)                                                           \
    { .name = member, .type = MT_P_STRING, .required = needed, .values = choices, .doc = words }
#define PARAM_COUNT(member, least, most, words)                                                              \
    { .name = member, .type = MT_P_INTEGER, .min = least, .max = most, .doc = words }
#define PARAM_FLAG(member, words)                                                                            \
    { .name = member, .type = MT_P_BOOLEAN, .doc = words }
#define PARAM_MONEY(member, needed, words)                                                                   \
    { .name = member, .type = MT_P_MONEY, .required = needed, .doc = words }
#define PARAM_OBJECT(member, words)                                                                          \
    { .name = member, .type = MT_P_OBJECT, .doc = words }
/* Of every settled; milliseconds here, durations such as "30m" where scripts write them. */
#define PARAM_WITHIN                                                                                         \
    PARAM_COUNT("within", 0, INT64_C(3155760000000), "how long to wait at most; an hour when left out")

/* ---- operations ---- */

#define CALL_READ(verb, where)                                                                               \
    .kind = MT_OPERATION_CALL, .repeat = MT_REPEAT_READ, .method = verb, .path = where
#define CALL_WRITE(verb, where, how)                                                                         \
    .kind = MT_OPERATION_CALL, .repeat = how, .moves_money = true, .method = verb, .path = where
#define SETTLED(read)                                                                                        \
    .kind = MT_OPERATION_SETTLED, .repeat = MT_REPEAT_READ, .method = "", .path = "", .read_operation = read
#define RELEASE(read, how)                                                                                   \
    .kind = MT_OPERATION_RELEASE, .repeat = how, .moves_money = true, .method = "", .path = "",              \
    .read_operation = read
