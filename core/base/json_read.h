/* The quick way through JSON text, for json.c alone. Any thread. */
#pragma once
#include <jansson.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif
/* A new reference, or NULL: it is for jansson to read it, or to say what is wrong with it. */
json_t *json_read(const char *text, size_t len, int depth_max);
#ifdef __cplusplus
}
#endif
